"""A challenge's rules as data: one TOML file each in `rules/`, or one of the reader's own."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

from harness.errors import ClicError
from harness.rates import Rate
from harness.settings import Bounds, Positive, find_file, names_in, read_settings, wrong

RULES = Path(__file__).parent / "rules"


@dataclass(frozen=True)
class Track:
    """A machine on which a challenge decodes: processors, bytes of memory, the accelerator where it has one.

    Processors and memory that a file leaves out, 0 until then, become the profile's.
    """

    cpus: Positive = 0
    memory_bytes: Positive = 0
    gpu: str = ""
    gpu_memory_bytes: Annotated[int, Bounds(low=0)] = 0


@dataclass(frozen=True)
class Server:
    """What the server decodes in: Python's version, the packages as pip installs them, the image they are put on."""

    python: str
    requirements: tuple[str, ...]
    image: str


@dataclass(frozen=True)
class Dates:
    """The days of a challenge, as 2027-03-01: each ends when it has ended everywhere on earth."""

    validation_closes: str
    test_set: str
    test_closes: str
    white_paper: str


@dataclass(frozen=True)
class Profile:
    """The rules of one challenge, on one of its tracks; `source` says for each where it comes from.

    `rates` are in bits per pixel. `data_file` is the uploaded file's name; where `container`
    is "zip", `payload` is its only member, otherwise `payload` equals `data_file`. `seconds` is the time on
    the clock that decoding one submission may take. `packages` are those that the server's container has, as pip
    calls them; what they require comes along. `cpus` and `memory_bytes` are those of the track that it is on,
    `on_track`, empty where a challenge has one machine alone. A team may enter `variants` decoders side by side, 0
    where no limit is known; the slowest `slowest_share` of a track wins no prize.
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
    variants: Annotated[int, Bounds(low=0)] = 0
    slowest_share: Annotated[float, Bounds(low=0, high=1)] = 0.0
    track: Mapping[str, Track] = field(default_factory=dict, hash=False)
    on_track: str = ""
    server: Server | None = None
    dates: Dates | None = None
    source: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    def on(self, track: str) -> "Profile":
        """The same challenge on another of its tracks. Raises ClicError for one that it does not have."""
        if track not in self.track:
            has = f"it has {' and '.join(self.track)}" if self.track else "it has one machine alone; leave --track out"
            raise ClicError(f"profile {self.name}: no track {track!r}; {has}")
        machine = self.track[track]
        return replace(self, on_track=track, cpus=machine.cpus, memory_bytes=machine.memory_bytes)

    @property
    def machine(self) -> Track:
        """What decodes on this track."""
        return self.track[self.on_track] if self.on_track else Track(self.cpus, self.memory_bytes)

    def describe_machine(self) -> str:
        """The track and its machine, in words."""
        machine = self.machine
        named = f"track {self.on_track}: " if self.on_track else ""
        gpu = f", {machine.gpu} of {machine.gpu_memory_bytes / 1e9:g} GB" if machine.gpu else ""
        return f"{named}{self.cpus} processors, {self.memory_bytes / 1e9:g} GB{gpu}"

    def check_variant(self, variant: int) -> None:
        """Raise ClicError for a variant's number above what a team may enter."""
        if self.variants and variant > self.variants:
            raise ClicError(
                f"profile {self.name}: variant {variant}; a team may enter {self.variants}: give 1 to {self.variants}"
            )

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
    return names_in(RULES)


def newest_profile() -> str:
    """The name of the latest challenge that comes with the package; names end in the year."""
    return profile_names()[-1]


def load_profile(name_or_path: str | Path, track: str | None = None) -> Profile:
    """The profile of a known name, or of a TOML file given by a path ending in `.toml`, on a track.

    Without `track` it is the first that the file names, if it names any. Raises ClicError that names the file, the key
    and what is allowed there.
    """
    path = _locate(str(name_or_path), Path())
    profile = read_settings(Profile, path, _locate, name=path.stem, on_track="")
    _check_names(path, profile)
    _check_dates(path, profile)
    machines = {
        name: replace(one, cpus=one.cpus or profile.cpus, memory_bytes=one.memory_bytes or profile.memory_bytes)
        for name, one in profile.track.items()
    }
    profile = replace(profile, track=machines)
    track = next(iter(profile.track), "") if track is None else track
    return profile.on(track) if track else profile


def _locate(name: str, beside: Path) -> Path:
    """The file of a known name, or of a path relative to `beside`."""
    path = find_file(name, beside, RULES)
    if path is None or (not name.endswith(".toml") and name not in profile_names()):
        raise ClicError(
            f"profile {name!r}: not found; give one of {', '.join(profile_names())}, or the path of a .toml file"
        )
    return path


def _check_dates(path: Path, profile: Profile) -> None:
    """That each of the days is one."""
    for key, text in vars(profile.dates).items() if profile.dates else ():
        try:
            date.fromisoformat(text)
        except ValueError:
            raise wrong(path, f"dates.{key}", text, "a day such as 2027-03-01") from None


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
