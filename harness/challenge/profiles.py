"""A challenge's rules as data: one TOML file each in `rules/`, or one of the reader's own."""

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

from harness.errors import ClicError
from harness.rates import Rate
from harness.settings import Positive, read_settings, wrong

RULES = Path(__file__).parent / "rules"


@dataclass(frozen=True)
class Profile:
    """The rules of one challenge; `rules/*.toml` give the source of each figure.

    `rates` are in bits per pixel. `data_file` is the uploaded file's name; where `container`
    is "zip", `payload` is its only member, otherwise `payload` equals `data_file`. `seconds` is the time on
    the clock that decoding one submission may take. `packages` are those that the server's container has, as pip
    calls them; what they require comes along.
    """

    name: str
    title: str
    rates: tuple[Rate, ...]
    rounding: Literal["ceil", "floor", "nearest"]
    data_file: str
    container: Literal["zip", "raw"]
    payload: str
    decoder_bytes: Positive
    memory_bytes: Positive
    seconds: Positive
    cpus: Positive
    packages: tuple[str, ...] = ("torch", "numpy", "pillow")

    def budget(self, pixels: int, rate: str | float | Fraction | Rate) -> int:
        """Bytes that a set of `pixels` pixels may take at `rate` bits per pixel; exactly that many pass.

        Exact: a rate counts as the decimal number it is written as, so 0.15 is 3/20. Raises ClicError for a
        rate or a number of pixels that is not positive.
        """
        if pixels <= 0:
            raise ClicError(f"budget: {pixels} pixels; give a set with at least one pixel")
        size = Rate.parse(rate).exact * int(pixels) / 8
        if self.rounding == "nearest":
            return math.floor(size + Fraction(1, 2))
        return math.ceil(size) if self.rounding == "ceil" else math.floor(size)


@dataclass(frozen=True)
class Target:
    """What one data file is packed for: a challenge's rules, at one rate, for a set of so many pixels."""

    profile: Profile
    rate: Rate
    pixels: int

    @property
    def budget(self) -> int:
        """Bytes that the data file may have; exactly that many pass."""
        return self.profile.budget(self.pixels, self.rate)


def profile_names() -> list[str]:
    """Names of the challenges that come with the package."""
    return sorted(path.stem for path in RULES.glob("*.toml"))


def load_profile(name_or_path: str | Path) -> Profile:
    """The profile of a known name, or of a TOML file given by a path ending in `.toml`.

    Raises ClicError that names the file, the key and what is allowed there.
    """
    path = _locate(str(name_or_path), Path())
    profile = read_settings(Profile, path, _locate, name=path.stem)
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


def _check_names(path: Path, profile: Profile) -> None:
    """The rules that concern the names of files, which end up in commands and archives."""
    for key in ("data_file", "payload"):
        name = getattr(profile, key)
        if not (name.isascii() and name.isprintable()) or set(name) & set("/\\ \"'") or name in (".", ".."):
            raise wrong(path, key, name, "a plain file name: ASCII, no slashes, spaces or quotes")
    for package in profile.packages:
        if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", package):
            raise wrong(path, "packages", package, "a list of packages' names as pip has them")
    if profile.data_file in ("decode", "decoder.zip"):
        raise wrong(path, "data_file", profile.data_file, "another name than the decoder's")
    if profile.container == "raw" and profile.payload != profile.data_file:
        raise wrong(
            path, "payload", profile.payload, f'"{profile.data_file}", the data file itself, where container is "raw"'
        )
