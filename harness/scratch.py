"""Folders for a moment below TMPDIR: removed at their end, and by the next run where their process was killed.

Each lies in a folder of its own beside a lock file that its process holds, so that those of killed processes are told
from others without a clock.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.errors import ClicError

_PREFIX = "clic-"
_LOCK = ".held"  # in the outer folder, beside the one that is given


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """An empty folder of that name below TMPDIR, which is removed with all that is in it; raises ClicError.

    Removed are also those that killed processes of this user have left.
    """
    try:
        remove_abandoned()
        outer = Path(tempfile.mkdtemp(prefix=_PREFIX)).resolve()
    except OSError as error:
        raise ClicError(
            f"{error.filename or 'TMPDIR'}: no temporary folder can be made there ({error.strerror}); "
            "make room, or let TMPDIR name another folder"
        ) from error
    held = _hold(outer)
    try:
        folder = outer / name
        folder.mkdir()
        yield folder
    finally:
        _remove(outer)
        if held is not None:
            os.close(held)


def remove_abandoned() -> None:
    """Remove the folders below TMPDIR whose processes were killed; needs locks of files, so does nothing on Windows."""
    if sys.platform == "win32":
        return
    for outer in Path(tempfile.gettempdir()).glob(f"{_PREFIX}????????"):
        with suppress(OSError):  # gone meanwhile, another user's, or without locks
            if outer.is_symlink() or outer.stat().st_uid != os.getuid():
                continue
            lock = os.open(outer / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                _lock(lock)
                _remove(outer)
            finally:
                os.close(lock)


def refuse_noexec(folder: Path) -> None:
    """Raise ClicError where no program can be started from a folder, because it is mounted so."""
    if hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_NOEXEC:
        raise ClicError(
            f"{folder}: lies on a file system mounted noexec, from which no decoder can be started; "
            "let TMPDIR name another folder"
        )


def _hold(outer: Path) -> int | None:
    """The lock of a folder, held; None where there are no locks, and such a folder is then nobody's to remove."""
    if sys.platform == "win32":
        return None
    lock = os.open(outer / f"{_LOCK}.new", os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _lock(lock)
    except OSError:
        os.close(lock)
        return None
    (outer / f"{_LOCK}.new").rename(outer / _LOCK)  # nobody sees it free
    return lock


def _lock(handle: int) -> None:
    """Lock a file, or raise OSError at once."""
    import fcntl  # not everywhere

    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _remove(outer: Path) -> None:
    """Remove a folder, whatever is in it; shutil.rmtree fails on folders nested deeply."""
    if sys.platform == "win32":
        import shutil

        shutil.rmtree(outer, ignore_errors=True)
        return
    subprocess.run(["rm", "-rf", "--", str(outer)], check=False, capture_output=True, stdin=subprocess.DEVNULL)
