"""Processes of which each uses one thread, and which Ctrl-C does not reach: their parent ends them."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class QuietProcess(SpawnProcess):
    """A process that Ctrl-C, which reaches the whole group, does not reach, and whose libraries use one thread."""

    def start(self) -> None:
        with one_thread(), _deaf():
            super().start()


class QuietContext(SpawnContext):
    """Starts such processes, and remembers them."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[QuietProcess] = []

    def Process(self, *arguments: Any, **named: Any) -> QuietProcess:  # type: ignore[override]
        """A process that is not started yet."""
        process = QuietProcess(*arguments, **named)
        self.started = [other for other in self.started if other.exitcode is None or other.exitcode == 0] + [process]
        return process

    def has_left(self) -> bool:
        """Whether one of them ended as if its work were done."""
        return any(process.exitcode == 0 for process in self.started if process.pid is not None)

    def kill(self) -> None:
        """End them all."""
        for process in self.started:
            if process.pid is not None:
                process.kill()


@contextmanager
def one_thread() -> Iterator[None]:
    """What a process started here inherits: the libraries read it as they are loaded, before any code of ours runs."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _deaf() -> Iterator[None]:
    """A process started here is not reached by Ctrl-C, not even while it starts; its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # The tracker of multiprocessing would unblock the signal as it starts, so it starts before.
    resource_tracker.ensure_running()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)
