"""Photographs small enough to embed: thumbnails, and the 1:1 crop where a decoded image is worst."""

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from harness.errors import ClicError

THUMBNAIL_WIDTH = 480
CROP = 224


@dataclass(frozen=True)
class Picture:
    """An encoded picture as a data: URI, with its size in pixels."""

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Pair:
    """One version of a photograph, twice: the whole, small; and the crop at its own resolution."""

    whole: Picture
    crop: Picture


@dataclass(frozen=True)
class Comparison:
    """The original and, by rate, what was decoded; `left` and `top` are the crop's corner, in pixels."""

    original: Pair
    decoded: Mapping[float, Pair]
    left: int
    top: int


def _load(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise ClicError(
            f"{path}: no such image; run `clic submit` again, or give the originals' folder as it was then"
        ) from error
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: not a readable image ({error}); replace it") from error


def _encode(image: Image.Image, kind: str, **options: int | bool) -> Picture:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return Picture(f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}", *image.size)


def _worst_corner(original: Image.Image, decoded: Image.Image, width: int, height: int) -> tuple[int, int]:
    """Left and top of the window of that size with the largest squared luma error, on a grid of 8 pixels."""
    difference = np.asarray(ImageChops.difference(original.convert("L"), decoded.convert("L")), dtype=np.int64)
    summed = np.pad(difference**2, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    errors = (
        summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    )[::8, ::8]
    top, left = np.unravel_index(int(errors.argmax()), errors.shape)
    return 8 * int(left), 8 * int(top)


def compare(original: Path, decoded: Mapping[float, Path]) -> Comparison:
    """Read one original and its decoded versions by rate, each file once.

    The crop is one place for all versions: where the lowest rate's squared error is largest.
    Raises ClicError for a missing or unreadable image and for one of another size than its original.
    """
    reference = _load(original)
    size = (
        min(THUMBNAIL_WIDTH, reference.width),
        max(1, round(reference.height * min(1.0, THUMBNAIL_WIDTH / reference.width))),
    )
    width, height = min(CROP, reference.width), min(CROP, reference.height)
    left = top = 0

    def pair(image: Image.Image) -> Pair:
        # reducing_gap lets a cheap box filter do most of a large reduction before Lanczos
        whole = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
        crop = image.crop((left, top, left + width, top + height))
        return Pair(_encode(whole, "jpeg", quality=85), _encode(crop, "webp", lossless=True, method=2))

    pairs: dict[float, Pair] = {}
    for rate in sorted(decoded):
        image = _load(decoded[rate])
        if image.size != reference.size:
            raise ClicError(
                f"{decoded[rate]}: {image.width} x {image.height} pixels, but its original {original} "
                f"has {reference.width} x {reference.height}; give the originals that were coded"
            )
        if not pairs:
            left, top = _worst_corner(reference, image, width, height)
        pairs[rate] = pair(image)
    return Comparison(pair(reference), pairs, left, top)
