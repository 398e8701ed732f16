"""One table, four faces: terminal, Markdown, CSV and LaTeX, from one description of its columns (`columns.py`)."""

import csv
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "–": "--",
        "−": "$-$",
        "\n": " ",
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    }
)


@dataclass(frozen=True)
class Column:
    """One column: its name as data, the title above it with unit or definition, and how a row's cell reads.

    `value` gives the cell as data, by default the row's field called `name`.
    """

    name: str
    title: str
    detail: str
    text: Callable[[Any], str]
    is_number: bool = True
    value: Callable[[Any], Any] | None = None

    @property
    def heading(self) -> str:
        """Title and detail on one line."""
        return f"{self.title} ({self.detail})" if self.detail else self.title

    def data(self, row: Any) -> Any:
        """The row's cell as data."""
        return getattr(row, self.name) if self.value is None else self.value(row)


Columns = Sequence[Column]


def cells(columns: Columns, frame: pd.DataFrame) -> list[list[str]]:
    """The printed rows of `frame`, one text for each of `columns`."""
    return [[column.text(row) for column in columns] for row in frame.itertuples()]


def terminal(columns: Columns, frame: pd.DataFrame, caption: str = "") -> Table:
    """A rich table with a line for each row."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=caption or None, caption_justify="left")
    for column in columns:
        title = Text("\n".join(filter(None, (column.title, column.detail))))
        table.add_column(title, justify="right" if column.is_number else "left", no_wrap=column.is_number)
    for row in cells(columns, frame):
        # Text, not str: a team called [red] is a name and no markup
        table.add_row(*map(Text, row))
    return table


def terminal_turned(columns: Columns, frame: pd.DataFrame, caption: str = "") -> Table:
    """A rich table with a line for each column but the first two, which head each row's own column.

    Many columns and few rows then fit a terminal of 80 columns.
    """
    table = Table(box=SIMPLE_HEAD, pad_edge=False, caption=caption or None, caption_justify="left")
    table.add_column("", no_wrap=True)
    rows = cells(columns, frame)
    for first, second, *_ in rows:
        table.add_column(Text(f"{first}\n{second} {columns[1].detail}".rstrip()), justify="right")
    for number, column in enumerate(columns[2:], start=2):
        table.add_row(f"{column.title} {column.detail}".rstrip(), *(Text(row[number]) for row in rows))
    return table


def markdown(columns: Columns, frame: pd.DataFrame, caption: str = "") -> str:
    """A Markdown table, padded so that it also reads as plain text, below its caption; ends in a newline."""
    rows = [[column.heading for column in columns]]
    rows += [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in cells(columns, frame)]
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]

    def line(row: Sequence[str]) -> str:
        padded = []
        for text, width, column in zip(row, widths, columns, strict=True):
            blank = " " * (width - cell_len(text))
            padded.append(blank + text if column.is_number else text + blank)
        return f"| {' | '.join(padded)} |"

    rule = [
        "-" * (width - 1) + ":" if column.is_number else "-" * width
        for width, column in zip(widths, columns, strict=True)
    ]
    above = [caption, ""] if caption else []
    return "\n".join([*above, line(rows[0]), line(rule), *map(line, rows[1:])]) + "\n"


def as_csv(columns: Columns, frame: pd.DataFrame) -> str:
    """The table as data: names as the head, numbers with all their digits, what was not measured empty."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(column.name for column in columns)
    for row in frame.itertuples():
        writer.writerow(_field(column.data(row)) for column in columns)
    return buffer.getvalue()


def _field(value: Any) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def latex(columns: Columns, frame: pd.DataFrame, caption: str = "") -> str:
    """A LaTeX tabular with the rules of booktabs, titles and details in two lines; ends in a newline.

    With a caption it stands in a table of its own, which floats.
    """
    alignment = "".join("r" if column.is_number else "l" for column in columns)
    lines = [
        "% \\usepackage{booktabs}",
        *((r"\begin{table}", r"\centering", f"\\caption{{{caption.translate(_LATEX)}}}") if caption else ()),
        f"\\begin{{tabular}}{{{alignment}}}",
        "\\toprule",
        _latex_line([column.title for column in columns]),
        _latex_line([column.detail for column in columns]),
        "\\midrule",
        *(_latex_line(row) for row in cells(columns, frame)),
        "\\bottomrule",
        "\\end{tabular}",
        *((r"\end{table}",) if caption else ()),
    ]
    return "\n".join(lines) + "\n"


def _latex_line(texts: Sequence[str]) -> str:
    return " & ".join(text.translate(_LATEX) for text in texts) + r" \\"


FACES: Mapping[str, Callable[[Columns, pd.DataFrame], str]] = {"csv": as_csv, "latex": latex, "markdown": markdown}
"""The faces that are text, by name."""
