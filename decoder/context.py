"""Context models: which neighbours of a position its entropy parameters see, and in which order positions are coded.

Both work group by group over the latent's channels (the third dimension of the 3-D context) and differ within a
group. "3d": a position sees its raster past within two rows and columns, so that all positions of equal time
t = j + 3 i can be coded together, w + 3 (h - 1) steps instead of w h. "checkerboard": every second position is coded
without its own group, then the others see the ones around them (He et al., "Checkerboard Context Model for Efficient
Learned Image Compression", CVPR 2021).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

REACH = 2  # rows and columns that a context looks away
RUN = 4096  # positions that the checkerboard codes together, for memory's sake


class Step(NamedTuple):
    """Positions coded together, and whether they see their neighbours."""

    rows: np.ndarray
    columns: np.ndarray
    sees: bool


@dataclass(frozen=True)
class Context:
    """`taps` are the offsets (rows, columns) of visible neighbours; `steps` visits all positions of (h, w) once."""

    taps: tuple[tuple[int, int], ...]
    steps: Callable[[int, int], Iterator[Step]]


def wavefront(height: int, width: int) -> Iterator[Step]:
    """The positions of each time t = j + 3 i, in order of time, rows rising."""
    step = REACH + 1
    for time in range(width + step * (height - 1)):
        rows = np.arange(max(0, -(-(time - width + 1) // step)), min(height - 1, time // step) + 1)
        if len(rows):
            yield Step(rows, time - step * rows, True)


def checkerboard(height: int, width: int) -> Iterator[Step]:
    """Positions with i + j even, then the others, in raster order and in runs of at most RUN."""
    for parity in (0, 1):
        rows, columns = np.nonzero(np.add.outer(np.arange(height), np.arange(width)) % 2 == parity)
        for begin in range(0, len(rows), RUN):
            yield Step(rows[begin : begin + RUN], columns[begin : begin + RUN], parity == 1)


_AROUND = [(di, dj) for di in range(-REACH, REACH + 1) for dj in range(-REACH, REACH + 1)]

CONTEXTS = {
    "3d": Context(tuple(tap for tap in _AROUND if tap < (0, 0)), wavefront),
    "checkerboard": Context(tuple(tap for tap in _AROUND if sum(tap) % 2), checkerboard),
}
