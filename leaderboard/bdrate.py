"""BD-rate: by how many per cent one codec's rate differs from another's at equal score, on average (VCEG-M33).

Both curves are log rate over the score, interpolated; their mean difference over the scores that both reach is turned
back into per cent. What the figure rests on stands beside it: method, overlap, points.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import Akima1DInterpolator, PchipInterpolator

from harness.errors import ClicError
from leaderboard.curves import Curve, Point, comparable

FEWEST_POINTS = 3
LEAST_OVERLAP = 0.5

Integral = Callable[[float, float], float]


def _cubic(score: np.ndarray, log_rate: np.ndarray) -> Integral:
    """One polynomial of third degree through all points, as in VCEG-M33; a least-squares fit of more than four."""
    integral = np.polynomial.Polynomial.fit(score, log_rate, 3).integ()
    return lambda low, high: float(integral(high) - integral(low))


def _pchip(score: np.ndarray, log_rate: np.ndarray) -> Integral:
    return lambda low, high: float(PchipInterpolator(score, log_rate).integrate(low, high))


def _akima(score: np.ndarray, log_rate: np.ndarray) -> Integral:
    return lambda low, high: float(Akima1DInterpolator(score, log_rate).integrate(low, high))


METHODS: Mapping[str, Callable[[np.ndarray, np.ndarray], Integral]] = {
    "pchip": _pchip,
    "akima": _akima,
    "cubic": _cubic,
}


@dataclass(frozen=True)
class BDRate:
    """A BD-rate and what it rests on.

    `percent` is negative where the test codec needs less, and None where `reason` says why there is no figure.
    `overlap` is the share, 0 to 1, of the shorter curve's range of scores that both reach, `low` to `high` in dB.
    `points` counts the test's and the anchor's points that were used, `left_out` those that were not, because another
    point of the same curve has at least its score for at most its rate, or because they are without loss.
    """

    test: str
    anchor: str
    percent: float | None
    method: str
    overlap: float
    low: float
    high: float
    points: tuple[int, int]
    left_out: tuple[int, int]
    note: str = ""
    reason: str = ""


def frontier(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: rising rate and strictly rising, finite score."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bpp, -point.score)):
        if math.isfinite(point.score) and (not kept or point.score > kept[-1].score):
            kept.append(point)
    return kept


def bd_rate(test: Curve, anchor: Curve, method: str = "pchip", least_overlap: float = LEAST_OVERLAP) -> BDRate:
    """The BD-rate of `test` against `anchor`, which pass `comparable` first.

    There is no figure, but a reason, for curves that may not be mixed, for fewer than three points, and where the
    curves share less than `least_overlap` of the shorter one's range. Raises ClicError for a method that there is not.
    """
    if method not in METHODS:
        raise ClicError(f"no BD-rate by {method!r}; there are {', '.join(METHODS)}")
    try:
        pair = comparable(test, anchor)
    except ClicError as error:
        counts = (len(test.points), len(anchor.points))
        return BDRate(
            test.title, anchor.title, None, method, 0.0, math.nan, math.nan, counts, (0, 0), reason=str(error)
        )
    used = frontier(pair.test.points), frontier(pair.anchor.points)
    low, high, overlap = _overlap(*used)
    reason = _reason(pair.test, pair.anchor, used, overlap, least_overlap)
    return BDRate(
        test=test.title,
        anchor=anchor.title,
        percent=None if reason else _percent(*used, low, high, method),
        method=method,
        overlap=overlap,
        low=low,
        high=high,
        points=(len(used[0]), len(used[1])),
        left_out=(len(pair.test.points) - len(used[0]), len(pair.anchor.points) - len(used[1])),
        note=pair.note,
        reason=reason,
    )


def _overlap(test: Sequence[Point], anchor: Sequence[Point]) -> tuple[float, float, float]:
    """Lowest and highest score that both reach, and the share of the shorter range that this is."""
    if min(len(test), len(anchor)) < 2:
        return math.nan, math.nan, 0.0
    low = max(test[0].score, anchor[0].score)
    high = min(test[-1].score, anchor[-1].score)
    shorter = min(test[-1].score - test[0].score, anchor[-1].score - anchor[0].score)
    return low, high, max(0.0, high - low) / shorter


def _reason(
    test: Curve, anchor: Curve, used: tuple[Sequence[Point], Sequence[Point]], overlap: float, least: float
) -> str:
    for curve, points in zip((test, anchor), used, strict=True):
        if len(points) < FEWEST_POINTS:
            return f"{curve.title} has {len(points)} usable points, and {FEWEST_POINTS} are the fewest"
    if overlap > 0 and overlap >= least:
        return ""
    ranges = " and ".join(
        f"{curve.title} {points[0].score:.2f} to {points[-1].score:.2f} dB"
        for curve, points in zip((test, anchor), used, strict=True)
    )
    return f"the curves share {overlap:.0%} of the shorter one's scores, and {least:.0%} is the least: {ranges}"


def _percent(test: Sequence[Point], anchor: Sequence[Point], low: float, high: float, method: str) -> float:
    areas = [
        METHODS[method](np.array([point.score for point in points]), np.log([point.bpp for point in points]))(low, high)
        for points in (test, anchor)
    ]
    return 100 * math.expm1((areas[0] - areas[1]) / (high - low))
