"""The linear relaxation of the selection: what a byte is worth, what no choice can exceed, and a choice close to it.

With `price` the worth of a byte in gain, no choice within the budget gains more than
ceiling = price * budget + sum over images of max(gain - price * bytes), after H. Everett, "Generalized Lagrange
multiplier method", Operations Research 11 (1963). What a choice falls short of it is its regret: the sum of its
options' losses, loss = max(gain - price * bytes) - (gain - price * bytes) >= 0, and price * (bytes left over).
"""

import math
from dataclasses import dataclass

import numpy as np

from harness.selection.frontier import Frontier, hull


@dataclass(frozen=True)
class Relaxation:
    """A frontier under a price: `loss` (options,), in gain; no choice within `budget` gains more than `ceiling`."""

    frontier: Frontier
    budget: int
    price: float
    loss: np.ndarray
    ceiling: float

    def regret(self, choice: np.ndarray) -> float:
        """What the choice of an option per image (images,) falls short of the ceiling."""
        left = self.budget - int(self.frontier.bytes[choice].sum())
        return math.fsum(self.loss[choice]) + self.price * left


def relax(frontier: Frontier, budget: int) -> tuple[Relaxation, np.ndarray]:
    """The relaxation at the best price, and the greedy choice (images,) within `budget`, which must be reachable.

    Greedy: steps along the convex hulls, steepest first, while they fit, then single changes. The price is the slope
    of the first step that does not fit, 0 where all do: that of the relaxation's optimum.
    """
    choice, price = _climb(frontier, budget)
    choice = _fill(frontier, choice, budget)
    worth = frontier.gain - price * frontier.bytes
    best = np.maximum.reduceat(worth, frontier.starts[:-1])
    loss = np.repeat(best, np.diff(frontier.starts)) - worth
    return Relaxation(frontier, budget, price, loss, price * budget + math.fsum(best)), choice


def _climb(frontier: Frontier, budget: int) -> tuple[np.ndarray, float]:
    """Steps along the hulls while they fit. An image whose next step does not fit takes no further one."""
    corners, slopes = hull(frontier)
    steps = np.flatnonzero(np.isfinite(slopes))
    steps = steps[np.argsort(-slopes[steps], kind="stable")]
    target, image, slope = corners[steps], frontier.image[corners[steps]], slopes[steps]
    size = frontier.bytes[target] - frontier.bytes[corners[steps - 1]]
    choice, price = frontier.starts[:-1].copy(), 0.0
    left = budget - int(frontier.bytes[choice].sum())
    while len(size):
        total = np.cumsum(size)
        fitting = int(np.searchsorted(total, left, side="right"))
        # an image's steps are in order, and of several the last counts
        choice[image[:fitting]] = target[:fitting]
        if fitting == len(size):
            break
        price = price or float(slope[fitting])
        left -= int(total[fitting - 1]) if fitting else 0
        target, image, slope, size = (part[fitting:] for part in (target, image, slope, size))
        # what is left only shrinks: a step that does not fit now never will, nor those that build on it
        stuck_from = np.full(frontier.images, len(size))
        too_large = np.flatnonzero(size > left)[::-1]
        stuck_from[image[too_large]] = too_large
        kept = np.arange(len(size)) < stuck_from[image]
        target, image, slope, size = (part[kept] for part in (target, image, slope, size))
    return choice, price


def _fill(frontier: Frontier, choice: np.ndarray, budget: int) -> np.ndarray:
    """Change one image at a time to the option that gains most, while one fits."""
    choice = choice.copy()
    left = budget - int(frontier.bytes[choice].sum())
    options, image = np.arange(len(frontier.bytes)), frontier.image
    while True:
        chosen = choice[image]
        more = frontier.bytes[options] - frontier.bytes[chosen]
        fits = (options > chosen) & (more <= left)
        if not fits.any():
            return choice
        gains = np.where(fits, frontier.gain[options] - frontier.gain[chosen], -np.inf)
        best = np.flatnonzero(gains == gains.max())[-1]
        choice[image[best]] = options[best]
        left -= int(more[best])
        # an image that nothing fits in now will have nothing later
        alive = np.zeros(frontier.images, bool)
        alive[image[fits]] = True
        options, image = options[alive[image]], image[alive[image]]
