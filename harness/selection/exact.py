"""One operating point per image, so that the set scores best within its bytes: a multiple-choice knapsack.

Method. Let `slope` be the price of a byte, in score, in the linear relaxation. No choice can score more than
U = slope * budget + sum over images of max(value - slope * bytes). What a choice falls short of U is its
regret: the sum of its points' losses, loss = max(value - slope * bytes) - (value - slope * bytes) >= 0, and
of slope * (bytes left over). So all choices with a regret up to some limit consist of points with losses up
to it, and of these there are few. They are enumerated as Pareto states (bytes, loss), half of the images at a
time, and the two halves are joined. If that finds a choice whose regret is within the limit, it is the best
there is; if not, the limit is raised, at most to the regret of the best choice known, first the greedy one.

After D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of
Operational Research 83 (1995), which grows a core of images where this raises a limit of loss.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from harness.errors import ClicError
from harness.scores.aggregate import psnr

COLUMNS = ("image", "width", "height", "point", "bytes", "msssim_competition", "msssim_paper", "mse")
OBJECTIVES = ("competition", "paper", "psnr")
# Sets of photographs need some hundreds of states; a search of more than this is cut short.
MAX_STATES = 20_000


@dataclass(frozen=True)
class Selection:
    """One point per image. `bytes` includes the overhead and never exceeds `budget`.

    `score` is the objective's, MS-SSIM in 0..1 or PSNR in dB; no choice within the budget scores more than
    `bound`. They are equal when the search was completed, as it is for photographs: then no smaller budget
    scores more. After a search cut short one might, by `bound - score` at most.
    """

    points: dict[str, str | int | float]
    bytes: int
    score: float
    bound: float
    objective: str
    budget: int


@dataclass(frozen=True)
class _Options:
    """An image's points worth choosing, by rising bytes and value; `rows` are those of the candidates."""

    rows: np.ndarray
    bytes: np.ndarray
    value: np.ndarray


def select(
    candidates: pd.DataFrame,
    budget: int,
    objective: str = "competition",
    *,
    overhead: int = 0,
    images: Iterable[str] | None = None,
) -> Selection:
    """The best choice of one of its candidates for every image, with `overhead` + sum of bytes <= `budget`.

    `candidates` has a row per image and point with at least COLUMNS. Objectives: "competition" and "paper"
    are the set's MS-SSIM by these definitions, "psnr" the competition's, from pooled error (see
    scores.aggregate). `overhead` are the container's bytes; `images`, where given, are those that must have
    candidates. Raises ClicError for a table or budget with which this cannot be done.
    """
    _check(candidates, objective, images)
    candidates = candidates.reset_index(drop=True)
    value = _values(candidates, objective)
    size = candidates["bytes"].to_numpy(np.int64)
    options = {
        str(image): _worth_choosing(rows, size[rows], value[rows])
        for image, rows in sorted(candidates.groupby("image").indices.items())
    }
    smallest = overhead + sum(int(option.bytes[0]) for option in options.values())
    if smallest > budget:
        pixels = (candidates["width"] * candidates["height"]).groupby(candidates["image"]).first().sum()
        raise ClicError(
            f"the smallest choice takes {smallest} bytes ({8 * smallest / pixels:.4f} bits per "
            f"pixel), the budget is {budget}; add candidates of a lower rate or raise the budget"
        )
    choice, bound = _solve(list(options.values()), budget - overhead)
    rows = [int(option.rows[index]) for option, index in zip(options.values(), choice, strict=True)]
    score = math.fsum(value[rows])
    bound = max(score, bound)
    if objective == "psnr":
        score, bound = psnr(max(0.0, -score)), psnr(max(0.0, -bound))
    points = candidates["point"].tolist()
    return Selection(
        {image: points[row] for image, row in zip(options, rows, strict=True)},
        overhead + int(size[rows].sum()),
        score,
        bound,
        objective,
        budget,
    )


