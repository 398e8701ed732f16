"""The photographs of a page: exact pixels, inside of the page as long as it stays small, else in files beside it.

Decoded pictures are never compressed with loss here: what is grey in the decoded file is grey on the page.
"""

import base64
import hashlib
import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image, ImageChops

from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import open_image
from leaderboard.report.model import Photograph, Version

THUMBNAIL = 360
CROP = 192
PAGE_BYTES = 30_000_000
FOLDER = "report-pictures"
WEBP_SIDE = 16383  # pixels; the format has no larger pictures


@dataclass(frozen=True)
class Picture:
    """A picture of the page: `key` in the store, and its size in pixels."""

    key: str
    width: int
    height: int


@dataclass(frozen=True)
class Shown:
    """One version of a photograph: whole and a crop, both exact; `colour` is the largest distance of two channels."""

    whole: Picture
    crop: Picture
    colour: int


@dataclass(frozen=True)
class View:
    """A photograph as the page shows it; `left` and `top` are the crop's corner, in pixels."""

    photograph: Photograph
    width: int
    height: int
    thumbnail: str
    thumbnail_size: tuple[int, int]
    original: Shown
    decoded: Mapping[Version, Shown]
    left: int
    top: int

    @property
    def is_grey(self) -> bool:
        """Whether the original has no colour at all."""
        return self.original.colour == 0


class Store:
    """Encoded pictures by key: held for the page until they would make it too large, then files in its folder.

    Files are named by their content, so that a page that is there already keeps its pictures.
    """

    def __init__(self, page_folder: Path) -> None:
        self.folder = page_folder
        self.held: dict[str, bytes] = {}
        self._places: dict[str, str] = {}
        self._lie_at: dict[str, Path] = {}
        self._bytes = 0

    @property
    def is_beside(self) -> bool:
        """Whether the pictures lie beside the page."""
        return self._bytes > PAGE_BYTES

    def add(self, key: str, encode: Callable[[], bytes], lies_at: Path | None = None) -> None:
        """Take a picture; `lies_at` is a file that shows the same, which is then used rather than a copy."""
        if self.is_beside:
            self._place(key, encode, lies_at)
            return
        self.held[key] = encode()
        if lies_at is not None:
            self._lie_at[key] = lies_at
        self._bytes += len(self.held[key]) * 4 // 3
        if self.is_beside:
            for name, data in self.held.items():
                self._place(name, lambda data=data: data, self._lie_at.get(name))
            self.held.clear()

    def _place(self, key: str, encode: Callable[[], bytes], lies_at: Path | None) -> None:
        if lies_at is not None:
            self._places[key] = relative(lies_at, self.folder)
            return
        data = encode()
        name = f"{hashlib.sha256(data).hexdigest()[:24]}.{_kind(data)}"
        (self.folder / FOLDER).mkdir(exist_ok=True)
        write_atomic(self.folder / FOLDER / name, data)
        self._places[key] = f"{FOLDER}/{name}"

    def address(self, key: str) -> str:
        """What an `img` takes: a data: URI or the address of a file beside the page."""
        return data_uri(self.held[key]) if key in self.held else self._places[key]

    def clear_old(self) -> None:
        """Remove the pictures of an earlier page, once this one is written."""
        folder = self.folder / FOLDER
        for path in folder.glob("*.*") if folder.is_dir() else ():
            if f"{FOLDER}/{path.name}" not in self._places.values():
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def relative(path: Path, folder: Path) -> str:
    """The address of `path` from a page in `folder`, percent-encoded."""
    return quote(Path(os.path.relpath(path, folder)).as_posix())


def _kind(data: bytes) -> str:
    return "webp" if data[:4] == b"RIFF" else "png" if data[:4] == b"\x89PNG" else "jpeg"


def data_uri(data: bytes) -> str:
    """An encoded picture as a data: URI."""
    return f"data:image/{_kind(data)};base64,{base64.b64encode(data).decode()}"


