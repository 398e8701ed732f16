"""`clic pace`: how long decoding takes beside the archived boards, and where the slowest quarter begins."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "decoding time of a run as a rank: beside the archived boards, with the line of the slowest quarter"


def add_arguments(parser: ArgumentParser) -> None:
    """The run."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="folder of a run of 'clic submit'")


def run(options: Namespace) -> int:
    """Print a table for all rates. Raises ClicError for a folder without a board."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from harness.progress import log
    from leaderboard.pace import paces
    from leaderboard.results import read_leaderboard

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for number, heading in enumerate(
        ("board", "bpp", "s/MP", "place", "fastest", "median", "quarter\nline", "slowest\nquarter")
    ):
        table.add_column(heading, justify="right" if number else "left", no_wrap=True)
    notes: dict[str, str] = {}
    for row in read_leaderboard(options.directory / "leaderboard.csv").to_dict("records"):
        megapixels = 8 * row["data_bytes"] / row["bpp"] / 1e6
        own = row["decode_seconds"] / megapixels
        for pace in paces(row["rate"], own):
            cells = (
                pace.image_set,
                f"{pace.rate:g}",
                f"{own:.3f}",
                f"{pace.place} of {pace.rows}",
                f"{pace.fastest:.3f}",
                f"{pace.median:.3f}",
                f"{pace.line:.3f}",
                "yes" if pace.slowest else "no",
            )
            table.add_row(*map(Text, cells))
            notes |= {pace.image_set: pace.note} if pace.note else {}
    if not table.row_count:
        log(f"{options.directory}: no archived board has one of its rates")
        return 0
    Console().print(table)
    log("Every row of a board counts, several of one team too. Seconds here are this machine's, there that year's.")
    for image_set, note in notes.items():
        log(f"{image_set}: {note}")
    return 0
