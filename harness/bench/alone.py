"""One call in a process of its own with one thread, so that measurements neither share memory nor borrow cores."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

Result = TypeVar("Result")
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def alone(work: Callable[..., Result], *arguments: Any) -> Result:
    """`work(*arguments)` in a fresh process in which numpy and torch have one thread; both must be picklable."""
    with _one_thread(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


@contextmanager
def _one_thread() -> Iterator[None]:
    """What a process started here inherits; the libraries read it when they are loaded."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def peak_memory_bytes() -> int | None:
    """The most memory that this process has held, None where the system does not tell."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) * (1 if sys.platform == "darwin" else 1024)


def processor() -> str:
    """What the machine calls its processor, and how many the process may use; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = os.cpu_count() or 1
    return f"{names[0]}, {cores} cores" if names else f"{cores} cores"
