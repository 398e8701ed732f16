"""A folder of photographs, read as the challenge's server reads it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harness.errors import ClicError

ENDINGS = {".png", ".webp", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".avif"}


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


def _conversion_note(image: Image.Image) -> str:
    notes = []
    if image.mode in ("L", "1"):
        notes.append("greyscale copied to three channels")
    elif image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        notes.append("alpha dropped")
    if image.mode.startswith("I") or image.mode == "F":
        notes.append("more than 8 bits per sample, converted to 8 as Pillow does")
    if image.mode == "P":
        notes.append("palette expanded")
    if image.mode not in ("RGB", "L", "1", "LA", "RGBA", "PA", "P") and not notes:
        notes.append(f"mode {image.mode} converted to RGB")
    if getattr(image, "n_frames", 1) > 1:
        notes.append("first frame of an animation")
    if image.getexif().get(0x0112, 1) != 1:
        notes.append("EXIF orientation ignored")
    if image.info.get("icc_profile"):
        notes.append("ICC profile ignored")
    return "; ".join(notes)


def require_folder(path: Path, wanted: str) -> None:
    """Raise ClicError, in words that tell the two apart, where `path` is missing or is a file instead of `wanted`."""
    if path.is_dir():
        return
    what = "a file, not a folder" if path.exists() else "no such folder"
    raise ClicError(f"{path}: {what}; give {wanted}")


def list_images(folder: Path) -> list[SourceImage]:
    """The images of a folder (not of its sub-folders), by name.

    Raises ClicError for a missing or empty folder, an unreadable image, and two files that would share a name.
    """
    require_folder(folder, "a folder of photographs")
    images: dict[str, SourceImage] = {}
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in ENDINGS and not p.name.startswith(".")):
        try:
            with Image.open(path) as image:
                source = SourceImage(path.stem, path, *image.size, note=_conversion_note(image))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            raise ClicError(f"{path}: not a readable image ({error}); remove or replace it") from error
        if path.stem in images:
            raise ClicError(
                f"{path}: {images[path.stem].path.name} has the same name without its ending, and both "
                f"would decode to {path.stem}.png; rename one"
            )
        images[path.stem] = source
    if not images:
        raise ClicError(f"{folder}: no images; expected files ending in {', '.join(sorted(ENDINGS))}")
    return list(images.values())


def load_rgb(path: Path) -> np.ndarray:
    """The image as uint8 (H, W, 3), by Pillow's convert("RGB") as the server does. Raises ClicError."""
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ClicError(f"{path}: not a readable image ({error}); remove or replace it") from error
