"""A selection with a second resource, the seconds of decoding: a bound, and a choice close to it.

A second is given a price, charged to the gains, and the bytes are shared out as without a limit (core). What that
gains, with the price of all the seconds allowed, bounds every choice within both limits. The best price is found by
the line through the best choice that takes too long and the best that does not, until no choice lies above it, after
A. Juttner et al., "Lagrange relaxation based method for the QoS routing problem", INFOCOM 2001. Choices on the
way that keep to the limit are improved by single changes.

What is left between the choice and the bound rules out every candidate that loses more at these prices. Where few
remain, as they do for sets of photographs, an integer program over them (HiGHS, by scipy) ends the search: the choice
is then the best to that solver's tolerance, some billionths of the gap. Otherwise the gap stays, of about one image's
step.
"""

import math

import numpy as np

from harness.errors import ClicError
from harness.selection.core import solve
from harness.selection.frontier import pareto
from harness.selection.relaxation import relax
from harness.selection.table import Candidates

MAX_PRICES = 30
MAX_PROGRAM = 5_000
PROGRAM_SECONDS = 20


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
    best_price = 0.0
    for _ in range(MAX_PRICES):
        rise = _sum(candidates.gain, slow) - _sum(candidates.gain, quick)
        price = rise / (_sum(candidates.seconds, slow) - _sum(candidates.seconds, quick))
        if price <= 0:
            break
        charged = candidates.gain - price * candidates.seconds
        found, bound = _share_out(candidates, budget, charged)
        at_price = max(bound, _sum(charged, found)) + price * seconds
        if at_price < ceiling:
            ceiling, best_price = at_price, price
        if _sum(charged, found) <= _sum(charged, slow) * (1 + 1e-12):
            break
        if _sum(candidates.seconds, found) > seconds:
            slow = found
        else:
            quick = found
            improved = _improve(candidates, found, budget, seconds)
            best = max(best, improved, key=lambda rows: _sum(candidates.gain, rows))
    if ceiling > _sum(candidates.gain, best):
        best, ceiling = _finish(candidates, (budget, seconds), best_price, best, ceiling)
    return best, -math.inf if ceiling <= _sum(candidates.gain, best) else ceiling


def _finish(
    candidates: Candidates, limits: tuple[int, float], price: float, best: np.ndarray, ceiling: float
) -> tuple[np.ndarray, float]:
    """The best choice within `limits` (bytes, seconds) and its bound, by an integer program over what can be in it.

    `price` is that of a second, `best` the best choice known. Gives back `best` and `ceiling` where too much remains.
    """
    budget, seconds = limits
    charged = candidates.gain - price * candidates.seconds
    relaxation, _ = relax(pareto(candidates.image, candidates.bytes, charged, len(candidates.names)), budget)
    worth = charged - relaxation.price * candidates.bytes
    most = np.full(len(candidates.names), -np.inf)
    np.maximum.at(most, candidates.image, worth)
    known = _sum(candidates.gain, best)
    room = relaxation.price * budget + price * seconds + math.fsum(most) - known
    kept = np.flatnonzero(most[candidates.image] - worth <= room * (1 + 1e-9))
    if len(kept) > MAX_PROGRAM or room <= 0:
        return best, ceiling
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_matrix

    image = candidates.image[kept]
    one_each = csr_matrix((np.ones(len(kept)), (image, np.arange(len(kept)))), (len(most), len(kept)))
    # the solver stops at a gap of 1e-6, whatever the unit: so that unit is small
    scale = 1e3 / room
    result = milp(
        -scale * (candidates.gain[kept] - candidates.gain[best][image]),
        integrality=np.ones(len(kept)),
        bounds=Bounds(0, 1),
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(candidates.bytes[kept][None].astype(float), -np.inf, budget),
            LinearConstraint(candidates.seconds[kept][None], -np.inf, seconds),
        ],
        options={"mip_rel_gap": 0, "time_limit": PROGRAM_SECONDS},
    )
    if result.x is not None:
        found = kept[result.x > 0.5]
        found = found[np.argsort(candidates.image[found])]
        # the solver's limits are soft by a millionth, ours are not
        sound = np.array_equal(candidates.image[found], np.arange(len(most)))
        if sound and int(candidates.bytes[found].sum()) <= budget and _sum(candidates.seconds, found) <= seconds:
            best = max(best, found, key=lambda rows: _sum(candidates.gain, rows))
    bound = ceiling if result.mip_dual_bound is None else known - result.mip_dual_bound / scale
    reached = bound - _sum(candidates.gain, best) <= 2e-6 / scale
    return best, -math.inf if reached else min(ceiling, bound)


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
