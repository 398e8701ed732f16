"""Settings files: strict TOML into a frozen dataclass, where a file may extend another one.

The dataclass says what is allowed. A field's type is `str`, `bool`, `Rate`, one of `Literal[...]`, `tuple[KIND, ...]`
for a list of different entries, `Words` for a command, `Annotated[int, Bounds(low=1)]` for a number, another such
dataclass or `Mapping[str, KIND]` for a table, or `KIND | KIND`; fields with a default may be left out.
"""

import math
import tomllib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from harness.errors import ClicError
from harness.rates import Rate

T = TypeVar("T")
Find = Callable[[str, Path], Path]
"""The file that a file means by `extends = NAME`, given NAME and the folder it lies in. Raises ClicError."""


@dataclass(frozen=True)
class Bounds:
    """The smallest and the largest number that a setting may be; None where there is no limit."""

    low: float | None = None
    high: float | None = None

    def hold(self, value: float) -> bool:
        """Whether a number is within."""
        low, high = (-math.inf if self.low is None else self.low), (math.inf if self.high is None else self.high)
        return math.isfinite(value) and low <= value <= high

    def __str__(self) -> str:
        low = "" if self.low is None else f" from {self.low:g}"
        return low + ("" if self.high is None else f" up to {self.high:g}")


Positive = Annotated[int, Bounds(low=1)]


class Words(tuple[str, ...]):
    """The words of a command: a list of texts, at least one, which may repeat or be empty."""


def read_settings(kind: type[T], path: Path, find: Find, **given: Any) -> T:
    """The settings in the TOML file at `path` as a `kind`; the fields in `given` do not come from the file.

    A key that the file lacks comes from the file that it extends, then from the field's default. Raises ClicError,
    one line that names the file, the key and what is allowed there, for anything else than such a file.
    """
    kinds = {name: hint for name, hint in get_type_hints(kind, include_extras=True).items() if name not in given}
    defaults = {field.name for field in fields(kind) if not _is_required(field)}  # type: ignore[arg-type]
    table = read_table(path, find)
    for key in table:
        if key not in kinds:
            raise ClicError(f"{path}: unknown key {key!r}; allowed are extends, {', '.join(kinds)}")
    for key, hint in kinds.items():
        if key not in table and key not in defaults:
            raise ClicError(f"{path}: key {key!r} is missing; add it as {_allowed(hint)}")
    return kind(**{key: _checked(path, key, value, kinds[key]) for key, value in table.items()}, **given)


def find_file(name: str, beside: Path, known: Path) -> Path | None:
    """The file NAME.toml of the folder `known`, or the one at a path ending in .toml, relative to `beside`."""
    path = beside / name if name.endswith(".toml") else known / f"{name}.toml"
    try:
        return path if path.is_file() else None
    except (OSError, ValueError):  # a name that no file system takes
        return None


