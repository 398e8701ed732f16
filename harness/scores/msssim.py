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

Written by the difference d = x - y and the sum s = x + y, of which four maps are filtered (d, s, d^2, s^2) for five
(x, y, x^2, y^2, xy), and with which equal windows give exactly 1:
(2 cov + C2) / (var x + var y + C2) = 1 - 2 var d / (var d + var s + 2 C2), and luminance alike with means squared.
The scales are kept as sums of samples, not means: whole numbers of up to 16 bits, exact whatever the order.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from harness.errors import ClicError

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS = 11
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PAPER_MIN_SIDE = (TAPS - 1) * 2 ** (len(WEIGHTS) - 1) + 1

# A filter pass is a product with a banded matrix, BLOCK outputs at a time: wasteful on paper, five times faster than
# scipy.ndimage, and no slower than adding by symmetry first. The four maps of a tile and what is made of them fill a
# second-level cache of 1 MB.
BLOCK = 8
TILE_ROWS, TILE_COLUMNS = 64, 256


@dataclass(frozen=True)
class ImageScore:
    """The scores of one decoded image; `mse` is in squared 8-bit steps, over all RGB samples."""

    msssim_competition: float
    msssim_paper: float
    mse: float


class Reference:
    """An original, uint8 (H, W, 3), with its scales made, to score any number of decoded images against.

    Takes 8 to 10 bytes a pixel. Without `paper` the score by the papers' definition is left out, NaN. Raises
    ClicError for another type or shape.
    """

    def __init__(self, original: np.ndarray, paper: bool = True) -> None:
        _check(original, "the original")
        self._original = original
        self._paper_defined = paper and min(original.shape[:2]) >= PAPER_MIN_SIDE
        self._scales = list(_pyramids(_planes(original), self._paper_defined))

    def score(self, decoded: np.ndarray) -> ImageScore:
        """Score `decoded`, uint8 and of the original's shape; raises ClicError otherwise."""
        _check(decoded, "the decoded image")
        if decoded.shape != self._original.shape:
            (height, width), (rows, columns) = decoded.shape[:2], self._original.shape[:2]
            raise ClicError(
                f"the decoded image is {width}x{height}, the original {columns}x{rows}; decode to the original's size"
            )
        competition, paper = 1.0, np.ones(3)
        pyramids = _pyramids(_planes(decoded), self._paper_defined)
        for scale, (originals, (far_edge, zero_edge)) in enumerate(zip(self._scales, pyramids, strict=True)):
            means = _similarity(originals[0], far_edge, scale)
            mean = float(means.mean())
            competition *= mean ** WEIGHTS[scale] if mean >= 0 else math.nan
            if zero_edge is not far_edge:
                means = _similarity(originals[1], zero_edge, scale)
            paper *= np.maximum(means, 0) ** WEIGHTS[scale]
        mean_paper = float(paper.mean()) if self._paper_defined else math.nan
        return ImageScore(competition, mean_paper, _squared_error(self._original, decoded) / decoded.size)


