"""A challenge's rules as data: one TOML file each in `rules/`, or one of the reader's own."""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from harness.errors import ClicError

RULES = Path(__file__).parent / "rules"


@dataclass(frozen=True)
class Profile:
    """The rules of one challenge; `rules/*.toml` give the source of each figure.

    `rates` are decimal strings in bits per pixel. `data_file` is the uploaded file's name; where `container`
    is "zip", `payload` is its only member, otherwise `payload` equals `data_file`. `seconds` is the time on
    the clock that decoding one submission may take.
    """

    name: str
    title: str
    rates: tuple[str, ...]
    rounding: Literal["ceil", "floor", "nearest"]
    data_file: str
    container: Literal["zip", "raw"]
    payload: str
    decoder_bytes: int
    memory_bytes: int
    seconds: int
    cpus: int
    images_folder: str = "images"

    def budget(self, pixels: int, rate: str | float | Fraction) -> int:
        """Bytes that a set of `pixels` pixels may take at `rate` bits per pixel; exactly that many pass.

        Exact: a rate counts as the decimal number it is written as, so 0.15 is 3/20. Raises ClicError for a
        rate or a number of pixels that is not positive.
        """
        if pixels <= 0:
            raise ClicError(f"budget: {pixels} pixels; give a set with at least one pixel")
        size = parse_rate(rate) * int(pixels) / 8
        if self.rounding == "nearest":
            return math.floor(size + Fraction(1, 2))
        return math.ceil(size) if self.rounding == "ceil" else math.floor(size)


def parse_rate(rate: str | float | Fraction) -> Fraction:
    """A rate in bits per pixel, exactly as its decimal notation says. Raises ClicError unless positive."""
    try:
        exact = Fraction(str(rate))
    except (ValueError, ZeroDivisionError):
        exact = Fraction(0)
    if exact <= 0:
        raise ClicError(f"rate {str(rate)!r}: not a positive number; give bits per pixel such as 0.15")
    return exact


def profile_names() -> list[str]:
    """Names of the challenges that come with the package."""
    return sorted(path.stem for path in RULES.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile of a known name, or of a TOML file given by a path ending in `.toml`.

    Raises ClicError that names the file, the key and what is allowed there.
    """
    path = _locate(str(name_or_path), Path())
    profile = Profile(name=path.stem, **_checked(path, _read(path, ())))
    _check_names(path, profile)
    return profile


def _locate(name: str, beside: Path) -> Path:
    """The file of a known name, or of a path relative to `beside`."""
    path = beside / name if name.endswith(".toml") else RULES / f"{name}.toml"
    if not path.is_file() or (not name.endswith(".toml") and name not in profile_names()):
        raise ClicError(
            f"profile {name!r}: not found; give one of {', '.join(profile_names())}, or the path of a .toml file"
        )
    return path


def _read(path: Path, below: tuple[Path, ...]) -> dict[str, Any]:
    """The file's keys over those of the profile that it extends; `below` are the files that led here."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ClicError(f"{path}: not a readable TOML file ({error}); mend or replace it") from error
    if "extends" not in table:
        return table
    parent = table.pop("extends")
    if not isinstance(parent, str):
        raise _wrong(path, "extends", parent, "a profile's name or a path ending in .toml")
    parent_path = _locate(parent, path.parent)
    if parent_path.resolve() in (known.resolve() for known in (*below, path)):
        raise ClicError(f"{path}: extends {parent!r}, which extends it in turn; remove one of the two")
    return _read(parent_path, (*below, path)) | table


def _checked(path: Path, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table as arguments of Profile, each key known, present and of its type."""
    rules = {field.name: field for field in fields(Profile) if field.name != "name"}
    for key in table:
        if key not in rules:
            raise ClicError(f"{path}: unknown key {key!r}; allowed are extends, {', '.join(rules)}")
    for key, field in rules.items():
        if key not in table and field.default is MISSING:
            raise ClicError(f"{path}: key {key!r} is missing; add it as {_allowed(field.type)}")
    return {key: _value(path, key, value, rules[key].type) for key, value in table.items()}


def _allowed(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(f'"{choice}"' for choice in get_args(kind))
    return {int: "a whole number above 0", str: "a text that is not empty"}.get(
        kind, 'a list of different rates in bits per pixel, as texts such as "0.15"'
    )


def _value(path: Path, key: str, value: Any, kind: Any) -> Any:
    """The value as Profile holds it. Raises ClicError where it is not of its kind."""
    if get_origin(kind) is Literal:
        right = isinstance(value, str) and value in get_args(kind)
    elif kind is int:
        right = type(value) is int and value > 0  # a bool is an int to isinstance
    elif kind is str:
        right = isinstance(value, str) and value != ""
    else:
        right = isinstance(value, list) and value != [] and all(isinstance(rate, str) for rate in value)
        if right:
            right = len({_rate_at(path, key, rate) for rate in value}) == len(value)
            value = tuple(value)
    if not right:
        raise _wrong(path, key, value, _allowed(kind))
    return value


def _rate_at(path: Path, key: str, rate: str) -> Fraction:
    try:
        return parse_rate(rate)
    except ClicError as error:
        raise ClicError(f"{path}: key {key!r}: {error}") from error


def _wrong(path: Path, key: str, value: Any, allowed: str) -> ClicError:
    return ClicError(f"{path}: key {key!r} is {value!r}; it must be {allowed}")


def _check_names(path: Path, profile: Profile) -> None:
    """The rules that concern the names of files, which end up in commands and archives."""
    for key in ("data_file", "payload", "images_folder"):
        name = getattr(profile, key)
        if not (name.isascii() and name.isprintable()) or set(name) & set("/\\ \"'") or name in (".", ".."):
            raise _wrong(path, key, name, "a plain file name: ASCII, no slashes, spaces or quotes")
    if profile.data_file in ("decode", "decoder.zip"):
        raise _wrong(path, "data_file", profile.data_file, "another name than the decoder's")
    if profile.container == "raw" and profile.payload != profile.data_file:
        raise _wrong(
            path, "payload", profile.payload, f'"{profile.data_file}", the data file itself, where container is "raw"'
        )
