"""A folder of photographs, read as the challenge's server reads it."""

import io
import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harness.errors import ClicError
from harness.files import sha256
from harness.memory import available_bytes
from harness.progress import counted, log

ENDINGS = {".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".avif"}
NAME_BYTES = 243  # of a name without ending: with ".png" and what an unfinished file adds, file systems take 255
ORIENTATION = 0x0112  # EXIF tag
READ_BYTES = 9  # a pixel, measured: what reading takes at its peak
CODE_BYTES = 30  # a pixel, measured: reading, and one candidate by JPEG scored; no codec does with less
_ALWAYS_THERE = 100_000_000  # bytes that are not asked for
_LIFTING = threading.Lock()
RATE_FOLDER = re.compile(r"[0-9]*\.?[0-9]+")


@dataclass(frozen=True)
class SourceImage:
    """One original: `name` is the file's name without its ending; `note` says what conversion changed."""

    name: str
    path: Path
    width: int
    height: int
    note: str = ""

    @property
    def pixels(self) -> int:
        """Width times height."""
        return self.width * self.height


def open_image(source: Path | io.BytesIO, where: object, formats: list[str] | None = None) -> Image.Image:
    """Open an image as Pillow does, of any size that can be read with the memory that is free.

    Pillow's own limit knows nothing of memory. Of a stranger's, compare the size with what it has to be before it is
    loaded. Raises ClicError that names `where` before anything is unpacked, and whatever Pillow raises.
    """
    with _LIFTING:  # Pillow asks its limit when a file is opened, not later
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(source, formats=formats)
        finally:
            Image.MAX_IMAGE_PIXELS = before
    try:
        require_memory(where, *image.size, READ_BYTES, "to read it")
    except ClicError:
        image.close()
        raise
    return image


def require_memory(where: object, width: int, height: int, pixel_bytes: int, what_for: str) -> None:
    """Raise ClicError where an image of that size takes more memory than is free, at `pixel_bytes` a pixel."""
    needed = width * height * pixel_bytes
    if needed > _ALWAYS_THERE and needed > (free := available_bytes()):
        raise ClicError(
            f"{where}: {width} x {height} pixels; {what_for} takes at least {needed / 1e9:.1f} GB of memory, and "
            f"{free / 1e9:.1f} GB are free; make it smaller, remove it, or use a machine with more memory"
        )


def require_room(images: Iterable[SourceImage]) -> None:
    """Raise ClicError where the largest of them cannot be coded and scored with the memory that is free here."""
    largest = max(images, key=lambda source: source.pixels)
    require_memory(largest.path, largest.width, largest.height, CODE_BYTES, "to code and score it")


@contextmanager
def _reading(path: Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image; whatever Pillow raises on it becomes a ClicError, and its warnings stay inside."""
    if content is None and path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise ClicError(f"{path}: a folder, pipe or device, not a file; remove it, or put the image itself there")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with open_image(path if content is None else io.BytesIO(content), path) as image:
                yield image
    except ClicError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly everything, struct.error and SyntaxError too
        why = str(error) or type(error).__name__
        raise ClicError(f"{path}: not a readable image ({why}); remove or replace it") from error


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 where there is none or it cannot be read: the server does not look at it either."""
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except Exception:
        return 1
    return value if isinstance(value, int) else 1


def _conversion_note(image: Image.Image) -> str:
    """What converting a loaded image to 8-bit RGB changes, in words."""
    notes = []
    if image.mode in ("L", "1"):
        notes.append("greyscale copied to three channels")
    elif image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        notes.append("alpha dropped")
    if image.mode.startswith("I") or image.mode == "F":
        samples = np.asarray(image)
        notes.append(
            "more than 8 bits per sample, converted to 8 as Pillow does: samples above 255 become white, "
            f"{np.mean(samples > 255):.0%} of them here"
        )
    if image.mode == "P":
        notes.append("palette expanded")
    if image.mode not in ("RGB", "L", "1", "LA", "RGBA", "PA", "P") and not notes:
        notes.append(f"mode {image.mode} converted to RGB")
    if image.info.get("icc_profile"):
        notes.append("ICC profile ignored")
    return "; ".join(notes)


def describe_image(path: Path) -> SourceImage:
    """Size and note of one file, read as `load_rgb` reads it. Raises ClicError."""
    with _reading(path) as image:
        turned, frames = _orientation(image) != 1, int(getattr(image, "n_frames", 1))
        if image.format == "TIFF" or image.mode.startswith("I") or image.mode == "F":
            image.load()  # only then are a TIFF's sides those that it will have, and the samples there
        notes = [_conversion_note(image)]
        if frames > 1:
            notes.append("first frame of an animation")
        if turned:
            notes.append(
                "turned as its EXIF orientation says" if image.format == "TIFF" else "EXIF orientation ignored"
            )
        return SourceImage(path.stem, path, *image.size, note="; ".join(filter(None, notes)))


def _check_name(path: Path) -> None:
    """Raise ClicError for a name that would not survive as a decoded file's, a line of a log, or a path."""
    name = path.stem
    if name.isascii() and name.isprintable() and "\\" not in name and len(name) <= NAME_BYTES:
        return  # as nearly all of a hundred thousand, which the search for a fault would take seconds for
    faults = {
        "bytes that are no UTF-8": any("\ud800" <= letter <= "\udfff" for letter in name),
        "control characters": any(ord(letter) < 32 or ord(letter) == 127 for letter in name),
        "a backslash": "\\" in name,
        f"more than {NAME_BYTES} bytes": len(name.encode(errors="surrogateescape")) > NAME_BYTES,
    }
    for fault, found in faults.items():
        if found:
            raise ClicError(f"{str(path)!r}: its name has {fault}, which no decoded file's may have; rename it")


def log_notes(images: Iterable[SourceImage]) -> None:
    """Tell what conversion changes, a line for each image where it changes something."""
    for source in images:
        if source.note:
            log(f"{source.path.name}: {source.note}")


def require_folder(path: Path, wanted: str) -> None:
    """Raise ClicError, in words that tell the two apart, where `path` is missing or is a file instead of `wanted`."""
    if path.is_dir():
        return
    what = "a file, not a folder" if path.exists() else "no such folder"
    raise ClicError(f"{path}: {what}; give {wanted}")


def require_apart(images: Path, out: Path) -> None:
    """Raise ClicError where a run in `out` would write over the originals: in it, its streams or a rate's folder."""
    inside = images.resolve()
    if not inside.is_relative_to(out.resolve()):
        return
    first = inside.relative_to(out.resolve()).parts[:1]
    if not first or first[0] == "streams" or RATE_FOLDER.fullmatch(first[0]):
        raise ClicError(f"{images}: lies where the run in {out} writes; choose another --out, or move the images")


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in ENDINGS and not path.name.startswith(".")


def _folders(folder: Path) -> list[str]:
    """The sub-folders that hold images, each with how many."""
    counts = {
        child.name: sum(_is_image(path) for path in child.iterdir())
        for child in sorted(folder.iterdir())
        if child.is_dir() and not child.name.startswith(".")
    }
    return [f"folder {name}/ ({counted(count, 'image')})" for name, count in counts.items() if count]


def left_out(folder: Path) -> str:
    """What of a folder `list_images` does not read, in words; empty where it reads all."""
    files = [
        p.name for p in sorted(folder.iterdir()) if p.is_file() and not p.name.startswith(".") and not _is_image(p)
    ]
    return ", ".join([*files, *_folders(folder)])


def look_at(folder: Path, out: Path) -> str:
    """What is to be said of a folder of photographs before a run in `out` reads it: what it does not read, or nothing.

    Raises ClicError where there is no such folder, and where the run would write over the originals.
    """
    require_folder(folder, "a folder of photographs")
    require_apart(folder, out)
    rest = left_out(folder)
    return f"{folder}: not read: {rest}" if rest else ""


def list_images(folder: Path, describe: Callable[[Path], SourceImage] = describe_image) -> list[SourceImage]:
    """The images of a folder (not of its sub-folders), by name, each as `describe` has it.

    Raises ClicError for a missing or empty folder, an unreadable image, a name that a decoded file cannot have, and two
    files that would share one.
    """
    require_folder(folder, "a folder of photographs")
    images: dict[str, SourceImage] = {}
    for path in sorted(filter(_is_image, folder.iterdir()), key=lambda path: path.name):
        _check_name(path)
        if path.stem in images:
            raise ClicError(
                f"{path}: {images[path.stem].path.name} has the same name without its ending, and both "
                f"would decode to {path.stem}.png; rename one"
            )
        images[path.stem] = describe(path)
    if not images:
        below = "; ".join(_folders(folder))
        wanted = f"in it: {below}; give that one" if below else f"expected files ending in {', '.join(sorted(ENDINGS))}"
        raise ClicError(f"{folder}: no images; {wanted}")
    return list(images.values())


def load_rgb(path: Path, content: bytes | None = None, most_pixels: int | None = None) -> np.ndarray:
    """The image as uint8 (H, W, 3), by Pillow's convert("RGB") as the server does. Raises ClicError.

    Where its file's `content` is given, `path` is not read and only names it. One with more than `most_pixels`, if they
    are given, is an error.
    """
    with _reading(path, content) as image:
        if most_pixels is not None and image.width * image.height > most_pixels:
            raise ClicError(f"{path}: {image.width} x {image.height} pixels; give one of at most {most_pixels}")
        return np.asarray(image.convert("RGB"))


def pixels_sha256(pixels: np.ndarray) -> str:
    """Hex SHA-256 of uint8 (H, W, 3) samples and their shape: equal for equal pictures, however they are stored."""
    return sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes())
