"""The leaderboard as a table: the challenge's columns, for the terminal, for Markdown and for the page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from leaderboard import units


@dataclass(frozen=True)
class Column:
    """One printed column: a title, the unit or definition below it, and how a row's cell reads."""

    title: str
    detail: str
    cell: Callable[[Any], str]
    is_number: bool = True

    @property
    def heading(self) -> str:
        """Title and detail on one line."""
        return f"{self.title} ({self.detail})" if self.detail else self.title


def _with_decibels(msssim: float) -> str:
    return f"{units.fixed(msssim, 5)} {units.fixed(units.decibels(msssim), 2)} dB"


COLUMNS: Sequence[Column] = (
    Column("team", "", lambda row: str(row.team), is_number=False),
    Column("rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("data", "bytes", lambda row: units.integer(row.data_bytes)),
    Column("budget", "used", lambda row: units.budget_used(row.data_bytes, row.budget_bytes)),
    Column("bpp", "", lambda row: units.fixed(row.bpp, 5)),
    Column("MS-SSIM", "competition", lambda row: _with_decibels(row.msssim_competition)),
    Column("MS-SSIM", "paper", lambda row: _with_decibels(row.msssim_paper)),
    Column("PSNR dB", "competition", lambda row: units.fixed(row.psnr_competition, 3)),
    Column("PSNR dB", "paper", lambda row: units.fixed(row.psnr_paper, 3)),
    Column("decoder", "size", lambda row: units.human_bytes(row.decoder_bytes)),
    Column("decode", "seconds", lambda row: units.fixed(row.decode_seconds, 1)),
)


def cells(frame: pd.DataFrame) -> list[list[str]]:
    """The printed rows of a frame as `read_leaderboard` gives it, one text for each of `COLUMNS`."""
    return [[column.cell(row) for column in COLUMNS] for row in frame.itertuples()]


def terminal_table(frame: pd.DataFrame) -> Table:
    """A rich table of the leaderboard, turned so that three rates fit a terminal of 80 columns."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption="MS-SSIM in dB: -10 log10(1 - MS-SSIM)")
    table.caption_justify = "left"
    # Text, not str: a team called [red] is a name and no markup
    table.add_column("", no_wrap=True)
    rows = cells(frame)
    for team, rate, *_ in rows:
        table.add_column(Text(f"{team}\n{rate} bpp"), justify="right")
    for column, *texts in zip(COLUMNS[2:], *(row[2:] for row in rows), strict=True):
        table.add_row(f"{column.title} {column.detail}", *map(Text, texts))
    return table


def markdown_table(frame: pd.DataFrame) -> str:
    """The leaderboard as a Markdown table, padded so that it also reads as plain text; ends in a newline."""
    rows = [[column.heading for column in COLUMNS]]
    rows += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells(frame)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = []
        for text, width, column in zip(row, widths, COLUMNS, strict=True):
            blank = " " * (width - cell_len(text))
            padded.append(blank + text if column.is_number else text + blank)
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if column.is_number else "-" * width
        for width, column in zip(widths, COLUMNS, strict=True)
    ]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])]) + "\n"
