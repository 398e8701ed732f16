"""What a sweep takes beyond the coding itself: the same candidates by each executor, into a store of its own."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.bench.alone import alone
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import sha256
from harness.images import SourceImage
from harness.records import Failure
from harness.store import open_store
from harness.sweep.coding import code
from harness.sweep.dask import LOCAL, DaskCluster
from harness.sweep.executor import Executor
from harness.sweep.local import LocalProcesses, usable_cores
from harness.sweep.originals import record_originals
from harness.sweep.plan import Plan, Task, describe
from harness.sweep.run import sweep


@dataclass(frozen=True)
class SweepSpeed:
    """A sweep of all images at all points, on the clock, from an empty folder to its table.

    `times_bare` is the ratio to coding the same in one process, one image after the other, with nothing stored.
    """

    executor: str
    processes: int
    candidates: int
    seconds: float
    times_bare: float


def bench_sweep(
    images: Sequence[SourceImage], spec: str, progress: Callable[[int, int], None] | None = None
) -> list[SweepSpeed]:
    """The bare coding, then local processes, one and one a core, then Dask's where it is installed."""
    cores = usable_cores()
    ways: list[tuple[str, int, Executor]] = [("local", 1, LocalProcesses(1))]
    if cores > 1:
        ways.append(("local", cores, LocalProcesses(cores)))
    if find_spec("distributed"):
        ways.append(("dask", cores, DaskCluster(LOCAL)))
    bare, candidates = alone(_bare, images, spec)
    results = [SweepSpeed("none, nothing stored", 1, candidates, bare, 1.0)]
    for name, processes, executor in ways:
        if progress:
            progress(len(results), len(ways) + 1)
        start = time.perf_counter()
        with TemporaryDirectory() as folder, open_store(Path(folder)) as store:
            sweep(Plan(record_originals(images, store), describe(open_codec(spec), spec)), store, executor)
        seconds = time.perf_counter() - start
        results.append(SweepSpeed(name, processes, candidates, seconds, seconds / bare))
    return results


def _bare(images: Sequence[SourceImage], spec: str) -> tuple[float, int]:
    """Seconds and number of candidates. The codec is opened and its libraries are loaded within them, as in a sweep."""
    start, candidates = time.perf_counter(), 0
    codec = describe(open_codec(spec), spec)
    points = tuple(open_codec(spec).points())
    for source in images:
        content = source.path.read_bytes()
        task = Task(sha256(content), codec.sha256, points, str(source.path), spec, source.name, source.pixels)
        for result in code(task):
            if isinstance(result, Failure):
                raise ClicError(f"{source.path}: cannot be coded with {spec} ({result.reason}); leave it out")
            candidates += 1
    return time.perf_counter() - start, candidates