def _check(candidates: pd.DataFrame, objective: str, images: Iterable[str] | None) -> None:
    if objective not in OBJECTIVES:
        raise ClicError(f"no objective {objective!r}; choose one of {', '.join(OBJECTIVES)}")
    missing = [column for column in COLUMNS if column not in candidates]
    if missing:
        raise ClicError(f"the candidates have no column {', '.join(missing)}; sweep anew")
    if candidates.empty:
        raise ClicError("there are no candidates; sweep at least one point of every image")
    absent = sorted(set(images or ()) - set(candidates["image"]))
    if absent:
        raise ClicError(f"{len(absent)} images have no candidates, the first is {absent[0]}; sweep them")
    sizes = candidates[["bytes", "width", "height"]].apply(pd.to_numeric, errors="coerce")
    shapes = candidates.groupby("image")[["width", "height"]].transform("nunique")
    faults = {
        "image or point is empty; sweep anew": candidates[["image", "point"]].isna().any(axis=1),
        "bytes, width and height must be whole numbers above 0; sweep anew": ~((sizes >= 1) & (sizes % 1 == 0)).all(
            axis=1
        ),
        "this point stands there twice; leave one": candidates.duplicated(["image", "point"]),
        "width or height differs from the image's other points; sweep anew": (shapes > 1).any(axis=1),
    }
    if objective == "psnr":
        faults["mse is no number from 0 to 65025; sweep anew"] = ~candidates["mse"].between(0, 255**2)
    if objective == "paper":
        faults[
            "too small for the paper's MS-SSIM, which needs both sides over 160; select by competition or "
            "psnr, or leave the image out"
        ] = candidates["msssim_paper"].isna()
    for fault, rows in faults.items():
        if rows.any():
            row = candidates[rows].iloc[0]
            raise ClicError(
                f"candidates: image {row['image']} ({row['width']}x{row['height']}), point {row['point']}: {fault}"
            )


def _values(candidates: pd.DataFrame, objective: str) -> np.ndarray:
    """What each candidate adds to the set's score; of psnr, to the negative mean squared error."""
    if objective == "paper":
        return (candidates["msssim_paper"] / candidates["image"].nunique()).to_numpy(float)
    pixels = candidates["width"] * candidates["height"]
    share = pixels / pixels.groupby(candidates["image"]).first().sum()
    score = -candidates["mse"] if objective == "psnr" else candidates["msssim_competition"].fillna(0)
    return (share * score).to_numpy(float)


def _worth_choosing(rows: np.ndarray, size: np.ndarray, value: np.ndarray) -> _Options:
    """Without the points than which another is no larger and no worse."""
    kept = _pareto(size, value)
    return _Options(rows[kept], size[kept], value[kept])


