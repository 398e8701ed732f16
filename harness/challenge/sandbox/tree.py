"""A folder that a stranger's program has filled: walked, measured and copied without following where it leads."""

import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from harness.errors import ClicError

MAX_ENTRIES = 50_000  # looked at; no decoder leaves so many
MAX_DEPTH = 64  # of folders in folders


def entries_in(folder: Path, leave_out: Collection[str] = ()) -> Iterator[tuple[str, os.stat_result]]:
    """Relative paths of all that lies in a folder and below, with their state; links are not followed.

    `leave_out` are relative paths that are not entered. What cannot be read is passed over, and so is what comes after
    `MAX_ENTRIES` or below `MAX_DEPTH`.
    """
    waiting, seen = [""], 0
    while waiting:
        inner = waiting.pop()
        try:
            with os.scandir(folder / inner) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            path = f"{inner}{entry.name}"
            seen += 1
            if seen > MAX_ENTRIES:
                return
            try:
                state = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if path in leave_out:
                continue
            yield path, state
            if stat.S_ISDIR(state.st_mode) and path.count("/") < MAX_DEPTH:
                waiting.append(path + "/")


def used_bytes(folder: Path) -> int:
    """Bytes that a folder takes on disk, holes in files left out."""
    return sum(state.st_blocks * 512 for _, state in entries_in(folder))


def fetch(source: Path, target: Path, max_bytes: int) -> dict[str, int]:
    """Copy plain files and folders that `target` lacks or has otherwise, as long as they sum to `max_bytes`.

    Gives the files that were left out for their size, in bytes, by relative path: with holes they may be larger than
    any disk. Raises ClicError where there is no room for the others.
    """
    left_out: dict[str, int] = {}
    for path, state in entries_in(source):
        place = target / path
        try:
            if stat.S_ISDIR(state.st_mode):
                place.mkdir(exist_ok=True)
            elif stat.S_ISREG(state.st_mode) and not _same(place, state):
                if state.st_size > max_bytes:
                    left_out[path] = state.st_size
                    continue
                max_bytes -= state.st_size
                shutil.copyfile(source / path, place, follow_symlinks=False)
                os.utime(place, ns=(state.st_atime_ns, state.st_mtime_ns))
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                continue  # unreadable, or a path longer than paths may be: so it is for everybody else
            raise ClicError(
                f"{target}: what the decoder wrote cannot be copied there ({error.strerror}); make room, or let "
                "TMPDIR name a folder with more"
            ) from error
    return left_out


def _same(place: Path, state: os.stat_result) -> bool:
    try:
        known = place.stat(follow_symlinks=False)
    except OSError:
        return False
    return (known.st_size, known.st_mtime_ns) == (state.st_size, state.st_mtime_ns)
