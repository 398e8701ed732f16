"""The page of a board over time: a graph and a table for each image set, past boards beside."""

from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from leaderboard.columns import DROPPED, STANDING, filled
from leaderboard.entries import beside_boards, best_over_time, image_sets, judge, standing
from leaderboard.report.environment import environment
from leaderboard.report.sections import Table, as_table
from leaderboard.report.time_plot import WIDTHS, time_plot


@dataclass(frozen=True)
class _Section:
    """One image set's part of the page."""

    image_set: str
    plots: dict[str, Markup]
    table: Table


def board_page(entries: pd.DataFrame, title: str) -> str:
    """The page's HTML, self-contained and without a script, from the table of all entries."""
    stays, best, judged = standing(entries), best_over_time(entries), judge(entries)
    sections = []
    for number, image_set in enumerate(image_sets(entries)):
        own = stays[stays["image_set"] == image_set]
        leading = best[best["image_set"] == image_set]
        plots = {name: time_plot(own, leading, width) for name, width in WIDTHS.items()}
        rows = beside_boards(entries, image_set)
        sections.append(
            _Section(image_set, plots, as_table(f"board-{number}", image_set, filled(STANDING, rows), rows))
        )
    dropped = judged[~judged["stays"]]
    return (
        environment()
        .get_template("board.html.j2")
        .render(
            title=title,
            sections=sections,
            dropped=as_table("dropped", "Entries that are no row", DROPPED, dropped) if len(dropped) else None,
            entries=len(entries),
        )
    )
