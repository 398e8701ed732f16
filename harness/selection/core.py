"""The exact search: all choices with a regret up to a limit, of which there are few, by Pareto states.

Choices with a regret up to some limit consist of options with losses up to it (see relaxation). An image with one
such option has it in all of them; the others, the core, are enumerated as Pareto states (bytes, loss), half of them
at a time, and the two halves are joined. If that finds a choice whose regret is within the limit, it is the best
there is; if not, the limit is raised, at most to the regret of the best choice known, first the greedy one.

After D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of
Operational Research 83 (1995), which grows a core of images where this raises a limit of loss.
"""

import math

import numpy as np

from harness.selection.frontier import Frontier
from harness.selection.relaxation import Relaxation, relax

# Sets of photographs need some hundreds of states and images; a search of more than this is cut short.
MAX_STATES = 20_000
MAX_CORE = 5_000


def solve(frontier: Frontier, budget: int) -> tuple[np.ndarray, float]:
    """The best option of every image (images,) within `budget`, which must be reachable; and an upper bound of gain.

    The bound is -inf where the choice is proven to be the best, as it is unless a limit above cuts the search short.
    """
    relaxation, greedy = relax(frontier, budget)
    choice, regret, proven = greedy, relaxation.regret(greedy), 0.0
    limit = regret / 256
    while proven < regret:
        found, complete = _search(relaxation, limit)
        if found is not None and relaxation.regret(found) < regret:
            choice, regret = found, relaxation.regret(found)
        if not complete:
            return choice, relaxation.ceiling - proven
        proven, limit = limit, min(4 * limit, regret)
    return choice, -math.inf


def _search(relaxation: Relaxation, limit: float) -> tuple[np.ndarray | None, bool]:
    """The best choice of those with a loss up to `limit`, if any fits; and whether none was left out."""
    # float sums of losses may come out an ulp too large
    limit *= 1 + 1e-9
    frontier = relaxation.frontier
    within = np.flatnonzero(relaxation.loss <= limit)
    counts = np.diff(np.searchsorted(within, frontier.starts))
    choice = within[np.cumsum(counts) - counts]
    core = np.flatnonzero(counts > 1)
    if len(core) > MAX_CORE:
        return None, False
    # alternating by the number of points in question gives halves of similar size
    order = core[np.argsort(-counts[core], kind="stable")]
    firsts = np.cumsum(counts) - counts
    left, right = (
        _Half([within[firsts[image] : firsts[image] + counts[image]] for image in part], relaxation, limit)
        for part in (order[0::2], order[1::2])
    )
    fixed = int(frontier.bytes[choice[counts == 1]].sum())
    # states are sorted by bytes and value, so the best partner is the largest that fits
    partner = np.searchsorted(right.bytes, relaxation.budget - fixed - left.bytes, side="right") - 1
    fits = np.flatnonzero(partner >= 0)
    complete = left.complete and right.complete
    if not fits.size:
        return None, complete
    best = int(fits[np.argmax(left.value[fits] + right.value[partner[fits]])])
    choice[order[0::2]] = left.choice(best)
    choice[order[1::2]] = right.choice(int(partner[best]))
    return choice, complete


class _Half:
    """All Pareto states of some images with a loss up to a limit, by rising `bytes` and `value`."""

    def __init__(self, options: list[np.ndarray], relaxation: Relaxation, limit: float) -> None:
        frontier, price = relaxation.frontier, relaxation.price
        self.bytes, total = np.zeros(1, np.int64), np.zeros(1)
        self.complete = True
        self._steps: list[tuple[np.ndarray, np.ndarray]] = []
        for of_image in options:
            loss = np.add.outer(total, relaxation.loss[of_image])
            state, index = np.nonzero(loss <= limit)
            loss = loss[state, index]
            size = self.bytes[state] + frontier.bytes[of_image[index]]
            kept = _pareto(size, price * size - loss)
            if kept.size > MAX_STATES:
                self.complete = False
                kept = kept[np.sort(np.argsort(loss[kept], kind="stable")[:MAX_STATES])]
            self.bytes, total = size[kept], loss[kept]
            self._steps.append((state[kept], of_image[index[kept]]))
        # up to a constant, the same for all states
        self.value = price * self.bytes - total

    def choice(self, state: int) -> list[int]:
        """The option that each image has in a state."""
        chosen = []
        for parents, option in reversed(self._steps):
            chosen.append(int(option[state]))
            state = int(parents[state])
        return chosen[::-1]


def _pareto(size: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Indices by rising size, each of more value than all before it."""
    order = np.lexsort((-value, size))
    best = np.maximum.accumulate(value[order])
    return order[np.r_[True, best[1:] > best[:-1]]]
