"""Files of results: writes that a killed process cannot leave half done, hashes, and strict JSON."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, BinaryIO

from harness.errors import ClicError
from harness.rates import Rate


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to `path` so that the file is either as it was or whole, also after a power cut.

    Raises ClicError where it cannot be written, as on a full disk.
    """
    try:
        with atomic(path) as file:
            file.write(content)
    except OSError as error:
        raise ClicError(
            f"{path}: cannot be written ({error.strerror}); make room there, or choose another folder, and go on"
        ) from error


@contextmanager
def atomic(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` in the end; where an exception ends it, `path` stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def sha256(content: bytes) -> str:
    """Hex SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def as_json(value: Any) -> str:
    """Strict JSON text, sorted and indented, of plain values and dataclasses of them.

    What JSON has no number for (NaN, infinity) becomes null, a rate its one spelling.
    """
    return json.dumps(_finite(value), indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, Rate):
        return str(value)
    if is_dataclass(value):
        return {field.name: _finite(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
