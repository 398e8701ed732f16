"""What an answer to a primary question is made of: comparisons with their intervals, and the verdict by these."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from submission.study.contrasts import contrast
from submission.study.measured import Cell
from submission.study.statistics import Interval

Verdict = Literal["yes", "no", "undecided", "not run yet"]


@dataclass(frozen=True)
class Part:
    """One comparison that an answer rests on: what it is, its interval in per cent, and the side that says yes."""

    label: str
    interval: Interval
    yes_above: bool

    @property
    def confirmed(self) -> bool:
        """Whether the interval lies on the side of yes."""
        return self.interval.above if self.yes_above else self.interval.below

    @property
    def refuted(self) -> bool:
        """Whether the interval lies on the other side."""
        return self.interval.below if self.yes_above else self.interval.above


def p_of(parts: Sequence[Part]) -> float:
    """Of all parts together: a claim that needs each of them is as sure as the least sure one."""
    if not parts or any(math.isnan(part.interval.p) for part in parts):
        return math.nan
    return max(part.interval.p for part in parts)


def by_intervals(parts: Sequence[Part], missing: str) -> tuple[list[Part], Verdict, str]:
    """Yes where all parts are confirmed, no where one is refuted."""
    if not parts:
        return [], "not run yet", missing
    refuted = [part for part in parts if part.refuted]
    if refuted:
        return list(parts), "no", f"on the other side of 0: {'; '.join(part.label for part in refuted)}"
    short = [part for part in parts if not part.interval.known]
    if short:
        why = "fewer than two seeds" if short[0].interval.seeds else "no seed has both"
        return list(parts), "undecided", f"{short[0].label}: {why}"
    if all(part.confirmed for part in parts):
        return list(parts), "yes", "all intervals exclude 0 on the side that the question claims"
    covering = next(part for part in parts if not part.confirmed)
    return list(parts), "undecided", f"{covering.label}: the interval covers 0"


def best(cells: Sequence[Cell], without: int | None = None) -> Cell:
    """The one of least J against the first, by the seeds but `without`."""

    def gain(cell: Cell) -> float:
        found = contrast(cell, cells[0]) if cell is not cells[0] else None
        kept = [value for seed, value in found.by_seed.items() if seed != without] if found else [0.0]
        return sum(kept) / len(kept) if kept else -math.inf

    return max(cells, key=gain)
