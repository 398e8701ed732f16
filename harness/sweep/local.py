"""Images x operating points -> candidates.csv and streams: coded once each, resumable at any moment.

candidates.csv is the log itself. Only the parent process appends to it, one row at a time and flushed to
disk before the next, after a worker has put the stream in its place. A later run keeps every row whose
image, codec and stream still have the recorded hashes, and codes the others.
"""

import csv
import fcntl
import io
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from harness.codecs.protocol import Codec, load_codec
from harness.errors import ClicError
from harness.files import sha256, write_atomic
from harness.images import SourceImage, load_rgb
from harness.progress import Progress, log

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "image",
    "width",
    "height",
    "codec",
    "point",
    "bytes",
    "msssim_competition",
    "msssim_paper",
    "mse",
    "encode_seconds",
    "image_sha256",
    "stream_sha256",
    "pixels_sha256",
    "codec_sha256",
)
READERS: Mapping[str, Callable[[str], Any]] = {
    "width": int,
    "height": int,
    "bytes": int,
    "msssim_competition": float,
    "msssim_paper": float,
    "mse": float,
    "encode_seconds": float,
}
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Failure:
    """A candidate that could not be made; `point` is empty where the whole image is concerned."""

    image: str
    point: str
    reason: str


@dataclass(frozen=True)
class _Task:
    """One image with the points that it still lacks: one process, so that a codec may keep its analysis."""

    source: SourceImage
    points: tuple[str, ...]
    image_sha256: str


def codec_sha256(codec: Codec) -> str:
    """Hex SHA-256 of the codec's name and configuration, as canonical JSON."""
    described = {"name": codec.name, "config": codec.config()}
    return sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode())


def pixels_sha256(pixels: np.ndarray) -> str:
    """Hex SHA-256 of the shape and the samples, in C order, of uint8 pixels."""
    return sha256(f"{pixels.shape}".encode() + np.ascontiguousarray(pixels).tobytes())


def stream_path(streams: Path, image: str, point: str) -> Path:
    """Where the stream of a candidate lies."""
    return streams / image / f"{point}.bin"


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold `out` (made where it is missing) for one run at a time. Raises ClicError while another has it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = (out / ".lock").open("a")
    except OSError as error:
        raise ClicError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ClicError(
                f"{out}: another run is working in this folder; wait for it to end or choose another --out"
            ) from error
        yield


def sweep(
    images: Sequence[SourceImage],
    codec_name: str,
    out: Path,
    workers: int | None = None,
    progress: Progress | None = None,
) -> "DataFrame":
    """Code every image at every operating point; returns the table that is then in out/candidates.csv.

    The caller holds `exclusive(out)`. `workers` defaults to the number of cores that this process may use;
    each is a process of one thread. Raises ClicError, after all else is done, where candidates failed; they
    are listed in out/failures.csv.
    """
    import pandas

    codec = load_codec(codec_name)
    points = list(dict.fromkeys(codec.points()))
    key = codec_sha256(codec)
    for point in points:
        if Path(point).name != point:
            raise ClicError(f"codec {codec.name!r}: point {point!r} cannot name a file; leave out '/'")
    log_path, failures_path, streams = out / "candidates.csv", out / "failures.csv", out / "streams"
    for left_over in out.glob("**/.*.part"):
        left_over.unlink()

    hashes = {source.name: sha256(source.path.read_bytes()) for source in images}
    rows = {
        (row["image"], row["point"]): row
        for row in _read_log(log_path)
        if row["codec_sha256"] == key
        and row["point"] in points
        and row["image_sha256"] == hashes.get(row["image"])
        and _hash_of_file(stream_path(streams, row["image"], row["point"])) == row["stream_sha256"]
    }
    write_atomic(log_path, _csv(rows.values(), header=True))
    failures_path.unlink(missing_ok=True)

    missing = {source: tuple(p for p in points if (source.name, p) not in rows) for source in images}
    tasks = [_Task(source, lacking, hashes[source.name]) for source, lacking in missing.items() if lacking]
    tasks.sort(key=lambda task: task.source.pixels, reverse=True)
    if rows and tasks:
        log(f"sweep: {len(rows)} of {len(images) * len(points)} candidates are already there")

    total = sum(task.source.pixels * len(task.points) for task in tasks)
    done = 0
    failures = []
    with (
        log_path.open("ab") as log_file,
        closing(_run(tasks, codec_name, streams, workers or len(os.sched_getaffinity(0)))) as results,
    ):
        for task, result in results:
            if isinstance(result, Failure):
                failures.append(result)
                log(f"sweep: {result.image} {result.point}: {result.reason}")
                continue
            log_file.write(_csv([result]))
            log_file.flush()
            os.fsync(log_file.fileno())
            rows[result["image"], result["point"]] = result
            done += task.source.pixels
            if progress:
                progress(done, total)
    if failures:
        listing = pandas.DataFrame(failures, columns=["image", "point", "reason"])
        write_atomic(failures_path, listing.to_csv(index=False, lineterminator="\n").encode())
        first = "; ".join(f"{f.image} {f.point}: {f.reason}" for f in failures[:3])
        raise ClicError(
            f"{len(failures)} failures in coding with {codec_name} ({first}); all are in "
            f"{failures_path}; mend or remove these images and run again, the rest is kept"
        )

    ordered = [rows[source.name, point] for source in images for point in points]
    write_atomic(log_path, _csv(ordered, header=True))
    return pandas.DataFrame(ordered, columns=list(COLUMNS))


