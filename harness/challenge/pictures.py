"""The pictures that a decoder has written: found, judged against the originals, compared between two runs."""

import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from harness.challenge.archive import PICTURES
from harness.challenge.findings import Finding
from harness.challenge.sandbox.tree import entries_in
from harness.files import sha256
from harness.images import SourceImage, open_image
from harness.progress import counted

_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"  # W3C PNG, 5.2 and 11.2.1: width, height, depth, colour type follow
_MOST_A_PIXEL, _MOST_BESIDE = 16, 1 << 20  # bytes of a PNG: uncompressed it has 3 a pixel
_NAMED = 5  # of the pictures that are too many


def pictures_in(folder: Path) -> dict[str, list[Path]]:
    """The PNG files in a folder and all below, by name; links are left out, they may point anywhere."""
    found: dict[str, list[Path]] = {}
    for path, state in entries_in(folder):
        if path.endswith(".png") and stat.S_ISREG(state.st_mode):
            found.setdefault(path.rpartition("/")[2], []).append(folder / path)
    return found


def picture_findings(
    original: SourceImage, found: list[Path], workdir: Path, left_out: Mapping[str, int]
) -> Iterator[Finding]:
    """What is wrong with the decoded picture of one original; `left_out` are files too large to be in `workdir`."""
    name, size = f"{original.name}.png", f"{original.width} x {original.height}"
    most = _MOST_A_PIXEL * original.pixels + _MOST_BESIDE
    sizes = [count for path, count in left_out.items() if path.rpartition("/")[2] == name]
    sizes += [path.stat().st_size for path in found]
    if sizes and (len(sizes) > len(found) or max(sizes) > most):
        mend = "write the picture alone, without a hole or anything behind it"
        yield Finding(f"{max(sizes):,} bytes", name, f"a PNG of {size}, at most {most:,} bytes", mend)
        return
    if not found:
        yield Finding("missing", name, f"a PNG of {size}", f"let decode write images/{name}")
        return
    if len(found) > 1:
        places = ", ".join(str(path.relative_to(workdir)) for path in sorted(found))
        yield Finding(f"written {len(found)} times: {places}", name, "one file of that name", "keep one")
        return
    try:
        with found[0].open("rb") as file:
            head = file.read(len(_PNG) + 10)
    except OSError as error:
        yield Finding(f"not readable ({error.strerror})", name, f"a PNG of {size}", "leave it readable")
        return
    if not head.startswith(_PNG) or len(head) < len(_PNG) + 10:
        yield Finding("not a PNG file", name, f"a PNG of {size}", "save it as PNG")
        return
    width, height = (int.from_bytes(head[at : at + 4], "big") for at in (16, 20))
    if (width, height) != (original.width, original.height):
        yield Finding(f"{width} x {height}", name, size, "write the size of the original")
        return
    if (head[24], head[25]) != (8, 2):
        yield Finding(
            f"PNG of {head[24]} bits and colour type {head[25]}",
            name,
            "RGB of 8 bits (type 2)",
            "convert it to RGB before saving",
        )
        return
    try:
        with open_image(found[0], name) as image:
            if image.size != (original.width, original.height):  # a later header may say otherwise than the first
                raise ValueError(f"it says {image.width} x {image.height} as well")
            image.load()
    except Exception as error:  # a stranger's file can make Pillow raise nearly everything
        yield Finding(f"damaged ({error})", name, f"a whole PNG of {size}", "write it to its end")


def extra_findings(folder: Path, left_out: Iterable[str], wanted: Collection[str]) -> Iterator[Finding]:
    """Pictures in images/ that are none of the `wanted` ones, in one finding.

    The server passes over them, and over whatever lies elsewhere; but in that folder they tell of other originals, or
    of names that are not quite theirs.
    """
    files = (path for path, state in entries_in(folder) if stat.S_ISREG(state.st_mode))
    names = [path for path in (*files, *left_out) if _is_extra(path, wanted)]
    if names:
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        yield Finding(
            f"{counted(len(names), 'extra picture')}: {', '.join(names[:_NAMED])}{more}",
            f"{PICTURES}/",
            "no pictures there but those of the originals, each NAME.png",
            "leave them out, or give the originals that they are of",
        )


def _is_extra(path: str, wanted: Collection[str]) -> bool:
    name = path.rpartition("/")[2]
    return path.startswith(f"{PICTURES}/") and name.lower().endswith(".png") and name not in wanted


def pixels_digest(path: Path) -> str:
    """Hex SHA-256 of a picture's pixels, size and mode; of the file itself where Pillow cannot read it."""
    try:
        with open_image(path, path) as image:
            return sha256(f"{image.mode} {image.size} ".encode() + image.tobytes())
    except Exception:  # as above
        return sha256(path.read_bytes())
