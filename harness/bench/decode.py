"""Decoding speed, side by side in one run: packed decoders and conventional formats, on the same images and cores."""

import os
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from harness.challenge.archive import data_file_bytes, write_zip
from harness.challenge.profiles import Profile
from harness.challenge.sandbox import run_decoder
from harness.codecs.protocol import Codec, Submittable
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.images import SourceImage, load_rgb
from harness.progress import Progress, log

PARTS = ("entropy decoding", "synthesis", "PNG")  # as a packed decoder names them: "1.5 s of synthesis"


# Beside what is asked for, at speeds at which a search over qualities is no wait. The lowest quality of JPEG XL stays
# above 0.15 bits per pixel on some images; effort 5 comes nearer than the faster ones.
RIVALS = ("avif,speed=8", "heic,preset=ultrafast", "jxl,effort=5")
REFERENCE = RIVALS[0]


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
    codecs: Sequence[str],
    profile: Profile,
    rate: float,
    progress: Progress | None = None,
) -> list[Measured]:
    """Code every image near `rate` bits per pixel, then time the decoders of the codecs and of their rivals on all.

    `codecs` are what opens them. A codec that brings a decoder is timed by that, packed. A rival that is not installed
    is left out, with a line on standard error. Raises ClicError where a decoder fails.
    """
    processes = min(profile.cpus, os.cpu_count() or 1)
    coders = [*((spec, open_codec(spec)) for spec in codecs), *_rivals()]
    coded: list[dict[str, bytes]] = [{} for _ in coders]
    done, total = 0, sum(source.pixels for source in images)
    for source in images:
        pixels = load_rgb(source.path)
        for (_, coder), streams in zip(coders, coded, strict=True):
            streams[source.name] = _nearest(coder, pixels, rate * source.pixels / 8)
        done += source.pixels
        if progress:
            progress(done, total)
    results = []
    for (spec, coder), streams in zip(coders, coded, strict=True):
        log(f"decoding by {coder.name}")
        with TemporaryDirectory() as folder:
            if isinstance(coder, Submittable):
                decoded = _decode_packed(coder, streams, Path(folder), replace(profile, cpus=processes))
            else:
                decoded = _decode_unpacked(spec, streams, Path(folder), processes)
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


def _rivals() -> list[tuple[str, Codec]]:
    found = []
    for spec in RIVALS:
        try:
            found.append((spec, open_codec(spec)))
        except ClicError as error:
            log(f"{spec}: left out; {error}")
    return found


def _nearest(coder: Codec, pixels: np.ndarray, wanted: float) -> bytes:
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


def _decode_unpacked(spec: str, streams: Mapping[str, bytes], folder: Path, processes: int) -> _Decoded:
    """The whole set by the codec itself, in as many processes as a packed decoder gets, the largest streams first."""
    largest_first = sorted(streams.values(), key=len, reverse=True)
    paths = [folder / f"{number}.png" for number in range(len(streams))]
    workers = min(processes, len(streams))
    begin = time.monotonic()
    with ProcessPoolExecutor(workers, get_context("spawn"), _open, (spec,)) as pool:
        list(pool.map(_to_png, largest_first, paths))
    return _Decoded(sum(map(len, streams.values())), time.monotonic() - begin)


_opened: list[Codec] = []  # in a worker: the codec that it decodes with


def _open(spec: str) -> None:
    _opened.append(open_codec(spec))


def _to_png(stream: bytes, path: Path) -> None:
    Image.fromarray(_opened[0].decode(stream)).save(path, "PNG", compress_level=1)