def _check(image: np.ndarray, what: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ClicError(f"{what} is {image.dtype} {image.shape}; give uint8 (H, W, 3), see images.load_rgb")


def _squared_error(original: np.ndarray, decoded: np.ndarray) -> float:
    """The sum of squared differences, in strips for memory; whole numbers below 2^53 are added exactly."""
    total = 0.0
    for top in range(0, len(original), TILE_ROWS):
        rows = slice(top, top + TILE_ROWS)
        difference = np.subtract(original[rows], decoded[rows], dtype=np.float64).ravel()
        total += float(difference @ difference)
    return total


def _planes(image: np.ndarray) -> np.ndarray:
    """The samples as (3, H, W), uint16."""
    return np.ascontiguousarray(np.moveaxis(image, 2, 0), dtype=np.uint16)


def _pyramids(planes: np.ndarray, with_paper: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Scale by scale the competition's planes and the paper's: one and the same array while they agree.

    At scale n, from 0 on, a sample is a sum of 4^n samples of the image: up to 65,280, which uint16 holds.
    """
    competition = paper = planes
    for _ in WEIGHTS:
        yield competition, paper
        shared = competition is paper and not (with_paper and any(side % 2 for side in competition.shape[1:]))
        competition, before = _halve(competition, before=0), paper
        paper = competition if shared else _halve(before, before=1)


def _halve(planes: np.ndarray, before: int) -> np.ndarray:
    """Sums of 2 x 2 samples; an odd side gets `before` zeros first, or its last sample repeated."""
    odd_sides = [(0, 0), *((side % 2 * before, side % 2 * (1 - before)) for side in planes.shape[1:])]
    if any(map(any, odd_sides)):
        planes = np.pad(planes, odd_sides, mode="constant" if before else "edge")
    rows = planes[:, 0::2] + planes[:, 1::2]
    # two neighbours as one number of twice the bits: whole vectors where every second sample is slow
    pairs = rows.view(np.uint32)
    return ((pairs & 0xFFFF) + (pairs >> 16)).astype(np.uint16)


def _similarity(original: np.ndarray, decoded: np.ndarray, scale: int) -> np.ndarray:
    """Mean over positions, per channel (3,): contrast-structure, at the last scale times luminance."""
    height, width = original.shape[1:]
    taps = min(TAPS, height, width)
    rows, columns = height - taps + 1, width - taps + 1
    total, tiles = np.zeros(3), dict[tuple[int, int], _Tile]()
    for top in range(0, rows, TILE_ROWS):
        for left in range(0, columns, TILE_COLUMNS):
            shape = min(TILE_ROWS, rows - top), min(TILE_COLUMNS, columns - left)
            tile = tiles[shape] = tiles.get(shape) or _Tile(taps, *shape)
            window = (slice(top, top + shape[0] + taps - 1), slice(left, left + shape[1] + taps - 1))
            for channel in range(3):
                total[channel] += tile.similarity(original[channel][window], decoded[channel][window], scale)
    return total / (rows * columns)


class _Tile:
    """Buffers to filter the four maps of a part of two planes, for `rows` x `columns` positions of the window."""

    def __init__(self, taps: int, rows: int, columns: int) -> None:
        margin = taps - 1
        down, across = -(-rows // BLOCK), -(-columns // BLOCK)
        height, width = down * BLOCK, across * BLOCK
        self.band = _band(taps)
        self.band_transposed = np.ascontiguousarray(self.band.T)
        # zeros, for what lies beyond the positions asked for is filtered too, and dropped
        self.maps = np.zeros((4, height + margin, width + margin))
        tall = np.empty((4, height, width + margin))
        # filtered maps take the place of the maps: less to keep in the cache
        filtered = self.maps.reshape(-1)[: 4 * height * width].reshape(4, height, width)
        self.filtered = filtered[:, :rows, :columns]
        # the same buffers as stacks of blocks, those to be filtered overlapping by the margin
        of_map, of_row, of_sample = self.maps.strides
        self.blocks_down = as_strided(
            self.maps, (4, down, BLOCK + margin, width + margin), (of_map, BLOCK * of_row, of_row, of_sample)
        )
        self.tall = tall.reshape(4, down, BLOCK, width + margin)
        self.blocks_across, self.out = (
            as_strided(buffer, (across, 4 * height, samples), (BLOCK * of_sample, *buffer.strides[1:]))
            for buffer, samples in ((tall, BLOCK + margin), (filtered, BLOCK))
        )

    def similarity(self, original: np.ndarray, decoded: np.ndarray, scale: int) -> float:
        """The sum over the positions, from samples (rows + taps - 1, columns + taps - 1); see _similarity."""
        height, width = original.shape
        difference, total, *_ = maps = self.maps[:, :height, :width]
        # by way of the squares' places: a cast and a difference are faster than both at once
        np.copyto(maps[2], original)
        np.copyto(maps[3], decoded)
        np.subtract(maps[2], maps[3], out=difference)
        np.add(maps[2], maps[3], out=total)
        np.square(maps[:2], out=maps[2:])
        np.matmul(self.band, self.blocks_down, out=self.tall)
        np.matmul(self.blocks_across, self.band_transposed, out=self.out)
        means, variances = self.filtered[:2], self.filtered[2:]
        np.square(means, out=means)
        variances -= means
        ratio, denominator = variances
        denominator += ratio
        denominator += 2 * C2 * 16**scale
        ratio /= denominator
        if scale < len(WEIGHTS) - 1:
            return float(ratio.size - 2 * ratio.sum())
        luminance = 1 - 2 * means[0] / (means[0] + means[1] + 2 * C1 * 16**scale)
        return float(((1 - 2 * ratio) * luminance).sum())


def _band(taps: int) -> np.ndarray:
    """The filter as a matrix (BLOCK, BLOCK + taps - 1); an even window sits half a sample off."""
    window = np.exp(-0.5 * ((np.arange(taps) - (taps - 1) / 2) / (1.5 * taps / TAPS)) ** 2)
    band = np.zeros((BLOCK, BLOCK + taps - 1))
    for row in range(BLOCK):
        band[row, row : row + taps] = window / window.sum()
    return band
