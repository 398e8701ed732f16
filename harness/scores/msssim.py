"""MS-SSIM and squared error of a decoded image, by the competition's definition and by the papers'.

Both: RGB, range 0..255, five scales, Gaussian window of 11 taps (sigma 1.5), 'valid' region,
contrast-structure at scales 1 to 4 and full SSIM at scale 5, a weighted product. They differ in this:

- competition (the published scoring code, tallamjr/clic, metrics/msssim.py): a scale's maps are averaged over
  positions and channels, then one product; a window that does not fit shrinks; an odd side is halved with its
  last sample repeated; a negative mean makes the score NaN.
- paper (pytorch-msssim 1.0.0, in float64 with an exact window): a product per channel, then the mean of the
  three; an odd side is halved with a zero before its first sample; negative means count as 0; undefined, here
  NaN, unless both sides are over 160.

Until the first odd side the two pyramids are the same, and their filtering is shared.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.errors import ClicError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS = 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PAPER_MIN_SIDE = (TAPS - 1) * 2 ** (len(WEIGHTS) - 1) + 1

# A filter pass is a product with a banded matrix, so many outputs at a time: wasteful on paper, nearly four
# times faster than scipy.ndimage. 16 rows of 2048 samples in three maps fill a second-level cache of 1 MB.
ROWS, COLUMNS = 16, 32


@dataclass(frozen=True)
class ImageScore:
    """The scores of one decoded image; `mse` is in squared 8-bit steps, over all RGB samples."""

    msssim_competition: float
    msssim_paper: float
    mse: float


class Reference:
    """An original, uint8 (H, W, 3), with everything filtered that does not depend on the decoded image.

    Takes about 100 bytes a pixel. Raises ClicError for another type or shape.
    """

    def __init__(self, original: np.ndarray) -> None:
        _check(original, "the original")
        self._shape = original.shape
        self._paper_defined = min(original.shape[:2]) >= PAPER_MIN_SIDE
        self._levels: list[tuple[_Level, _Level]] = []
        for scale, (far_edge, zero_edge) in enumerate(_pyramids(_planes(original), self._paper_defined)):
            competition = _Level(far_edge, last=scale == len(WEIGHTS) - 1)
            paper = competition if zero_edge is far_edge else _Level(zero_edge, competition.last)
            self._levels.append((competition, paper))

    def score(self, decoded: np.ndarray) -> ImageScore:
        """Score `decoded`, uint8 and of the original's shape; raises ClicError otherwise."""
        _check(decoded, "the decoded image")
        if decoded.shape != self._shape:
            (height, width), (rows, columns) = decoded.shape[:2], self._shape[:2]
            raise ClicError(
                f"the decoded image is {width}x{height}, the original {columns}x{rows}; decode to the original's size"
            )
        planes = _planes(decoded)
        original = self._levels[0][0].planes
        # channel by channel for memory; whole numbers below 2^53 are added exactly
        squares = sum(float(np.square(original[c] - planes[c], dtype=np.float64).sum()) for c in range(3))
        competition, paper = 1.0, np.ones(3)
        pyramids = _pyramids(planes, self._paper_defined)
        for weight, levels, (far_edge, zero_edge) in zip(WEIGHTS, self._levels, pyramids, strict=True):
            means = levels[0].compare(far_edge)
            mean = float(means.mean())
            competition *= mean**weight if mean >= 0 else math.nan
            if zero_edge is not far_edge:
                means = levels[1].compare(zero_edge)
            paper *= np.maximum(means, 0) ** weight
        mean_paper = float(paper.mean()) if self._paper_defined else math.nan
        return ImageScore(competition, mean_paper, squares / planes.size)


