"""What a sweep will take, from one image coded at three of its points: seconds, memory and disk. It writes nothing."""

import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import sha256
from harness.images import SourceImage
from harness.memory import peak_bytes
from harness.records import CodecConfig, Failure
from harness.store import DATABASE, open_store
from harness.sweep.coding import code
from harness.sweep.executor import Executor, Lost, Place
from harness.sweep.local import LocalProcesses
from harness.sweep.plan import Task

ROW_BYTES = 1200  # of a candidate in the database, its index and the table


@dataclass(frozen=True)
class Missing:
    """An image of a set, and how many of a codec's points it lacks."""

    source: SourceImage
    points: int


@dataclass(frozen=True)
class Sample:
    """One image, measured at a few of its points on one thread.

    `places` are the indices of these points among all of the codec's, `seconds` and `bytes` what each took and came to;
    `prepare_seconds` come once for each image. `decode_seconds` and `png_bytes` are of the middle one.
    """

    name: str
    pixels: int
    places: tuple[int, ...]
    seconds: tuple[float, ...]
    bytes: tuple[int, ...]
    prepare_seconds: float
    decode_seconds: float
    png_bytes: int
    peak_bytes: int


@dataclass(frozen=True)
class Forecast:
    """What is to be coded, and what it will take: seconds of one core, bytes of one process, bytes of disk.

    `decode_seconds` and `png_bytes` are those of the whole set at one rate.
    """

    candidates: int
    images: int
    core_seconds: float
    decode_seconds: float
    process_bytes: int
    stream_bytes: int
    png_bytes: int


@dataclass(frozen=True)
class Load:
    """What a forecast comes to where it is done: images at a time, seconds, and the memory of the tightest place.

    `memory_bytes` are what is needed there at the peak, `free_bytes` what is free.
    """

    images_at_once: int
    seconds: float
    memory_bytes: int
    free_bytes: int


def missing(images: Sequence[SourceImage], codec: CodecConfig, points: Sequence[str], out: Path) -> list[Missing]:
    """Of each image the number of points that a run in `out`, if there is one, has not coded yet."""
    if not (out / DATABASE).exists():
        return [Missing(source, len(points)) for source in images]
    with open_store(out, write=False) as store:
        known = store.known_files()
        hashes: dict[str, str] = {}
        for source in images:
            path, state = str(source.path.resolve()), source.path.stat()
            file = known.get(path)
            if file and (file.size, file.modified_ns) == (state.st_size, state.st_mtime_ns):
                hashes[source.name] = file.sha256
            else:
                hashes[source.name] = sha256(source.path.read_bytes())
        lacking = store.lacking(codec.sha256, dict.fromkeys(hashes.values()), points)
    return [Missing(source, len(lacking.pop(hashes[source.name], ()))) for source in images]


def measure(source: SourceImage, codec: CodecConfig, points: Sequence[str], executor: Executor | None = None) -> Sample:
    """Code the image at the first, the middle and the last point, by default in a process of its own here.

    On a cluster's worker the memory is the most that its process has ever held. Raises ClicError.
    """
    places = sorted({0, len(points) // 2, len(points) - 1})
    digest = sha256(source.path.read_bytes())
    chosen = tuple(points[place] for place in places)
    task = Task(digest, codec.sha256, chosen, str(source.path.resolve()), codec.spec, source.name, source.pixels)
    for _, result in (executor or LocalProcesses(1)).run(_measured, [task]):
        if isinstance(result, Sample):
            return result
        raise ClicError(f"{source.path}: cannot be coded with {codec.name} ({result.reason}); mend or remove it")
    raise ClicError(f"{source.path}: nothing came of coding it with {codec.name}; mend or remove it")


def forecast(sample: Sample, wanted: Sequence[Missing], points: int) -> Forecast:
    """By pixels from the sample to all images: seconds linear between the measured points, bytes by their logarithm."""
    places = np.arange(points)
    seconds = np.interp(places, sample.places, sample.seconds).mean()
    size = np.exp(np.interp(places, sample.places, np.log(sample.bytes))).mean()
    coded = [entry for entry in wanted if entry.points]
    pixels = sum(entry.source.pixels for entry in coded)
    repeated = sum(entry.source.pixels * entry.points for entry in coded)
    candidates = sum(entry.points for entry in coded)
    largest, whole = max(entry.source.pixels for entry in wanted), sum(entry.source.pixels for entry in wanted)
    return Forecast(
        candidates,
        len(coded),
        float(pixels * sample.prepare_seconds + repeated * seconds) / sample.pixels,
        whole * sample.decode_seconds / sample.pixels,
        round(sample.peak_bytes * max(1.0, largest / sample.pixels)),
        round(repeated * size / sample.pixels) + candidates * ROW_BYTES,
        round(whole * sample.png_bytes / sample.pixels),
    )


def load(expected: Forecast, places: Sequence[Place]) -> Load:
    """What it comes to at these places, with the memory of the one that has the least to spare.

    There are never more images at a time than there are, as one process or thread has one at a stretch, and no more
    than cores go on.
    """
    size = max(1, expected.process_bytes)
    permitted = [place.tasks or max(1, int(min(place.cores, place.free_bytes // size))) for place in places]
    at_once = max(1, min(sum(permitted), expected.images))
    needs = [
        (min(tasks, at_once) * expected.process_bytes, place.free_bytes)
        for tasks, place in zip(permitted, places, strict=True)
    ]
    memory, free = max(needs, key=lambda need: need[0] / max(1, need[1]))
    seconds = expected.core_seconds / min(at_once, sum(place.cores for place in places))
    return Load(at_once, seconds, memory, free)


def _measured(task: Task) -> Iterator[Sample | Failure | Lost]:
    """In a worker: the task's points, timed with all that a sweep does, then the middle stream decoded."""
    last = time.perf_counter()
    seconds: list[float] = []
    sizes, streams, prepare = [], [], 0.0
    for result in code(task):
        if isinstance(result, Failure):
            yield result
            return
        now = time.perf_counter()
        prepare = result.candidate.prepare_seconds
        seconds.append(now - last - (0 if seconds else prepare))
        sizes.append(result.candidate.bytes)
        streams.append(result.stream)
        last = now
    codec = open_codec(task.spec)
    everything = list(codec.points())
    start = time.perf_counter()
    pixels = codec.decode(streams[len(streams) // 2])
    decode = time.perf_counter() - start
    png = io.BytesIO()
    Picture.fromarray(pixels).save(png, "PNG", compress_level=1)
    yield Sample(
        task.name,
        task.pixels,
        tuple(everything.index(point) for point in task.points),
        tuple(seconds),
        tuple(sizes),
        prepare,
        decode,
        len(png.getvalue()),
        peak_bytes(),
    )
