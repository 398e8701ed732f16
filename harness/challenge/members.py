"""A decoder's members, unpacked as far as they go, and searched for pictures and for a set's pixels."""

import bz2
import io
import lzma
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from harness.challenge.texts import written_as_text
from harness.images import SourceImage

MAX_BYTES = 1 << 30  # unpacked from one member
MAX_DEPTH = 3  # of archives in archives
MIN_SIDE = 16  # of an embedded picture: smaller ones hold no image
SCALES = (1, 2, 4, 8, 16)
LENGTH = 512  # samples of a template: by chance none correlates above 0.3, in all of a large decoder
CORRELATES = 0.6
_BLOCK = 1 << 15
_SPREAD = 0.5  # of a template's energy over its samples; a single edge is like any other
_SIGNATURES = {
    b"\x89PNG\r\n\x1a\n": 0,
    b"\xff\xd8\xff": 0,
    b"GIF8": 0,
    b"WEBP": 8,  # behind "RIFF" and a length
    b"ftypavif": 4,
    b"ftypheic": 4,
    b"\0\0\0\x0cJXL ": 0,
    b"\0\0\0\x0cjP  ": 0,
    b"\xff\x4f\xff\x51": 0,
    b"qoif": 0,
}
_PNG, _WEBP, _JPEG = b"\x89PNG\r\n\x1a\n", b"WEBP", b"\xff\xd8"
# What stands near a picture's beginning, how far behind it, and the end of what comes before and may be left out.
_BEHEADED = {
    b"IHDR": (4, _PNG),
    b"VP8 ": (0, _WEBP),
    b"VP8L": (0, _WEBP),
    b"\xff\xe0\0\x10JFIF\0": (0, _JPEG),
}
_PACKED: dict[bytes, Callable[[bytes], bytes]] = {
    b"\x1f\x8b": lambda data: zlib.decompressobj(wbits=31).decompress(data, MAX_BYTES),
    b"\xfd7zXZ": lambda data: lzma.LZMADecompressor().decompress(data, MAX_BYTES),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data, MAX_BYTES),
    b"\x78": lambda data: zlib.decompressobj().decompress(data, MAX_BYTES),
}


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """All members of an archive, and of the archives and compressed files in it, with where they are."""
    yield from _unpacked("", path.read_bytes(), MAX_DEPTH)


def _unpacked(where: str, content: bytes, depth: int) -> Iterator[tuple[str, bytes]]:
    if depth and zipfile.is_zipfile(io.BytesIO(content)):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for info in archive.infolist():
                try:
                    with archive.open(info) as file:
                        inner = file.read(MAX_BYTES)
                except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
                    continue  # encrypted or damaged: a finding elsewhere
                yield from _unpacked(f"{where}/{info.filename}".lstrip("/"), inner, depth - 1)
        return
    yield where, content
    if depth:
        for what, inner in written_as_text(content):
            yield from _unpacked(f"{where} ({what})", inner, depth - 1)
    for signature, unpack in _PACKED.items():
        if depth and content.startswith(signature):
            try:
                yield from _unpacked(f"{where} (unpacked)", unpack(content), depth - 1)
            except (OSError, EOFError, lzma.LZMAError, zlib.error):
                continue  # it only looked so


def embedded_pictures(content: bytes) -> Iterator[str]:
    """Pictures that begin anywhere in a member, in words."""
    for signature, before in _SIGNATURES.items():
        at = content.find(signature)
        while at >= 0:
            if at >= before and (found := _picture_at(content[at - before :])):
                yield f"{found} at byte {at - before}"
            at = content.find(signature, at + 1)
    for sign, (before, beginning) in _BEHEADED.items():
        at = content.find(sign)
        while at >= 0:
            start = at - before
            whole = content.startswith(beginning, max(0, start - len(beginning)), max(0, start))
            if start >= 0 and not whole and (found := _picture_at(_whole(beginning, content[start:]))):
                yield f"{found} without its beginning at byte {start}"
            at = content.find(sign, at + 1)


def _whole(beginning: bytes, rest: bytes) -> bytes:
    """A picture's file with the beginning that was left out; WebP's holds the file's length, here of one chunk."""
    if beginning == _WEBP:
        size = int.from_bytes(rest[4:8], "little")
        return b"RIFF" + min(4 + 8 + size + size % 2, (1 << 32) - 1).to_bytes(4, "little") + _WEBP + rest
    return beginning + rest