def _csv(rows: Iterable[Row], header: bool = False) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _read_log(path: Path) -> Iterator[Row]:
    """The whole rows of a log; a torn one, which only a killed run's last can be, is left out."""
    if not path.exists():
        return
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for fields in csv.reader(file):
            if len(fields) != len(COLUMNS) or fields == list(COLUMNS):
                continue
            row = dict(zip(COLUMNS, fields, strict=True))
            try:
                yield {name: READERS.get(name, str)(text) for name, text in row.items()}
            except ValueError:
                continue


def _hash_of_file(path: Path) -> str:
    return sha256(path.read_bytes()) if path.is_file() else ""


def _run(
    tasks: Sequence[_Task], codec_name: str, streams: Path, workers: int
) -> Generator[tuple[_Task, Row | Failure], None, None]:
    """Each candidate as soon as it is there. A worker that dies fails its image's rest, and is replaced."""
    waiting = deque(tasks)
    busy: dict[Connection, tuple[SpawnProcess, _Task]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                connection, process = _start_worker(codec_name, streams)
                busy[connection] = process, waiting.popleft()
                _send(connection, busy[connection][1])
            for connection in cast("list[Connection]", wait(busy)):
                process, task = busy[connection]
                try:
                    result = connection.recv()
                except (EOFError, OSError):
                    process.join()
                    del busy[connection]
                    connection.close()
                    yield task, Failure(task.source.name, "", _cause_of_death(process))
                    continue
                if result is not None:
                    yield task, result
                elif waiting:
                    busy[connection] = process, waiting.popleft()
                    _send(connection, busy[connection][1])
                else:
                    connection.close()  # which ends the worker
                    del busy[connection]
    finally:
        for process, _ in busy.values():
            process.kill()


def _send(connection: Connection, task: _Task) -> None:
    with suppress(OSError):  # of a dead worker; the next recv says so and names the image
        connection.send(task)


def _cause_of_death(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name} (out of memory? try --workers 1)"
    return f"its process ended with status {code}"


def _start_worker(codec_name: str, streams: Path) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, codec_name, streams), daemon=True)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # the libraries read it as they are loaded, before any code of ours runs
    # Ctrl-C reaches the whole group; the workers inherit not to see it, and the parent ends them. The tracker
    # of multiprocessing would unblock the signal as it starts, so it starts before.
    resource_tracker.ensure_running()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    theirs.close()
    return ours, process


def _work(connection: Connection, codec_name: str, streams: Path) -> None:
    """A worker's life: tasks in, rows and failures out, None after each task; ends with the connection."""
    codec = load_codec(codec_name)
    key = codec_sha256(codec)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    try:
        while True:
            for result in _code(codec, key, connection.recv(), streams):
                connection.send(result)
            connection.send(None)
    except (EOFError, ConnectionError):
        return


def _code(codec: Codec, key: str, task: _Task, streams: Path) -> Iterator[Row | Failure]:
    from harness.scores.msssim import Reference

    source = task.source
    try:
        pixels = load_rgb(source.path)
        reference = Reference(pixels)
    except Exception as error:  # whatever it is, the other images go on
        yield Failure(source.name, "", _reason(error))
        return
    for point in task.points:
        try:
            start = time.perf_counter()
            encoding = codec.encode(pixels, point)
            seconds = time.perf_counter() - start
            decoded = codec.decode(encoding.stream) if encoding.pixels is None else encoding.pixels
            if decoded.shape != pixels.shape or decoded.dtype != np.uint8:
                raise ClicError(f"decodes to {decoded.dtype} {decoded.shape}, expected uint8 {pixels.shape}")
            score = reference.score(decoded)
            write_atomic(stream_path(streams, source.name, point), encoding.stream)
        except Exception as error:
            yield Failure(source.name, point, _reason(error))
            continue
        yield {
            "image": source.name,
            "width": source.width,
            "height": source.height,
            "codec": codec.name,
            "point": point,
            "bytes": len(encoding.stream),
            "msssim_competition": score.msssim_competition,
            "msssim_paper": score.msssim_paper,
            "mse": score.mse,
            "encode_seconds": round(seconds, 3),
            "image_sha256": task.image_sha256,
            "stream_sha256": sha256(encoding.stream),
            "pixels_sha256": pixels_sha256(decoded),
            "codec_sha256": key,
        }


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ClicError) else f"{type(error).__name__}: {error}"
