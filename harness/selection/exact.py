"""One operating point per image, so that the set scores best within its bytes: a multiple-choice knapsack.

The steps: candidates as arrays (table), the ones worth choosing (frontier), a byte's price with a bound of what can be
reached and a greedy choice (relaxation), and the search that makes it the best (core).
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from harness.errors import ClicError
from harness.scores.objectives import OBJECTIVES, Objective, WeightedSum
from harness.scores.objectives import objective as objective_of
from harness.selection.core import solve
from harness.selection.frontier import pareto
from harness.selection.table import IMAGE_SET, Candidates, Table, check, sets_of
from harness.selection.timed import solve_timed

__all__ = ["OBJECTIVES", "Constraints", "Selection", "chosen_rows", "select", "select_sets", "select_within"]


@dataclass(frozen=True)
class Constraints:
    """What a selection must keep to beside the budget.

    `overhead` are the container's bytes and `margin` those to leave unused, both out of the budget; `images` must
    all have candidates. No image's stream is above `cap` bytes, none scores worse than `worst` in the objective's own
    column. Decoding takes at most `seconds`, as the sum of the candidates' `decode_seconds`, and of no image more than
    `image_seconds`. With `one_codec` all
    images have the same codec, the one that scores best.
    """

    overhead: int = 0
    margin: int = 0
    images: Iterable[str] | None = None
    cap: int | None = None
    worst: float | None = None
    seconds: float | None = None
    image_seconds: float | None = None
    one_codec: bool = False


@dataclass(frozen=True)
class Selection:
    """One point per image. `bytes` includes the overhead and never exceeds `budget` less the margin.

    `score` is the objective's, such as MS-SSIM in 0..1 or PSNR in dB; no choice within the budget scores better than
    `bound`. They are equal when the search was completed, as it is for sets of photographs (with a limit of seconds, to
    a solver's tolerance, see timed): then no smaller budget scores more, and more candidates never score less.
    Otherwise one might, by the difference at most. `codecs` names each image's codec where the candidates have several.
    """

    points: dict[str, str | int | float]
    bytes: int
    score: float
    bound: float
    objective: str
    budget: int
    codecs: dict[str, str] = field(default_factory=dict)


def select(
    candidates: Table,
    budget: int,
    objective: str = "competition",
    *,
    overhead: int = 0,
    images: Iterable[str] | None = None,
) -> Selection:
    """The best choice of one of its candidates for every image, with `overhead` + sum of bytes <= `budget`.

    See select_within; `overhead` and `images` are those of Constraints.
    """
    return select_within(candidates, budget, objective, Constraints(overhead=overhead, images=images))


def select_within(
    candidates: Table,
    budget: int,
    objective: str | Objective | WeightedSum = "competition",
    constraints: Constraints | None = None,
) -> Selection:
    """The best choice of one of its candidates for every image within `budget` bytes and the constraints.

    `candidates` is a DataFrame, or arrays by name, with a row per image and point: `image, width, height, point,
    bytes` and the objective's columns (see scores.objectives); `codec` where several are mixed, `decode_seconds`
    where seconds are limited. Raises ClicError for a table, budget or constraint with which this cannot be done.
    """
    limits = constraints or Constraints()
    if limits.overhead < 0 or limits.margin < 0:
        raise ClicError(
            f"margin {limits.margin}, overhead {limits.overhead}: bytes below 0 would go beyond the budget; "
            "raise the budget instead"
        )
    goal = objective_of(objective) if isinstance(objective, str) else objective
    timed = limits.seconds is not None or limits.image_seconds is not None
    found = _allowed(check(candidates, goal, limits.images, timed), goal, limits)
    room = budget - limits.overhead - limits.margin
    alternatives = _by_codec(found) if limits.one_codec else [found]
    solved, refusals, bound = [], [], -math.inf
    for alternative in alternatives:
        try:
            rows, limit = _solve(alternative, room, budget, limits)
        except ClicError as error:
            refusals.append(error)
            continue
        gain = math.fsum(alternative.gain[rows])
        solved.append((gain, alternative, rows))
        bound = max(bound, gain, limit)
    if not solved:
        raise refusals[0]
    gain, best, rows = max(solved, key=lambda entry: entry[0])
    names = [str(name) for name in best.names]
    mixed = len(found.codecs) > 1
    return Selection(
        dict(zip(names, best.point[rows].tolist(), strict=True)),
        limits.overhead + int(best.bytes[rows].sum()),
        goal.score(gain),
        goal.score(bound),
        goal.name,
        budget,
        dict(zip(names, [best.codecs[code] for code in best.codec[rows]], strict=True)) if mixed else {},
    )


def select_sets(
    candidates: pd.DataFrame,
    budgets: Mapping[str, int],
    objective: str | Objective | WeightedSum = "competition",
    constraints: Constraints | None = None,
) -> dict[str, Selection]:
    """One selection for each set of the column `image_set`, each within its own budget and by its own score.

    All constraints hold for each set. Raises ClicError, with the set's name, for a set without a budget or candidates,
    and for a row that names no set.
    """
    present = set(sets_of(candidates))
    for name in sorted(present ^ set(budgets)):
        raise ClicError(f"set {name}: {'no budget' if name in present else 'no candidates'}; give both or neither")
    selections = {}
    for name, budget in budgets.items():
        try:
            rows = candidates[candidates[IMAGE_SET].astype(str) == name]
            selections[name] = select_within(rows, budget, objective, constraints)
        except ClicError as error:
            raise ClicError(f"set {name}: {error}") from error
    return selections


def chosen_rows(candidates: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """The candidates' rows that a selection is made of."""
    image = candidates["image"].astype(str)
    rows = image.map(selection.points) == candidates["point"]
    if selection.codecs:
        rows &= image.map(selection.codecs) == candidates["codec"]
    return candidates[rows]


def _allowed(candidates: Candidates, goal: Objective | WeightedSum, limits: Constraints) -> Candidates:
    """The candidates that keep to what is asked of each image. Raises ClicError where an image has none."""
    kept = np.ones(len(candidates.bytes), bool)
    wanted = []
    if limits.cap is not None:
        kept &= candidates.bytes <= limits.cap
        wanted.append(f"of at most {limits.cap} bytes")
    if limits.worst is not None:
        score = candidates.score
        # a missing score counts as what the objective says, and as the worst where it says nothing
        missing = getattr(goal, "missing", None)
        score = np.where(np.isnan(score), np.nan if missing is None else missing, score)
        kept &= score >= limits.worst if goal.higher_is_better else score <= limits.worst
        wanted.append(f"that scores {'at least' if goal.higher_is_better else 'at most'} {limits.worst:g}")
    if limits.image_seconds is not None:
        kept &= candidates.seconds <= limits.image_seconds
        wanted.append(f"that decodes within {limits.image_seconds:g} s")
    if not wanted:
        return candidates
    without = np.bincount(candidates.image[kept], minlength=len(candidates.names)) == 0
    if without.any():
        name = candidates.names[int(without.argmax())]
        raise ClicError(
            f"image {name} has no candidate {' and '.join(wanted)} ({int(without.sum())} such images); "
            "add candidates or ask for less"
        )
    return candidates.subset(kept)


def _by_codec(candidates: Candidates) -> list[Candidates]:
    """The candidates of each codec that has some for every image. Raises ClicError where none has."""
    alone = []
    for code in range(len(candidates.codecs)):
        of_codec = candidates.codec == code
        if np.bincount(candidates.image[of_codec], minlength=len(candidates.names)).all():
            alone.append(candidates.subset(of_codec))
    if not alone:
        raise ClicError(
            f"none of {', '.join(candidates.codecs)} has candidates of every image; sweep one on all of them"
        )
    return alone


def _solve(candidates: Candidates, room: int, budget: int, limits: Constraints) -> tuple[np.ndarray, float]:
    """The chosen candidates (images,), and an upper bound of the gain, -inf where the choice is proven the best."""
    images = len(candidates.names)
    frontier = pareto(candidates.image, candidates.bytes, candidates.gain, images)
    taken = limits.overhead + limits.margin
    smallest = taken + int(frontier.bytes[frontier.starts[:-1]].sum())
    if smallest > budget:
        raise ClicError(
            f"the smallest choice takes {smallest} bytes ({8 * smallest / candidates.pixels:.4f} bits per "
            f"pixel), the budget is {budget}; add candidates of a lower rate or raise the budget"
        )
    if limits.seconds is not None:
        return solve_timed(candidates, room, limits.seconds)
    choice, bound = solve(frontier, room)
    return frontier.rows[choice], bound
