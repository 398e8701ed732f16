"""The streams of a run's folder, `streams/ab/abcdef....bin`: each named by the SHA-256 of its bytes."""

import os
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from harness.errors import ClicError
from harness.files import sha256

_MEND = "run 'clic encode' or 'clic submit' again with --rehash, which codes it anew"


def stream_path(folder: Path, digest: str) -> Path:
    """Where the stream of that hash lies in the folder of a run."""
    return folder / "streams" / digest[:2] / f"{digest}.bin"


def read_stream(folder: Path, digest: str) -> bytes:
    """The stream of that hash. Raises ClicError where it is missing, or its bytes are not those of its name."""
    path = stream_path(folder, digest)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClicError(f"{path}: the stream cannot be read ({error.strerror}); {_MEND}") from error
    if sha256(content) != digest:
        raise ClicError(f"{path}: the stream is damaged, its bytes are not those that were coded; {_MEND}")
    return content


def is_whole(folder: Path, digest: str, size: int, reread: bool = False) -> bool:
    """Whether the stream of that hash is there in its size; with `reread`, also in its bytes."""
    path = f"{folder}/streams/{digest[:2]}/{digest}.bin"  # asked of millions, and a Path takes twice as long
    try:
        is_of_size = os.stat(path).st_size == size  # noqa: PTH116
    except OSError:
        return False
    return is_of_size and (not reread or sha256(Path(path).read_bytes()) == digest)


def write_stream(folder: Path, digest: str, content: bytes, part: Path) -> None:
    """Put a stream in its place, and on the disk before this returns; `part` holds it meanwhile.

    Raises OSError, as for a full disk, after which `part` is gone.
    """
    if sha256(content) != digest:
        raise ValueError(f"a stream of hash {sha256(content)} was announced as {digest}")
    path = stream_path(folder, digest)
    try:
        if not path.parent.exists():
            path.parent.mkdir(exist_ok=True)
            _sync(path.parent.parent)
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def remove_others(folder: Path, known: Set[str]) -> None:
    """Remove the streams whose file's name is none of the known: their rows were never written."""
    for part in folder.glob("streams/??"):
        for name in set(os.listdir(part)).difference(known):  # noqa: PTH208  millions of names, and Paths take longer
            if name.endswith(".bin"):
                (part / name).unlink()


def _sync(folder: Path) -> None:
    """Put a folder's list of names on the disk, where the system can."""
    with suppress(PermissionError):  # Windows opens no folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
