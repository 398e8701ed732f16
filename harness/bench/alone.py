"""One call in a process of its own with one thread, so that measurements neither share memory nor borrow cores."""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from harness.processes import one_thread

Result = TypeVar("Result")


def alone(work: Callable[..., Result], *arguments: Any) -> Result:
    """`work(*arguments)` in a fresh process in which numpy and torch have one thread; both must be picklable."""
    with one_thread(), ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def processor() -> str:
    """What the machine calls its processor, and how many the process may use; empty where it does not say."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    cores = os.cpu_count() or 1
    return f"{names[0]}, {cores} cores" if names else f"{cores} cores"
