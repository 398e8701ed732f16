"""Decoding speed, side by side in one run: a codec's packed decoder and AVIF's, on the same images and cores."""

import io
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from harness.archive import data_file_bytes, write_zip
from harness.errors import ClicError
from harness.images import SourceImage, load_rgb
from harness.profiles import Profile
from harness.progress import Progress
from harness.protocol import Codec
from harness.sandbox import run_decoder

AVIF_QUALITIES = (15, 24, 32, 40, 50, 61)


@dataclass(frozen=True)
class Measured:
    """One decoder on one set: bits per pixel, seconds on the clock with process start and PNG, what it printed."""

    name: str
    bpp: float
    seconds: float
    megapixels: float
    peak_memory_bytes: int | None = None
    output: str = ""

    @property
    def seconds_per_megapixel(self) -> float:
        """Of the whole set."""
        return self.seconds / self.megapixels


def bench_decode(images: Sequence[SourceImage], codec: Codec, profile: Profile, rate: float,
                 progress: Progress | None = None) -> list[Measured]:
    """Code every image near `rate` bits per pixel, then time the packed decoder and AVIF's on all of them.

    Raises ClicError where the decoder fails.
    """
    streams, avif = {}, {}
    for number, source in enumerate(images):
        pixels = load_rgb(source.path)
        wanted = rate * source.pixels / 8
        streams[source.name] = _nearest(codec, pixels, wanted)
        coded = [_avif(pixels, quality) for quality in AVIF_QUALITIES]
        avif[source.name] = min(coded, key=lambda stream: abs(len(stream) - wanted))
        if progress:
            progress(number + 1, len(images))
    megapixels = sum(source.pixels for source in images) / 1e6
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_zip(folder / "decoder.zip", codec.decoder_files(profile.data_file, profile.payload))
        data = data_file_bytes(codec.pack(streams), profile)
        (folder / profile.data_file).write_bytes(data)
        run = run_decoder(folder / "decoder.zip", folder / profile.data_file, folder / "work",
                          replace(profile, cpus=min(profile.cpus, os.cpu_count() or 1)))
        if run.returncode:
            raise ClicError(f"the decoder of codec {codec.name!r} ended with status {run.returncode}: {run.output}")
        ours = Measured(codec.name, 8e-6 * len(data) / megapixels, run.seconds, megapixels, run.peak_memory_bytes,
                        run.output.strip())
        begin = time.monotonic()
        with ProcessPoolExecutor(profile.cpus, mp_context=get_context("spawn")) as pool:
            list(pool.map(_decode_avif, avif.values(), [folder / f"{n}.png" for n in range(len(avif))]))
        seconds = time.monotonic() - begin
    total = sum(map(len, avif.values()))
    return [ours, Measured("AVIF (Pillow)", 8e-6 * total / megapixels, seconds, megapixels)]


def _nearest(codec: Codec, pixels: np.ndarray, wanted: float) -> bytes:
    """The stream whose size is nearest to `wanted` bytes, by bisection over the points, which rise in rate."""
    points = list(codec.points())
    low, high = 0, len(points) - 1
    best = b""
    while low <= high:
        middle = (low + high) // 2
        stream = codec.encode(pixels, points[middle]).stream
        if not best or abs(len(stream) - wanted) < abs(len(best) - wanted):
            best = stream
        if len(stream) < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return best


def _avif(pixels: np.ndarray, quality: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=quality, speed=8)
    return buffer.getvalue()


def _decode_avif(stream: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(stream)) as image:
        image.convert("RGB").save(path, "PNG", compress_level=1)
