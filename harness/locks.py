"""Locks that a process holds while it lives: a killed process's are free at once, and no clock is needed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from filelock import FileLock, Timeout

from harness.errors import ClicError


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold `out` (made where it is missing) for one run at a time. Raises ClicError while another has it."""
    lock = FileLock(out / ".lock", blocking=False)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise ClicError(
            f"{out}: another run is working in this folder; wait for it to end or choose another --out"
        ) from error
    except OSError as error:
        raise ClicError(f"{out}: cannot be written ({error.strerror}); choose another --out") from error
    try:
        yield
    finally:
        lock.release()


class Holder:
    """A process that works in a folder, by the lock file there that it holds; `name` tells it from all others.

    With `leaves_traces` its lock file stays when it leaves, as a killed process's does.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.name = folder, f"{os.getpid()}-{token_hex(4)}"
        self.leaves_traces = False
        self._lock = FileLock(self._path(self.name), blocking=False)
        self._lock.acquire()

    def release(self) -> None:
        """Leave the folder."""
        if not self.leaves_traces:
            self._path(self.name).unlink(missing_ok=True)
        self._lock.release()

    def others(self) -> set[str]:
        """Names of the others whose lock files lie in the folder, dead or alive."""
        return {path.stem for path in self.folder.glob("*.lock")} - {self.name}

    def is_dead(self, name: str) -> bool:
        """Whether that process has ended, however it did. Its lock file, if it left one, stays as a sign of that."""
        path = self._path(name)
        if not path.exists():
            return True
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout:
            return False
        lock.release()
        return True

    def forget(self, name: str) -> None:
        """Remove the lock file of a process that has ended, once nothing else is left of it."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lock"
