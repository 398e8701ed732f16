"""`clic report`: the board on the terminal and the report, from the records of a run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "print the board of a run, and write DIR/report.html and DIR/leaderboard.md again"


def add_arguments(parser: ArgumentParser) -> None:
    """The run and its originals."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="folder of a run")
    parser.add_argument("--images", metavar="ORIGINALS", type=Path, required=True)


def run(options: Namespace) -> int:
    """Write the report, and print the board and where the report is."""
    from rich.console import Console

    from harness.errors import ClicError
    from harness.files import write_atomic
    from harness.images import list_images
    from harness.progress import bar
    from leaderboard.columns import LEADERBOARD, MSSSIM_CAPTION
    from leaderboard.report.page import write_report
    from leaderboard.results import read_leaderboard
    from leaderboard.tables import markdown, terminal_turned

    if (options.directory / "comparison.json").exists() and not (options.directory / "leaderboard.csv").exists():
        raise ClicError(f"{options.directory}: a comparison; 'clic compare' with it as --out writes its report again")
    originals = {source.name: source.path for source in list_images(options.images)}
    with bar("report") as progress:
        report = write_report(options.directory, originals, progress)
    board = read_leaderboard(options.directory / "leaderboard.csv")
    write_atomic(options.directory / "leaderboard.md", markdown(LEADERBOARD, board).encode())
    Console().print(terminal_turned(LEADERBOARD, board, MSSSIM_CAPTION))
    print(report)
    return 0