def names_in(folder: Path) -> list[str]:
    """The names of a folder's TOML files, without their ending."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def locate(kind: str, known: Path, name: str, beside: Path) -> Path:
    """The file that `find_file` finds. Raises ClicError where there is none, which says of what `kind` it is."""
    path = find_file(name, beside, known)
    if path is None:
        raise ClicError(f"{kind} {name!r}: not found; give one of {', '.join(names_in(known))}, or a .toml file's path")
    return path


def wrong(path: Path, key: str, value: Any, allowed: str) -> ClicError:
    """The error for a key whose value is none of those allowed."""
    return ClicError(f"{path}: key {key!r} is {value!r}; it must be {allowed}")


def read_table(path: Path, find: Find, below: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The file's keys over those of the file that it extends, those of a `[table]` one by one; nothing is checked yet.

    `below` are the files that led here. Raises ClicError where a file cannot be read, or extends itself.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ClicError(f"{path}: not a readable TOML file ({error}); mend or replace it") from error
    if "extends" not in table:
        return table
    parent = table.pop("extends")
    if not isinstance(parent, str):
        raise wrong(path, "extends", parent, "a name, or a path ending in .toml")
    try:
        parent_path = find(parent, path.parent)
    except ClicError as error:
        raise ClicError(f"{path}: extends: {error}") from error
    if parent_path.resolve() in (known.resolve() for known in (*below, path)):
        raise ClicError(f"{path}: extends {parent!r}, which extends it in turn; remove one of the two")
    inherited = read_table(parent_path, find, (*below, path))
    for key, value in table.items():
        if isinstance(value, dict) and isinstance(inherited.get(key), dict):
            table[key] = inherited[key] | value
    return inherited | table


def _checked(path: Path, key: str, value: Any, kind: Any) -> Any:
    """The value as the dataclass holds it. Raises ClicError where it is not of its kind."""
    try:
        return _converted(value, kind)
    except ClicError as error:
        raise ClicError(f"{path}: key {key!r}: {error}") from error
    except ValueError:
        raise wrong(path, key, value, _allowed(kind)) from None


def _converted(value: Any, kind: Any) -> Any:
    """The value as a `kind`. Raises ValueError, or ClicError where that says more."""
    if get_origin(kind) is UnionType:
        for choice in get_args(kind):
            with suppress(ValueError):
                return _converted(value, choice)
        raise ValueError
    if _is_table(kind):
        return _nested(value, kind)
    if get_origin(kind) is Mapping:
        if not isinstance(value, dict) or not value:
            raise ValueError
        return {name: _entry(name, entry, get_args(kind)[1]) for name, entry in value.items()}
    if kind is Words:
        if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
            raise ValueError
        return Words(value)
    if get_origin(kind) is tuple:
        if not isinstance(value, list) or not value:
            raise ValueError
        entries = tuple(_converted(entry, get_args(kind)[0]) for entry in value)
        if len(set(entries)) < len(entries):
            raise ValueError
        return entries
    if get_origin(kind) is Literal:
        right = isinstance(value, str) and value in get_args(kind)
    elif get_origin(kind) is Annotated:
        number, bounds = get_args(kind)
        right = type(value) in ((int,) if number is int else (int, float)) and bounds.hold(value)
    elif kind is Rate:
        if isinstance(value, str):
            return Rate.parse(value)
        right = False
    else:
        right = type(value) is kind and value != ""
    if not right:
        raise ValueError
    return value


def _is_table(kind: Any) -> bool:
    """Whether a kind is a dataclass that stands as a table in a file; a rate is written as a text."""
    return is_dataclass(kind) and kind is not Rate


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _nested(table: Any, kind: Any) -> Any:
    """A table within the file as the dataclass that its key holds. Raises ValueError, ClicError."""
    if not isinstance(table, dict):
        raise ValueError
    kinds = get_type_hints(kind, include_extras=True)
    for name in table:
        if name not in kinds:
            raise ClicError(f"unknown key {name!r}; allowed are {', '.join(kinds)}")
    for field in fields(kind):
        if field.name not in table and _is_required(field):
            raise ClicError(f"key {field.name!r} is missing; add it as {_allowed(kinds[field.name])}")
    return kind(**{name: _entry(name, entry, kinds[name]) for name, entry in table.items()})


def _entry(name: str, value: Any, kind: Any) -> Any:
    """An entry of a table within the file. Raises ClicError that names it."""
    try:
        return _converted(value, kind)
    except ClicError as error:
        raise ClicError(f"{name!r}: {error}") from error
    except ValueError:
        raise ClicError(f"{name!r} is {value!r}; it must be {_allowed(kind)}") from None


def _allowed(kind: Any) -> str:
    """What a person may write for a `kind`."""
    if _is_table(kind) or get_origin(kind) is Mapping:
        return "a table that is not empty"
    if get_origin(kind) is UnionType:
        return ", or ".join(_allowed(choice) for choice in get_args(kind) if choice is not NoneType)
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a list of different entries, each {_allowed(get_args(kind)[0])}"
    if get_origin(kind) is Annotated:
        number, bounds = get_args(kind)
        return ("a whole number" if number is int else "a number") + str(bounds)
    names = {
        str: "a text that is not empty",
        bool: "true or false",
        Rate: 'a rate in bits per pixel as "0.15"',
        Words: 'a list of words as ["program", "-q", "10"]',
    }
    return names[kind]