def _pareto(size: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Indices by rising size, each of more value than all before it."""
    order = np.lexsort((-value, size))
    best = np.maximum.accumulate(value[order])
    return order[np.r_[True, best[1:] > best[:-1]]]


def _solve(options: list[_Options], budget: int) -> tuple[list[int], float]:
    """Indices into each image's options, and an upper bound of the value."""
    greedy, slope = _greedy(options, budget)
    best = [option.value - slope * option.bytes for option in options]
    losses = [worth.max() - worth for worth in best]
    ceiling = slope * budget + math.fsum(worth.max() for worth in best)

    def regret(choice: list[int]) -> float:
        left = budget - sum(int(option.bytes[index]) for option, index in zip(options, choice, strict=True))
        return math.fsum(loss[index] for loss, index in zip(losses, choice, strict=True)) + slope * left

    choice, proven = greedy, 0.0
    limit = regret(greedy) / 256
    while proven < regret(choice):
        found, complete = _search(options, losses, budget, slope, limit)
        choice = min(choice, found or choice, key=regret)
        if not complete:
            return choice, ceiling - proven
        proven, limit = limit, min(4 * limit, regret(choice))
    return choice, -math.inf


def _greedy(options: list[_Options], budget: int) -> tuple[list[int], float]:
    """Steps along the convex hulls, steepest first, while they fit, then single changes; and a byte's price.

    The price is the slope of the first step that does not fit, 0 where all do.
    """
    steps = sorted((-rise, image, index) for image, option in enumerate(options) for rise, index in _hull(option))
    choice, slope, stuck = [0] * len(options), 0.0, set()
    left = budget - sum(int(option.bytes[0]) for option in options)

    def more(image: int, index: int) -> int:
        return int(options[image].bytes[index] - options[image].bytes[choice[image]])

    for fall, image, index in steps:
        if more(image, index) > left:
            stuck.add(image)
            slope = slope or -fall
        elif image not in stuck:
            left -= more(image, index)
            choice[image] = index
    while True:
        gains = [
            (option.value[index] - option.value[choice[image]], image, index)
            for image, option in enumerate(options)
            for index in range(choice[image] + 1, len(option.rows))
            if more(image, index) <= left
        ]
        if not gains:
            return choice, slope
        _, image, index = max(gains)
        left -= more(image, index)
        choice[image] = index


def _hull(option: _Options) -> list[tuple[float, int]]:
    """The upper convex hull's corners after the first, each with the slope that leads to it; slopes fall."""
    corners: list[tuple[float, int]] = [(math.inf, 0)]
    for index in range(1, len(option.rows)):
        while True:
            slope, last = corners[-1]
            rise = (option.value[index] - option.value[last]) / (option.bytes[index] - option.bytes[last])
            if rise < slope:
                break
            corners.pop()
        corners.append((float(rise), index))
    return corners[1:]


def _search(
    options: list[_Options], losses: list[np.ndarray], budget: int, slope: float, limit: float
) -> tuple[list[int] | None, bool]:
    """The best choice of those with a loss up to `limit`, if any fits; and whether none was left out."""
    # float sums of losses may come out an ulp too large
    limit *= 1 + 1e-9
    # alternating by the number of points in question gives halves of similar size
    order = sorted(range(len(options)), key=lambda image: (-int((losses[image] <= limit).sum()), image))
    left, right = (
        _Half([options[image] for image in part], [losses[image] for image in part], slope, limit)
        for part in (order[0::2], order[1::2])
    )
    # states are sorted by bytes and value, so the best partner is the largest that fits
    partner = np.searchsorted(right.bytes, budget - left.bytes, side="right") - 1
    fits = np.flatnonzero(partner >= 0)
    complete = left.complete and right.complete
    if not fits.size:
        return None, complete
    best = fits[np.argmax(left.value[fits] + right.value[partner[fits]])]
    indices = left.choice(best) + right.choice(partner[best])
    choice = dict(zip(order[0::2] + order[1::2], indices, strict=True))
    return [choice[image] for image in range(len(options))], complete


class _Half:
    """All Pareto states of some images with a loss up to a limit, by rising `bytes` and `value`."""

    def __init__(self, options: list[_Options], losses: list[np.ndarray], slope: float, limit: float) -> None:
        self.bytes, total = np.zeros(1, np.int64), np.zeros(1)
        self.complete = True
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []
        for option, option_loss in zip(options, losses, strict=True):
            loss = np.add.outer(total, option_loss)
            state, index = np.nonzero(loss <= limit)
            loss = loss[state, index]
            size = self.bytes[state] + option.bytes[index]
            kept = _pareto(size, slope * size - loss)
            if kept.size > MAX_STATES:
                self.complete = False
                kept = kept[np.sort(np.argsort(loss[kept], kind="stable")[:MAX_STATES])]
            self.bytes, total = size[kept], loss[kept]
            self._steps.append((state[kept], index[kept]))
        # up to a constant, the same for all states
        self.value = slope * self.bytes - total

    def choice(self, state: int) -> list[int]:
        """The index of the point that each image has in a state."""
        indices = []
        for parents, index in reversed(self._steps):
            indices.append(int(index[state]))
            state = parents[state]
        return indices[::-1]
