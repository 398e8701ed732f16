"""Locks that a process holds while it lives: a killed process's are free at once, and no clock is needed."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from harness.errors import ClicError
from harness.progress import log

UNSUPPORTED = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)  # of locks, on some network file systems


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold `out` (made where it is missing) for one run at a time. Raises ClicError while another has it."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = _acquired(out / ".lock")
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
        self._lock = _acquired(self._path(self.name))

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
        try:
            _acquired(path).release()
        except Timeout:
            return False
        return True

    def forget(self, name: str) -> None:
        """Remove the lock file of a process that has ended, once nothing else is left of it."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.lock"


def _acquired(path: Path) -> BaseFileLock:
    """The lock of that file, held. Raises filelock.Timeout at once where another process has it."""
    lock = _kind_of_lock(path.parent)(path, blocking=False)
    lock.acquire()
    return lock


@cache
def _kind_of_lock(folder: Path) -> type[BaseFileLock]:
    """What locks files in a folder; a warning where its file system has no locks.

    There the file itself is the lock, with its process written inside: a dead one of this machine is told by its
    number, one of another machine is not.
    """
    try:
        import fcntl
    except ImportError:  # as on Windows, whose locks are others
        return FileLock
    with TemporaryFile(dir=folder) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            log(f"{folder}: this file system has no locks; let one machine at a time work in the folder")
            return SoftFileLock
    return FileLock
