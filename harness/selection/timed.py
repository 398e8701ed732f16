"""A selection with a second resource, the seconds of decoding: a bound, and a choice close to it.

A second is given a price, charged to the gains, and the bytes are shared out as without a limit (core). What that
gains, with the price of all the seconds allowed, bounds every choice within both limits. The best price is found by
the line through the best choice that takes too long and the best that does not, until no choice lies above it, after
A. Juttner et al., "Lagrange relaxation based method for the QoS routing problem", INFOCOM 2001. Choices on the
way that keep to the limit are improved by single changes. The bound is met, and the choice proven the best, where the
limit does not bind; otherwise a gap of about one image's step is usual.
"""

import math

import numpy as np

from harness.errors import ClicError
from harness.selection.core import solve
from harness.selection.frontier import pareto
from harness.selection.table import Candidates

MAX_PRICES = 30


def solve_timed(candidates: Candidates, budget: int, seconds: float) -> tuple[np.ndarray, float]:
    """The chosen candidates (images,) within `budget` bytes and `seconds`, and an upper bound of their gain.

    The bound is -inf where the choice is proven the best. Raises ClicError where no choice keeps to both.
    """
    slow, bound = _share_out(candidates, budget, candidates.gain)
    if _sum(candidates.seconds, slow) <= seconds:
        return slow, bound
    quick, _ = _share_out(candidates, budget, -candidates.seconds)
    if _sum(candidates.seconds, quick) > seconds:
        raise ClicError(
            f"the fastest choice within the budget takes {_sum(candidates.seconds, quick):.6g} s to decode, the limit "
            f"is {seconds:g} s; add faster candidates or raise a limit"
        )
    best, ceiling = _improve(candidates, quick, budget, seconds), max(bound, _sum(candidates.gain, slow))
    for _ in range(MAX_PRICES):
        rise = _sum(candidates.gain, slow) - _sum(candidates.gain, quick)
        price = rise / (_sum(candidates.seconds, slow) - _sum(candidates.seconds, quick))
        if price <= 0:
            break
        charged = candidates.gain - price * candidates.seconds
        found, bound = _share_out(candidates, budget, charged)
        ceiling = min(ceiling, max(bound, _sum(charged, found)) + price * seconds)
        if _sum(charged, found) <= _sum(charged, slow) * (1 + 1e-12):
            break
        if _sum(candidates.seconds, found) > seconds:
            slow = found
        else:
            quick = found
            improved = _improve(candidates, found, budget, seconds)
            best = max(best, improved, key=lambda rows: _sum(candidates.gain, rows))
    proven = ceiling <= _sum(candidates.gain, best)
    return best, -math.inf if proven else ceiling


def _share_out(candidates: Candidates, budget: int, gain: np.ndarray) -> tuple[np.ndarray, float]:
    """The best choice by another gain within the bytes alone, and its bound; see core.solve."""
    frontier = pareto(candidates.image, candidates.bytes, gain, len(candidates.names))
    choice, bound = solve(frontier, budget)
    return frontier.rows[choice], bound


def _improve(candidates: Candidates, rows: np.ndarray, budget: int, seconds: float) -> np.ndarray:
    """Change one image at a time to the candidate that gains most, while one keeps to both limits."""
    rows = rows.copy()
    pool = np.arange(len(candidates.image))
    while True:
        chosen = rows[candidates.image[pool]]
        gains = candidates.gain[pool] - candidates.gain[chosen]
        room = budget - int(candidates.bytes[rows].sum())
        time = seconds - _sum(candidates.seconds, rows)
        more_bytes = candidates.bytes[pool] - candidates.bytes[chosen]
        more_seconds = candidates.seconds[pool] - candidates.seconds[chosen]
        fits = (gains > 0) & (more_bytes <= room) & (more_seconds <= time)
        if not fits.any():
            return rows
        best = pool[np.argmax(np.where(fits, gains, -np.inf))]
        rows[candidates.image[best]] = best
        alive = np.zeros(len(candidates.names), bool)
        alive[candidates.image[pool[fits]]] = True
        pool = pool[alive[candidates.image[pool]]]


def _sum(column: np.ndarray, rows: np.ndarray) -> float:
    return math.fsum(column[rows])
