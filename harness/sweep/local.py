"""Processes on this machine that do the tasks of a sweep, each with one thread.

Each process is a pool of pebble's with one worker: pebble starts it, notices its death, ends it where it takes too
long, and starts another one. A worker steps through a task result by result, so that each is handed on as it is made.
"""

import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any, Generic

from pebble import ProcessExpired, ProcessPool

from harness.memory import available_bytes, peak_bytes
from harness.processes import QuietContext
from harness.progress import log
from harness.sweep.executor import RESULT_SECONDS, Lost, Place, R, T

WATCH_SECONDS = 1.0  # between looks at workers that say nothing
SPARE = 0.1  # of the free memory, left for all others


@dataclass(frozen=True)
class LocalProcesses:
    """As many processes as `workers`, by default one a core, as far as memory permits by what the first task took.

    A task whose next result takes longer than `result_seconds` is lost.
    """

    workers: int | None = None
    result_seconds: float = RESULT_SECONDS

    def run(self, work: Callable[[T], Iterator[R]], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        """Results with their tasks as soon as they are there. A worker that dies is replaced."""
        waiting, allowed = iter(tasks), self.workers or 1
        idle: list[_Seat] = []
        busy: dict[Future[Step[R]], tuple[_Seat, T]] = {}
        try:
            while True:
                while len(busy) < allowed and (task := next(waiting, None)) is not None:
                    seat = idle.pop() if idle else _Seat(self.result_seconds)
                    busy[seat.begin(work, task)] = seat, task
                if not busy:
                    return
                done = wait(busy, WATCH_SECONDS, FIRST_COMPLETED).done
                for future in done or [future for future, (seat, _) in busy.items() if seat.is_empty()]:
                    seat, task = busy.pop(future)
                    step = seat.outcome(future)
                    if isinstance(step, Lost):
                        idle.append(seat)
                        yield task, step
                        continue
                    if self.workers is None and step.results and allowed == 1:
                        allowed = _permitted(step.peak_bytes)
                    if step.is_last:
                        idle.append(seat)
                    else:  # before its result is looked at, so that it works on meanwhile
                        busy[seat.go_on()] = seat, task
                    for result in step.results:
                        yield task, result
        finally:
            for seat in (*idle, *(seat for seat, _ in busy.values())):
                seat.close()

    def places(self) -> list[Place]:
        """This machine alone."""
        return [Place(self.workers, usable_cores(), available_bytes())]


def usable_cores() -> int:
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _permitted(peak: int) -> int:
    """How many processes there may be where one has taken `peak` bytes: no more than cores."""
    cores, free = usable_cores(), int(available_bytes() * (1 - SPARE))
    permitted = max(1, min(cores, 1 + free // max(1, peak)))
    if permitted < cores:
        log(
            f"sweep: {permitted} of {cores} processes, as one takes {peak / 1e9:.1f} GB and {free / 1e9:.1f} GB are "
            "free; --workers N takes another number"
        )
    return permitted


@dataclass(frozen=True)
class Step(Generic[R]):
    """What a worker gives at a time: a result, or none at the task's end; and the most memory that it has held."""

    results: tuple[R, ...]
    is_last: bool
    peak_bytes: int


@dataclass
class _Seat:
    """One worker at a time, its next one after its death, and the task that it has.

    A pool for each: pebble's workers share a lock in their pool, which one that is killed could take along.
    """

    result_seconds: float
    context: QuietContext = field(default_factory=QuietContext)
    pool: ProcessPool | None = None

    def begin(self, work: Callable[[T], Iterator[R]], task: T) -> "Future[Step[R]]":
        """Let the worker begin a task."""
        return self._step(work, task)

    def go_on(self) -> "Future[Any]":
        """Let it make the next result."""
        return self._step()

    def is_empty(self) -> bool:
        """Whether the worker is gone and pebble did not say so: it is silent of one that left with status 0."""
        return self.pool is None or not self.pool.active or self.context.has_left()

    def outcome(self, future: "Future[Step[R]]") -> Step[R] | Lost:
        """What a step gave, or why the task is lost."""
        if not future.done():
            self.close()
            return Lost(_cause_of_death(0))
        try:
            return future.result()
        except ProcessExpired as error:
            return Lost(_cause_of_death(int(error.exitcode)))
        except TimeoutError:
            return Lost.too_slow(self.result_seconds)
        except (BrokenProcessPool, CancelledError, RuntimeError) as error:  # it died before it had the task
            self.close()
            return Lost(f"its process could not work ({str(error) or type(error).__name__})")

    def close(self) -> None:
        """End the worker at once, whatever it does."""
        if self.pool:
            self.pool.stop()
            self.context.kill()
            self.pool.join()
            self.pool, self.context = None, QuietContext()

    def _step(self, *begin: Any) -> "Future[Any]":
        if self.is_empty():
            self.close()
            self.pool = ProcessPool(1, context=self.context)
        assert self.pool is not None
        return self.pool.schedule(_make, begin, timeout=self.result_seconds)


def _cause_of_death(code: int) -> str:
    if code < 0:
        return f"its process was killed by {signal.Signals(-code).name} (out of memory? try --workers 1)"
    return f"its process ended with status {code}"


_begun: list[Iterator[Any]] = []  # the task of this process, if it is a worker


def _make(work: Callable[[T], Iterator[R]] | None = None, task: T | None = None) -> Step[R]:
    """In a worker: the next result of a new task, or of the one that it has."""
    if work is not None and task is not None:
        _begun[:] = [work(task)]
    if not _begun:
        raise RuntimeError("it was started anew in the middle of a task")
    for result in _begun[0]:
        return Step((result,), False, peak_bytes())
    _begun.clear()
    return Step((), True, peak_bytes())
