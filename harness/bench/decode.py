"""Decoding speed, side by side in one run: packed decoders and conventional formats, on the same images and cores."""

import importlib
import io
import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from harness.challenge.archive import data_file_bytes, write_zip
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import run_decoder
from harness.codecs.protocol import Encoding, Submittable
from harness.errors import ClicError
from harness.images import SourceImage, load_rgb
from harness.progress import Progress, log

PARTS = ("entropy decoding", "synthesis", "PNG")  # as a packed decoder names them: "1.5 s of synthesis"


@dataclass(frozen=True)
class Format:
    """A conventional format that Pillow writes and reads once the module `plugin`, of `package`, is imported.

    `pillow_name` and `options` are for saving, at a speed at which a search over qualities is no wait. `threads`
    is the variable that says how many threads a decoder starts.
    """

    name: str
    pillow_name: str
    options: Mapping[str, Any]
    plugin: str
    package: str
    threads: str

    def is_installed(self) -> bool:
        """Whether Pillow can write the format here; registers it."""
        try:
            importlib.import_module(self.plugin)
        except ImportError:
            return False
        return self.pillow_name in Image.SAVE

    def points(self) -> Sequence[str]:
        """Qualities from the lowest rate to the highest."""
        return [str(quality) for quality in range(0, 100, 3)]

    def prepare(self, pixels: np.ndarray) -> np.ndarray:
        """The pixels themselves, uint8 (H, W, 3)."""
        return pixels

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        """Code `pixels`, uint8 (H, W, 3), at one quality."""
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, self.pillow_name, quality=int(point), **self.options)
        return Encoding(buffer.getvalue())

    def start_worker(self) -> None:
        """Register the format in a fresh process; one thread a process, as in the packed decoders."""
        importlib.import_module(self.plugin)
        module, _, variable = self.threads.rpartition(".")
        setattr(importlib.import_module(module), variable, 1)


FORMATS = (
    Format("AVIF", "AVIF", {"speed": 8}, "PIL.AvifImagePlugin", "pillow", "PIL.AvifImagePlugin.DEFAULT_MAX_THREADS"),
    Format(
        "HEIC",
        "HEIF",
        {"enc_params": {"preset": "ultrafast"}},
        "pillow_heif.HeifImagePlugin",
        "pillow-heif",
        "pillow_heif.options.DECODE_THREADS",
    ),
    # Its lowest quality stays above 0.15 bpp on some images; effort 5 comes nearer than the faster ones.
    Format(
        "JPEG XL",
        "JXL",
        {"effort": 5},
        "pillow_jxl.JpegXLImagePlugin",
        "pillow-jxl-plugin",
        "pillow_jxl.JpegXLImagePlugin.DECODE_THREADS",
    ),
)
REFERENCE = FORMATS[0].name


@dataclass(frozen=True)
class Measured:
    """One decoder on one set: bits per pixel, seconds on the clock with process start and PNG writing.

    The seconds of the three parts are sums over the processes, None where the decoder does not print them.
    """

    decoder: str
    images: int
    megapixels: float
    processes: int
    bpp: float
    seconds: float
    entropy_seconds: float | None = None
    synthesis_seconds: float | None = None
    png_seconds: float | None = None
    peak_memory_bytes: int | None = None

    @property
    def seconds_per_megapixel(self) -> float:
        """Of the whole set."""
        return self.seconds / self.megapixels


