"""One table of the study, in sections narrow enough to read, and its faces.

What all rows of a section have in common is said once, above or below it, and not in a column.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.text import Text

from leaderboard import tables
from leaderboard.tables import Column, Columns
from submission.study.columns import Ends, as_data

MISSING = "–"
KEYS = ("lambda_",)  # numbers that say what a row is
KEY_WIDTH = 40  # beyond which words are broken into lines
CONDITIONS = (
    "control",
    "mode",
    "seeds",
    "levels",
    "images",
    "p",
    "adjusted",
    "further",
)  # said beside the table even of a single row


@dataclass(frozen=True, eq=False)
class Section:
    """Some rows under one heading, with the columns in which they differ; `conditions` is what they share."""

    heading: str
    columns: Columns
    frame: pd.DataFrame
    conditions: str

    def fitting(self, width: int) -> list[Columns]:
        """The columns in groups that fit side by side, each with those before it that say what a row is."""
        count = next((at for at, one in enumerate(self.columns) if one.is_number and one.name not in KEYS), 0)
        keys, others = self.columns[:count], self.columns[count:]
        if not others:
            return [self.columns]
        taken = 1 + sum(min(self._width(column), KEY_WIDTH) for column in keys)
        groups: list[list[Column]] = [[]]
        for column in others:
            if groups[-1] and taken + sum(map(self._width, groups[-1])) + self._width(column) > width:
                groups.append([])
            groups[-1].append(column)
        return [[*keys, *group] for group in groups]

    def _width(self, column: Column) -> int:
        """Of a column in a terminal, with the space that parts it from the next."""
        texts = [column.title, column.detail, *(column.text(row) for row in self.frame.itertuples())]
        return 3 + max(map(cell_len, texts))

    @property
    def cells(self) -> list[list[str]]:
        """As texts."""
        return tables.cells(self.columns, self.frame)


@dataclass(frozen=True, eq=False)
class Table:
    """A table by its file's name; `notes` are sentences that belong below it, `groups` columns that make sections."""

    name: str
    title: str
    columns: Columns
    frame: pd.DataFrame
    notes: Sequence[str] = ()
    groups: Sequence[str] = ()

    @cached_property
    def sections(self) -> list[Section]:
        """One for each value of the columns in `groups`, in the order of the rows."""
        if not self.groups:
            return [self._section("", self.columns, self.frame)]
        heads = [column for column in self.columns if column.name in self.groups]
        others = [column for column in self.columns if column.name not in self.groups]
        found: dict[str, list[Any]] = {}
        for place, row in enumerate(self.frame.itertuples()):
            found.setdefault("; ".join(map(lambda column: _named(column, row), heads)), []).append(place)
        return [self._section(heading, others, self.frame.iloc[places]) for heading, places in found.items()]

    @staticmethod
    def _section(heading: str, columns: Columns, frame: pd.DataFrame) -> Section:
        texts = {column.name: {column.text(row) for row in frame.itertuples()} for column in columns}
        empty = {name for name, found in texts.items() if found == {MISSING}}
        same = [column for column in columns if len(texts[column.name]) == 1 and column.name not in empty]
        same = [column for column in same if not isinstance(column, Ends)]
        same = [column for column in same if len(frame) > 1 or column.name in CONDITIONS]
        first = next(frame.itertuples())
        said = "; ".join(f"{column.heading}: {column.text(first)}" for column in same)
        left = [column for column in columns if column not in same and column.name not in empty]
        return Section(heading, left, frame, said)

    def terminal(self, width: int) -> RenderableType:
        """For a terminal of so many columns; what is too wide goes on below, beside the same first columns."""
        parts: list[RenderableType] = [Text(self.title, style="bold")]
        for section in self.sections:
            parts += [Text(section.heading, style="underline")] if section.heading else []
            parts += [tables.terminal(columns, section.frame) for columns in section.fitting(width)]
            parts += [Text(f"In all rows: {section.conditions}.\n", style="dim italic")] if section.conditions else []
        return Group(*parts, Text("\n".join([*self.notes, ""]), style="dim"))

    def markdown(self) -> str:
        """With its title as a heading, and one for each section."""
        parts = [f"## {self.title}"]
        for section in self.sections:
            parts += [f"### {section.heading}"] if section.heading else []
            parts.append(tables.markdown(section.columns, section.frame).rstrip("\n"))
            parts += [f"In all rows: {section.conditions}."] if section.conditions else []
        return "\n\n".join([*parts, *self.notes]) + "\n"

    def latex(self) -> str:
        """A tabular for each section; title, headings and notes are comments."""
        return "\n".join(self._latex())

    def _latex(self) -> Iterator[str]:
        yield from (f"% {line}" for line in [self.title, *self.notes])
        for section in self.sections:
            yield from (f"% {line}" for line in (section.heading, section.conditions) if line)
            yield tables.latex(section.columns, section.frame)

    def csv(self) -> str:
        """All rows and columns, as data."""
        return tables.as_csv(as_data(self.columns), self.frame)

    def records(self) -> list[dict[str, Any]]:
        """All rows as plain values; what is missing is None."""
        columns = as_data(self.columns)
        rows = [{column.name: column.data(row) for column in columns} for row in self.frame.itertuples()]
        return [{name: None if pd.isna(value) else value for name, value in row.items()} for row in rows]


def _named(column: Column, row: Any) -> str:
    """As a heading has it: a text by itself where it is clear, else after its title."""
    return f"{column.heading}: {column.text(row)}" if column.detail or column.is_number else column.text(row)
