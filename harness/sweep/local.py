"""Processes on this machine that do the tasks of a sweep, each with one thread."""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Protocol, cast

from harness.records import Failure
from harness.sweep.coding import Coded, failure
from harness.sweep.plan import Task

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

Work = Callable[[Task], Iterator[Coded | Failure]]


class Executor(Protocol):
    """Where the tasks of a sweep are done."""

    def run(self, work: Work, tasks: Iterable[Task]) -> Generator[tuple[Task, Coded | Failure], None, None]:
        """Results with their tasks as they come, in any order, each once.

        `work` is a function that another process can import. A task is taken from `tasks` when there is somebody to do
        it, not earlier. One whose worker dies gives a Failure without a point, which names the cause; the others go on.
        Closing the iterator ends all workers.
        """


@dataclass(frozen=True)
class LocalProcesses:
    """As many processes as `workers`, by default as many as there are cores that this process may use."""

    workers: int | None = None

    def run(self, work: Work, tasks: Iterable[Task]) -> Generator[tuple[Task, Coded | Failure], None, None]:
        """Results with their tasks as soon as they are there. A worker that dies is replaced."""
        waiting, workers = iter(tasks), self.workers or usable_cores()
        busy: dict[Connection, tuple[SpawnProcess, Task]] = {}
        try:
            while True:
                while len(busy) < workers and (task := next(waiting, None)):
                    connection, process = _start(work)
                    busy[connection] = process, task
                    _send(connection, task)
                if not busy:
                    return
                for connection in cast("list[Connection]", wait(busy)):
                    process, task = busy[connection]
                    try:
                        result = connection.recv()
                    except (EOFError, OSError):
                        process.join()
                        del busy[connection]
                        connection.close()
                        yield task, failure(task, "", _cause_of_death(process))
                        continue
                    if result is not None:
                        yield task, result
                    elif following := next(waiting, None):
                        busy[connection] = process, following
                        _send(connection, following)
                    else:
                        connection.close()  # which ends the worker
                        del busy[connection]
        finally:
            for process, _ in busy.values():
                process.kill()


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _send(connection: Connection, task: Task) -> None:
    with suppress(OSError):  # of a dead worker; the next recv says so and names the image
        connection.send(task)


def _cause_of_death(process: SpawnProcess) -> str:
    code = process.exitcode or 0
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name} (out of memory? try --workers 1)"
    return f"its process ended with status {code}"


def _start(work: Work) -> tuple[Connection, SpawnProcess]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_live, args=(theirs, work), daemon=True)
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(ONE_THREAD)  # the libraries read it as they are loaded, before any code of ours runs
    try:
        _start_deaf(process)
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
    theirs.close()
    return ours, process


def _start_deaf(process: SpawnProcess) -> None:
    """Start a process that Ctrl-C, which reaches the whole group, does not reach; its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):
        process.start()
        return
    # The tracker of multiprocessing would unblock the signal as it starts, so it starts before.
    resource_tracker.ensure_running()
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _live(connection: Connection, work: Work) -> None:
    """A worker's life: tasks in, results out, None after each task; ends with the connection."""
    try:
        while True:
            for result in work(connection.recv()):
                connection.send(result)
            connection.send(None)
    except (EOFError, ConnectionError):
        return
