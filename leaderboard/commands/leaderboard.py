"""`clic leaderboard`: a board over time, in a folder of its own, beside the boards of past challenges."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.records import Entry

HELP = "keep a board over time: add the entries of runs, show or export them beside past boards"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do with which board."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    adding = actions.add_parser("add", help="put the submissions of a run that passed on the board")
    showing = actions.add_parser("show", help="print the board, with the past boards of the same images")
    exporting = actions.add_parser("export", help="give the board out, for people or for another board")
    for action in (adding, showing, exporting):
        action.allow_abbrev = False
        action.add_argument("board", metavar="BOARD", type=shared.folder, help="folder of the board")
    adding.add_argument("run", metavar="RUN", type=Path, help="folder of 'clic submit', or JSON of 'export --to json'")
    adding.add_argument("--team", metavar="NAME", help="name on the board; default: the run's")
    adding.add_argument("--phase", choices=("validation", "test"), default="validation", help="default: validation")
    adding.add_argument("--track", metavar="NAME", default="", help="track; default: the run's")
    adding.add_argument("--images", metavar="ORIGINALS", type=Path, help="the photographs, where they have moved")
    showing.add_argument("--all", action="store_true", help="also the entries that are no row, with the reason")
    exporting.add_argument("--to", choices=("csv", "html", "json", "latex", "markdown"), required=True)
    exporting.add_argument("--out", metavar="FILE", type=Path, help="default: standard output")


def run(options: Namespace) -> int:
    """Do it."""
    return {"add": _add, "show": _show, "export": _export}[options.action](options)


def _add(options: Namespace) -> int:
    from harness.progress import counted, log
    from leaderboard.board_store import Occasion, add, entries_of_run, from_json

    if options.run.is_file():
        found = from_json(options.run)
    else:
        found = entries_of_run(options.run, Occasion(options.phase, options.team or "", options.track), options.images)
    added = add(options.board, found)
    for entry in added:
        print(entry.date, entry.team, entry.image_set, entry.rate, f"{entry.msssim_competition:.5f}", sep="\t")
    log(f"{options.board}: {counted(len(added), 'row')} added, {len(found) - len(added)} there before")
    return 0


def _show(options: Namespace) -> int:
    from rich.console import Console

    from leaderboard.board_store import entries
    from leaderboard.columns import DROPPED, STANDING_BRIEF, filled
    from leaderboard.entries import beside_boards, entries_table, image_sets, judge
    from leaderboard.tables import terminal

    table = entries_table(entries(options.board))
    console = Console()
    for image_set in image_sets(table):
        rows = beside_boards(table, image_set)
        caption = f"{image_set}; MS-SSIM: competition. Rows of other images do not compare."
        console.print(terminal(filled(STANDING_BRIEF, rows), rows, caption))
    judged = judge(table)
    if options.all and not judged["stays"].all():
        console.print(terminal(DROPPED, judged[~judged["stays"]], "Entries that are no row."))
    return 0


def _export(options: Namespace) -> int:
    from leaderboard.board_store import entries, to_json

    found = entries(options.board)
    text = to_json(found) if options.to == "json" else _faces(found, options)
    shared.give_out(text, options.out)
    return 0


def _faces(found: "Sequence[Entry]", options: Namespace) -> str:
    import pandas as pd

    from leaderboard.columns import STANDING, filled
    from leaderboard.entries import beside_boards, entries_table, image_sets
    from leaderboard.report.board_page import board_page
    from leaderboard.tables import FACES

    table = entries_table(found)
    if options.to == "html":
        return board_page(table, options.board.resolve().name)
    rows = pd.concat([beside_boards(table, image_set) for image_set in image_sets(table)], ignore_index=True)
    return FACES[options.to](filled(STANDING, rows), rows)
