"""Where the tasks of a sweep are done: the one interface of local processes and of a cluster."""

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar


class Portable(Protocol):
    """A task that can be sent to a machine that sees none of this one's files."""

    def carried(self) -> Self:
        """The same task with all bytes in it that its work reads. Raises OSError where they cannot be read."""


T = TypeVar("T", bound=Portable)
R = TypeVar("R")
RESULT_SECONDS = 3600.0  # that a task may take to its next result: an image at one point, by the slowest of codecs


@dataclass(frozen=True)
class Lost:
    """A task that ended before its work did, and why: its process died, or took longer than it may.

    What it gave before stays given. `again` says whether another try could end otherwise.
    """

    reason: str
    again: bool = True

    @classmethod
    def too_slow(cls, seconds: float) -> Self:
        """One whose next result did not come within the seconds that it may take."""
        return cls(f"nothing came for {seconds:g} s, so it was ended", again=False)


@dataclass(frozen=True)
class Place:
    """A machine, or a worker of a cluster: what it may do at a time, and with what.

    `tasks` are as many as cores and memory permit where it is None. `cores` are its share of its machine's, and
    `free_bytes` the memory that is free for it.
    """

    tasks: int | None
    cores: float
    free_bytes: int


class Executor(Protocol):
    """Where tasks are done; which one decides nothing about their results."""

    def run(self, work: Callable[[T], Iterator[R]], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        """Results with their tasks as they come, in any order, each once.

        `work` is a function that another process can import; it is pure, and runs on one thread. A task is taken from
        `tasks` when there is somebody to do it, not earlier. One whose worker dies gives a `Lost`; the others go on.
        Closing the iterator ends all work. Raises ClicError where no work can be done at all.
        """


class Placed(Executor, Protocol):
    """An executor that says beforehand where it works."""

    def places(self) -> list[Place]:
        """All places, one at least. Raises ClicError where there is none now."""