def _load(path: Path) -> Image.Image:
    try:
        with open_image(path, path) as image:
            return image.convert("RGB")
    except FileNotFoundError as error:
        raise ClicError(
            f"{path}: no such image; run `clic submit` again, or give the originals' folder as it was then"
        ) from error
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: not a readable image ({error}); replace it") from error


def _exact(image: Image.Image) -> bytes:
    """The very pixels; without colour profiles or the like, which a browser would apply."""
    buffer = io.BytesIO()
    if max(image.size) > WEBP_SIDE:
        image.save(buffer, "png")
    else:
        image.save(buffer, "webp", lossless=True, quality=20, method=0)
    return buffer.getvalue()


def _thumbnail(image: Image.Image, is_grey: bool) -> tuple[str, tuple[int, int]]:
    scale = min(1.0, THUMBNAIL / image.width)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    # reducing_gap lets a cheap box filter do most of a large reduction before Lanczos
    small = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    buffer = io.BytesIO()
    small.convert("L" if is_grey else "RGB").save(buffer, "jpeg", quality=85, subsampling=0)
    return data_uri(buffer.getvalue()), size


def colour_steps(image: Image.Image) -> int:
    """The largest distance between two channels of one pixel, 0 to 255: 0 is a grey picture."""
    red, green, blue = image.split()
    lightest = ImageChops.lighter(ImageChops.lighter(red, green), blue)
    darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
    return int(np.asarray(ImageChops.difference(lightest, darkest)).max())


def _worst_corner(original: Image.Image, decoded: Image.Image, width: int, height: int) -> tuple[int, int]:
    """Left and top of the window of that size with the largest squared luma error, on a grid of 8 pixels."""
    difference = np.asarray(ImageChops.difference(original.convert("L"), decoded.convert("L")), dtype=np.int64)
    summed = np.pad(difference**2, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    errors = (
        summed[height:, width:] - summed[:-height, width:] - summed[height:, :-width] + summed[:-height, :-width]
    )[::8, ::8]
    top, left = np.unravel_index(int(errors.argmax()), errors.shape)
    return 8 * int(left), 8 * int(top)


def _view(number: int, photograph: Photograph, store: Store) -> View:
    original = _load(photograph.original)
    width, height = min(CROP, original.width), min(CROP, original.height)
    left = top = 0

    def shown(name: str, image: Image.Image, lies_at: Path | None) -> Shown:
        crop = image.crop((left, top, left + width, top + height))
        store.add(f"{name}-whole", lambda: _exact(image), lies_at)
        store.add(f"{name}-crop", lambda: _exact(crop))
        whole = Picture(f"{name}-whole", *image.size)
        return Shown(whole, Picture(f"{name}-crop", *crop.size), colour_steps(image))

    decoded: dict[Version, Shown] = {}
    for place, (version, path) in enumerate(sorted(photograph.decoded.items(), key=lambda item: item[0][1])):
        image = _load(path)
        if image.size != original.size:
            raise ClicError(
                f"{path}: {image.width} x {image.height} pixels, but its original {photograph.original} "
                f"has {original.width} x {original.height}; give the originals that were coded"
            )
        if not decoded:
            left, top = _worst_corner(original, image, width, height)
        decoded[version] = shown(f"p{number}-{place}", image, path)
    reference = shown(f"p{number}-original", original, None)
    thumbnail, size = _thumbnail(original, reference.colour == 0)
    return View(photograph, *original.size, thumbnail, size, reference, decoded, left, top)


def view_all(
    photographs: Sequence[Photograph], store: Store, progress: Callable[[int, int], None] | None = None
) -> list[View]:
    """Read all photographs, each file once, and put their pictures into `store`.

    The crop is one place for all versions: where the lowest rate's squared error is largest. `progress` is called after
    each photograph with how many are done, and of how many. Raises ClicError for a missing or unreadable image and for
    one of another size than its original.
    """
    views = []
    for number, photograph in enumerate(photographs, 1):
        views.append(_view(number, photograph, store))
        if progress:
            progress(number, len(photographs))
    return views
