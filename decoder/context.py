"""Context models: which neighbours of a position its entropy parameters see, and in which order positions are coded.

All work group by group over the latent's channels (the third dimension of the 3-D context) and differ within a
group. "none": a position sees nothing of its own group, and all are coded together. "3d": a position sees its raster
past within two rows and columns, so that all positions of equal time t = j + 3 i can be coded together, w + 3 (h - 1)
steps instead of w h. "checkerboard": every second position is coded without its own group, then the others see the
ones around them (He et al., "Checkerboard Context Model for Efficient Learned Image Compression", CVPR 2021).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

REACH = 2  # rows and columns that a context looks away
RUN = 4096  # positions that are coded together at most, for memory's sake
PERIOD = 8  # rows and columns after which every order of coding repeats itself


class Step(NamedTuple):
    """Positions coded together, and whether they see their neighbours."""

    rows: np.ndarray
    columns: np.ndarray
    sees: bool


@dataclass(frozen=True)
class ContextModel:
    """Neighbours that a position's entropy parameters see, and the order in which positions are coded.

    `taps` are the offsets (rows, columns) of visible neighbours within REACH; `steps` visits all positions of (h, w)
    once, each after those that it sees. The mask in training and the order of coding follow from these two.
    """

    taps: tuple[tuple[int, int], ...]
    steps: Callable[[int, int], Iterator[Step]]

    def sees(self, height: int, width: int) -> np.ndarray:
        """Which positions see their taps, bool (height, width)."""
        seen = np.zeros((height, width), bool)
        for step in self.steps(height, width):
            seen[step.rows, step.columns] = step.sees and bool(self.taps)
        return seen

    @property
    def alternates(self) -> bool:
        """Whether some positions see their taps and others do not: a bias then tells the two kinds apart."""
        seen = self.sees(PERIOD, PERIOD)
        return bool(seen.any() and not seen.all())


def at_once(height: int, width: int) -> Iterator[Step]:
    """All positions in raster order, in runs of at most RUN; none of them sees another."""
    return _runs(np.ones((height, width), bool), False)


def wavefront(height: int, width: int) -> Iterator[Step]:
    """The positions of each time t = j + 3 i, in order of time, rows rising."""
    step = REACH + 1
    for time in range(width + step * (height - 1)):
        rows = np.arange(max(0, -(-(time - width + 1) // step)), min(height - 1, time // step) + 1)
        if len(rows):
            yield Step(rows, time - step * rows, True)


def checkerboard(height: int, width: int) -> Iterator[Step]:
    """Positions with i + j even, then the others, in raster order and in runs of at most RUN."""
    odd = np.add.outer(np.arange(height), np.arange(width)) % 2 == 1
    yield from _runs(~odd, False)
    yield from _runs(odd, True)


def _runs(chosen: np.ndarray, sees: bool) -> Iterator[Step]:
    rows, columns = np.nonzero(chosen)
    for begin in range(0, len(rows), RUN):
        yield Step(rows[begin : begin + RUN], columns[begin : begin + RUN], sees)


_AROUND = [(di, dj) for di in range(-REACH, REACH + 1) for dj in range(-REACH, REACH + 1)]

CONTEXTS = {
    "none": ContextModel((), at_once),
    "3d": ContextModel(tuple(tap for tap in _AROUND if tap < (0, 0)), wavefront),
    "checkerboard": ContextModel(tuple(tap for tap in _AROUND if sum(tap) % 2), checkerboard),
}
