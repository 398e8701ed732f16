"""Which candidates are worth choosing: the Pareto frontier and the convex hull of every image, all images at once."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frontier:
    """The options of all images, image after image, each by strictly rising bytes and gain.

    `rows` are the candidates' own indices; image i has the options from `starts[i]` up to `starts[i + 1]`.
    """

    rows: np.ndarray
    bytes: np.ndarray
    gain: np.ndarray
    starts: np.ndarray

    @property
    def images(self) -> int:
        """How many images there are; each has at least one option."""
        return len(self.starts) - 1

    @property
    def image(self) -> np.ndarray:
        """The image of every option."""
        return np.repeat(np.arange(self.images), np.diff(self.starts))


def pareto(image: np.ndarray, size: np.ndarray, gain: np.ndarray, images: int) -> Frontier:
    """Without the candidates than which another of the image is no larger and no worse; of equals the first stays.

    `image` (int, from 0 to `images` - 1, each at least once), `size` in bytes (int64) and `gain` have one element a
    candidate.
    """
    order = _by_image_and_size(image, size, gain)
    image, gain = image[order], gain[order]
    starts = np.searchsorted(image, np.arange(images))
    worth = gain > _best_before(gain, np.arange(len(image)) - starts[image])
    rows = order[worth]
    counts = np.bincount(image[worth], minlength=images)
    return Frontier(rows, size[rows], gain[worth], np.concatenate([[0], np.cumsum(counts)]))


def _by_image_and_size(image: np.ndarray, size: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """Indices by image, then bytes, then falling gain. One key where it fits into 63 bits: half the time."""
    span = int(size.max()) + 1
    if (int(image.max()) + 1) * span >= 2**63:
        return np.lexsort((-gain, size, image))
    key = image.astype(np.int64) * span + size
    if (key[1:] > key[:-1]).all():
        return np.arange(len(key))
    order = np.argsort(key, kind="stable")
    key = key[order]
    equal = key[1:] == key[:-1]
    tied = np.flatnonzero(np.concatenate([equal, [False]]) | np.concatenate([[False], equal]))
    order[tied] = order[tied][np.lexsort((-gain[order[tied]], key[tied]))]
    return order


def _best_before(gain: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The largest gain before each option of its image, -inf for the first; by doubling, as a prefix sum."""
    best = np.full(len(gain), -np.inf)
    best[1:] = np.where(position[1:] > 0, gain[:-1], -np.inf)
    reach, longest = 1, int(position.max(initial=0))
    while reach < longest:
        earlier = best[:-reach].copy()
        np.maximum(best[reach:], earlier, out=best[reach:], where=position[reach:] > reach)
        reach *= 2
    return best


def hull(frontier: Frontier) -> tuple[np.ndarray, np.ndarray]:
    """The corners of each image's upper convex hull, as options, and the slope that leads to each (gain a byte).

    Slopes of an image strictly fall; its first corner, the smallest option, has the slope inf.
    """
    corners, image = np.arange(len(frontier.bytes)), frontier.image
    while True:
        slopes = np.full(len(corners), np.inf)
        rise = np.diff(frontier.gain[corners])
        inside = image[1:] == image[:-1]
        # across images the difference in bytes may be 0 and means nothing
        np.divide(rise, np.diff(frontier.bytes[corners]), out=slopes[1:], where=inside)
        # below or on the line between its neighbours: no corner, whichever of them is one
        flat = np.zeros(len(corners), bool)
        flat[1:-1] = inside[:-1] & inside[1:] & (slopes[1:-1] <= slopes[2:])
        if not flat.any():
            return corners, slopes
        corners, image = corners[~flat], image[~flat]