class _Level:
    """One scale of an original: `planes` (3, H, W), and the mean and variance + C2 of every window."""

    def __init__(self, planes: np.ndarray, last: bool) -> None:
        self.planes, self.last = planes, last
        height, width = planes.shape[1:]
        self.taps = min(TAPS, height, width)
        self.bands = [
            _band(self.taps, min(block, side - self.taps + 1)) for block, side in ((ROWS, height), (COLUMNS, width))
        ]
        self.mean = np.empty((3, height - self.taps + 1, width - self.taps + 1))
        self.variance = np.empty_like(self.mean)
        for strip, rows in self._strips():
            samples = planes[rows].astype(np.float64)
            mean, square = _filter(np.stack([samples, samples * samples]), *self.bands)
            self.mean[strip] = mean
            self.variance[strip] = square - mean * mean + C2

    def _strips(self) -> Iterator[tuple[tuple[int, slice], tuple[int, slice]]]:
        """Where a strip's windows are in the maps, and where the samples under them are in the planes."""
        for channel in range(3):
            for top in range(0, self.mean.shape[1], ROWS):
                bottom = min(top + ROWS, self.mean.shape[1])
                yield (channel, slice(top, bottom)), (channel, slice(top, bottom + self.taps - 1))

    def compare(self, decoded: np.ndarray) -> np.ndarray:
        """Mean over positions, per channel (3,): contrast-structure, at the last scale times luminance.

        Written by the difference d = x - y, so that equal windows give exactly 1:
        (2 cov + C2) / (var x + var y + C2) = 1 - var d / (var x + var y + C2), and luminance alike.
        """
        total = np.zeros(3)
        for strip, rows in self._strips():
            samples = decoded[rows]
            maps = np.empty((3, *samples.shape))
            np.subtract(self.planes[rows], samples, out=maps[0])
            np.square(maps[0], out=maps[1])
            np.square(samples, out=maps[2], dtype=np.float64)
            difference, difference_square, square = _filter(maps, *self.bands)
            mean_square = np.square(self.mean[strip] - difference)
            square -= mean_square
            square += self.variance[strip]
            np.square(difference, out=difference)
            difference_square -= difference
            difference_square /= square
            similarity = 1 - difference_square
            if self.last:
                similarity *= 1 - difference / (np.square(self.mean[strip]) + mean_square + C1)
            total[strip[0]] += similarity.sum()
        return total / self.mean[0].size


def _check(image: np.ndarray, what: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ClicError(f"{what} is {image.dtype} {image.shape}; give uint8 (H, W, 3), see images.load_rgb")


def _planes(image: np.ndarray) -> np.ndarray:
    """Float32 (3, H, W). Exact at all scales: each halving adds two bits to the eight; there are 24."""
    return np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.float32)


def _pyramids(planes: np.ndarray, with_paper: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scale by scale the competition's planes and the paper's: one and the same array while they agree."""
    competition = paper = planes
    for _ in WEIGHTS:
        yield competition, paper
        shared = competition is paper and not (with_paper and any(side % 2 for side in competition.shape[1:]))
        competition, before = _halve(competition, before=0), paper
        paper = competition if shared else _halve(before, before=1)


def _halve(planes: np.ndarray, before: int) -> np.ndarray:
    """Means of 2 x 2 samples; an odd side gets `before` zeros first, or its last sample repeated."""
    odd_sides = [(0, 0), *((side % 2 * before, side % 2 * (1 - before)) for side in planes.shape[1:])]
    planes = np.pad(planes, odd_sides, mode="constant" if before else "edge")
    rows = planes[:, 0::2] + planes[:, 1::2]
    return (rows[:, :, 0::2] + rows[:, :, 1::2]) * np.float32(0.25)


def _band(taps: int, outputs: int) -> np.ndarray:
    """The filter as a matrix (outputs, outputs + taps - 1); an even window sits half a sample off."""
    window = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) / (1.5 * taps / TAPS)) ** 2)
    band = np.zeros((outputs, outputs + taps - 1))
    for row in range(outputs):
        band[row, row : row + taps] = window / window.sum()
    return band


def _filter(maps: np.ndarray, vertical: np.ndarray, horizontal: np.ndarray) -> np.ndarray:
    """Filter (N, rows + taps - 1, columns + taps - 1) to (N, rows, columns), with up to ROWS rows."""
    count, height, width = maps.shape
    margin = vertical.shape[1] - vertical.shape[0]
    rows, columns = height - margin, width - margin
    tall = np.matmul(vertical[:rows, :height], maps).reshape(count * rows, width)
    out = np.empty((count * rows, columns))
    for left in range(0, columns, COLUMNS):
        block = min(COLUMNS, columns - left)
        np.matmul(
            tall[:, left : left + block + margin],
            horizontal[:block, : block + margin].T,
            out=out[:, left : left + block],
        )
    return out.reshape(count, rows, columns)