def bench_decode(
    images: Sequence[SourceImage],
    codecs: Sequence[Submittable],
    profile: Profile,
    rate: float,
    progress: Progress | None = None,
) -> list[Measured]:
    """Code every image near `rate` bits per pixel, then time each packed decoder and each format on all of them.

    A format that is not installed is left out, with a line on standard error. Raises ClicError where a packed
    decoder fails.
    """
    processes = min(profile.cpus, os.cpu_count() or 1)
    coders: list[Submittable | Format] = [*codecs, *_installed()]
    coded: list[dict[str, bytes]] = [{} for _ in coders]
    done, total = 0, sum(source.pixels for source in images)
    for source in images:
        pixels = load_rgb(source.path)
        for coder, streams in zip(coders, coded, strict=True):
            streams[source.name] = _nearest(coder, pixels, rate * source.pixels / 8)
        done += source.pixels
        if progress:
            progress(done, total)
    results = []
    for coder, streams in zip(coders, coded, strict=True):
        log(f"decoding by {coder.name}")
        with TemporaryDirectory() as folder:
            if isinstance(coder, Format):
                decoded = _decode_format(coder, streams, Path(folder), processes)
            else:
                decoded = _decode_packed(coder, streams, Path(folder), replace(profile, cpus=processes))
        entropy, synthesis, png = (_printed_seconds(decoded.output, part) for part in PARTS)
        results.append(
            Measured(
                coder.name,
                len(images),
                total / 1e6,
                processes,
                8 * decoded.bytes / total,
                decoded.seconds,
                entropy,
                synthesis,
                png,
                decoded.peak_memory_bytes,
            )
        )
    return results


@dataclass(frozen=True)
class _Decoded:
    """One decoder's run: what it read in bytes, seconds on the clock, what it printed."""

    bytes: int
    seconds: float
    peak_memory_bytes: int | None = None
    output: str = ""


def _installed() -> list[Format]:
    found = []
    for entry in FORMATS:
        if entry.is_installed():
            found.append(entry)
        else:
            log(
                f"{entry.name}: left out, as Pillow cannot write it here; it comes with "
                f"'python -m pip install -c constraints.txt {entry.package}'"
            )
    return found


def _nearest(coder: Submittable | Format, pixels: np.ndarray, wanted: float) -> bytes:
    """The stream whose size is nearest to `wanted` bytes, by bisection over the points, which rise in rate."""
    points = list(coder.points())
    low, high = 0, len(points) - 1
    best, prepared = b"", coder.prepare(pixels)
    while low <= high:
        middle = (low + high) // 2
        stream = coder.encode(prepared, points[middle]).stream
        if not best or abs(len(stream) - wanted) < abs(len(best) - wanted):
            best = stream
        if len(stream) < wanted:
            low = middle + 1
        else:
            high = middle - 1
    return best


def _decode_packed(codec: Submittable, streams: Mapping[str, bytes], folder: Path, profile: Profile) -> _Decoded:
    """The whole set by the codec's decoder.zip. Raises ClicError where that fails."""
    decoder_zip, data_file = folder / "decoder.zip", folder / profile.data_file
    write_zip(decoder_zip, codec.decoder_files(profile.data_file, profile.payload))
    data = data_file_bytes(codec.pack(streams), profile)
    data_file.write_bytes(data)
    run = run_decoder(decoder_zip, data_file, folder / "work", profile)
    if run.returncode:
        raise ClicError(f"the decoder of codec {codec.name!r} ended with status {run.returncode}: {run.output}")
    return _Decoded(len(data), run.seconds, run.peak_memory_bytes, run.output)


def _printed_seconds(output: str, part: str) -> float | None:
    """What a decoder prints as "1.5 s of synthesis", the last where there are several; None where it does not."""
    found = re.findall(rf"(\d+(?:\.\d+)?) s of {part}\b", output)
    return float(found[-1]) if found else None


def _decode_format(entry: Format, streams: Mapping[str, bytes], folder: Path, processes: int) -> _Decoded:
    """The whole set by Pillow, in as many processes as a packed decoder gets, the largest streams first as there."""
    largest_first = sorted(streams.values(), key=len, reverse=True)
    begin = time.monotonic()
    with ProcessPoolExecutor(
        min(processes, len(streams)), mp_context=get_context("spawn"), initializer=entry.start_worker
    ) as pool:
        list(pool.map(_to_png, largest_first, [folder / f"{number}.png" for number in range(len(streams))]))
    return _Decoded(sum(map(len, streams.values())), time.monotonic() - begin)


def _to_png(stream: bytes, path: Path) -> None:
    with Image.open(io.BytesIO(stream)) as image:
        image.convert("RGB").save(path, "PNG", compress_level=1)