def _picture_at(content: bytes) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content)) as image:
                if min(image.size) < MIN_SIDE:
                    return ""
                image.load()
                return f"a {image.format} of {image.width} x {image.height}"
    except Exception:  # anything may begin like a picture
        return ""


@dataclass(frozen=True)
class Template:
    """A piece of an image's pixels in raster order, as differences of samples `lag` apart, of unit length."""

    image: str
    scale: int
    lag: int
    samples: np.ndarray


def templates(originals: Sequence[SourceImage], load: Callable[[Path], np.ndarray]) -> list[Template]:
    """For each image and scale one piece of its luminance and one of its interleaved RGB."""
    found = []
    for original in originals:
        picture = Image.fromarray(load(original.path))
        for scale in SCALES:
            reduced = picture.reduce(scale)
            for lag, mode in ((1, "L"), (3, "RGB")):
                raster = np.asarray(reduced.convert(mode), np.float32).ravel()
                piece = _busiest(raster[lag:] - raster[:-lag])
                if piece is not None:
                    found.append(Template(original.name, scale, lag, piece))
    return found


def _busiest(differences: np.ndarray) -> np.ndarray | None:
    """The piece with the most change that is not all in a few samples, of unit length; None where there is none."""
    count = len(differences) // LENGTH
    pieces = differences[: count * LENGTH].reshape(count, LENGTH)
    change = np.abs(pieces).sum(axis=1)
    norm = np.sqrt((pieces**2).sum(axis=1))
    change[change < _SPREAD * np.sqrt(LENGTH) * norm] = 0
    if not count or change.max() == 0:
        return None
    best = int(change.argmax())
    return np.asarray(pieces[best] / norm[best], np.float32)


def held_pixels(content: bytes, wanted: Sequence[Template]) -> Iterator[Template]:
    """The templates that a member's bytes, or the numbers that they may be, correlate with somewhere."""
    left = list(wanted)
    for signal in _signals(content):
        for lag in {template.lag for template in left}:
            chosen = [template for template in left if template.lag == lag]
            peaks = _peaks(signal[lag:] - signal[:-lag], [template.samples for template in chosen])
            for template, peak in zip(chosen, peaks, strict=True):
                if peak > CORRELATES:
                    yield template
                    left.remove(template)


def _signals(content: bytes) -> Iterator[np.ndarray]:
    if content.startswith(b"\x93NUMPY"):
        try:
            array = np.load(io.BytesIO(content), allow_pickle=False)
        except (ValueError, OSError, EOFError):
            array = np.zeros(0)
        if array.dtype.kind in "biuf":
            yield _finite(array.ravel(order="K"))
    else:
        for kind in ("<f2", "<f4"):
            size = np.dtype(kind).itemsize
            yield _finite(np.frombuffer(content[: len(content) // size * size], kind))
    yield _finite(np.frombuffer(content, np.uint8))


def _finite(values: np.ndarray) -> np.ndarray:
    """As float32, without what no pixel is."""
    with np.errstate(all="ignore"):
        signal = values.astype(np.float32)
        return np.where(np.abs(signal) < 1e5, signal, np.float32(0))


def _peaks(differences: np.ndarray, pieces: Sequence[np.ndarray]) -> np.ndarray:
    """The highest absolute correlation of each piece with any stretch of a signal, by blocks that overlap."""
    peaks = np.zeros(len(pieces))
    if not pieces or len(differences) < LENGTH:
        return peaks
    spectra = np.conj(np.fft.rfft(np.stack(pieces), _BLOCK))
    step = _BLOCK - LENGTH + 1
    for start in range(0, len(differences) - LENGTH + 1, step):
        block = differences[start : start + _BLOCK]
        squares = np.concatenate([[0.0], np.cumsum(block.astype(np.float64) ** 2)])
        norm = np.sqrt(np.maximum(squares[LENGTH:] - squares[:-LENGTH], 0))
        if not norm.any():
            continue
        # What is left of rounding where a stretch is all but constant must not count as likeness.
        scale = np.where(norm > 1e-4 * norm.max(), 1 / np.maximum(norm, 1e-30), 0)
        correlation = np.fft.irfft(np.fft.rfft(block, _BLOCK) * spectra, _BLOCK)[:, : len(norm)] * scale
        peaks = np.maximum(peaks, np.abs(correlation).max(axis=1))
    return peaks
