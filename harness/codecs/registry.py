"""Codecs opened by a text: `clic`, `clic,context=checkerboard`, `my_module:WebP,method=4`.

An installed package names its codecs in the entry-point group `clic.codecs`; any other is named by module and
attribute, found in the current folder, too. Either way it is a callable, such as a class, that takes its settings as
texts by keyword, and the keywords of its signature are the settings that there are. A setting that is left out, or
given its default, is not part of the codec's name, and the order of settings does not matter: a codec has one spelling.
"""

import importlib
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import numpy as np

from harness.codecs.protocol import Codec, Encoding, Submittable
from harness.errors import ClicError

GROUP = "clic.codecs"
CODEC = ("name", "config", "points", "encode", "decode")
SUBMITTABLE = ("pack", "decoder_files")


def codec_names() -> list[str]:
    """Names of the installed codecs."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def shown_name(name: str, settings: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """A codec's name with the settings that are not the default, in the one order that there is."""
    return ",".join([name, *(f"{key}={settings[key]}" for key in sorted(settings) if settings[key] != defaults[key])])


def open_codec(spec: str | Mapping[str, Any]) -> Codec:
    """The codec that `NAME[,key=value...]` or `module:attribute[,key=value...]` names, or that a configuration is of.

    Raises ClicError, one line, where there is none of that name, its code cannot be imported, a setting is unknown, or
    the codec opened from a configuration is not that one any more.
    """
    if not isinstance(spec, str):
        return _reopened(spec)
    source, given = _parsed(spec)
    make = _load(source)
    settings = _settings(make)
    for key in given:
        if key not in settings:
            known = ", ".join(settings) or "none"
            raise ClicError(f"codec {spec!r}: no setting {key!r}; {source!r} has {known}")
    made = make(**given)
    return _checked(made, spec, shown_name("", given, settings))


def open_submittable(spec: str) -> Submittable:
    """The codec that `spec` names, if it brings a decoder. Raises ClicError as `open_codec`, and where it does not."""
    codec = open_codec(spec)
    if not isinstance(codec, Submittable):
        missing = ", ".join(name for name in SUBMITTABLE if not hasattr(codec, name))
        raise ClicError(
            f"codec {spec!r} cannot be submitted: it has no {missing}; see 'Bring your own codec' in README.md"
        )
    return codec


def canonical(spec: str) -> str:
    """The one spelling of what opens a codec: settings in order, without defaults. Raises ClicError as `open_codec`."""
    source, given = _parsed(spec)
    return shown_name(source, given, _settings(_load(source))) if given else source


def _parsed(spec: str) -> tuple[str, dict[str, str]]:
    """What is opened, and its settings."""
    source, *parts = (part.strip() for part in spec.split(","))
    settings: dict[str, str] = {}
    for part in parts:
        key, equals, value = part.partition("=")
        if not (key.isidentifier() and equals and value) or key in settings:
            raise ClicError(f"codec {spec!r}: {part!r} is no setting; write NAME,key=value,key=value, each key once")
        settings[key] = value
    return source, settings


def _load(source: str) -> Callable[..., Any]:
    entries = [EntryPoint(source, source, GROUP)] if ":" in source else entry_points(group=GROUP)
    for entry in entries:
        if entry.name == source:
            try:
                with _current_folder_on_path():
                    make = entry.load()
            except (ImportError, AttributeError, SyntaxError) as error:
                raise ClicError(
                    f"codec {source!r} cannot be loaded ({type(error).__name__}: {error}); "
                    "is its package installed, or its module in the current folder?"
                ) from error
            if not callable(make):
                raise ClicError(f"codec {source!r}: a {type(make).__name__}; name the class or function that makes it")
            return make
    known = ", ".join(codec_names()) or "none"
    raise ClicError(f"codec {source!r} is not installed (installed: {known}); see 'Bring your own codec' in README.md")


@contextmanager
def _current_folder_on_path() -> Iterator[None]:
    """Imports find what lies in the current folder, as with `python -m`; a console script has only its own."""
    folder = str(Path.cwd())
    importlib.invalidate_caches()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with suppress(ValueError):  # the import may have put its own order there
            sys.path.remove(folder)


def _settings(make: Callable[..., Any]) -> dict[str, str]:
    """The keywords that a maker of codecs takes, with their defaults; "" for those without."""
    try:
        parameters = inspect.signature(make).parameters.values()
    except (TypeError, ValueError):  # of a built-in
        return {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {p.name: p.default if isinstance(p.default, str) else "" for p in parameters if p.kind in kinds}


def _checked(made: Any, spec: str, settings: str) -> Codec:
    """What was made, as a Codec whose name ends in its settings. Raises ClicError where it cannot be one."""
    missing = [name for name in CODEC if not hasattr(made, name)]
    if missing:
        raise ClicError(f"codec {spec!r} has no {', '.join(missing)}; see 'Bring your own codec' in README.md")
    if not isinstance(made, Codec):
        kind = _SubmittableLike if all(hasattr(made, name) for name in SUBMITTABLE) else _Like
        return kind(made.name + settings, made)
    expected = made.name.partition(",")[0] + settings
    if made.name != expected:
        raise ClicError(f"codec {spec!r} calls itself {made.name!r}; its name must tell its settings: {expected!r}")
    return made


def _reopened(config: Mapping[str, Any]) -> Codec:
    """The codec of a configuration. Raises ClicError where it is not the same any more."""
    spec = config.get("codec")
    if not isinstance(spec, str):
        raise ClicError("this configuration does not say what opens its codec (a key 'codec'); open the codec by name")
    codec = open_codec(spec)
    now = codec.config()
    if dict(now) != dict(config):
        changed = ", ".join(key for key in sorted(now.keys() | config.keys()) if now.get(key) != config.get(key))
        raise ClicError(f"codec {spec!r} is not the one of this configuration any more: {changed} changed")
    return codec


@dataclass(frozen=True)
class _Like(Codec):
    """An object that has a codec's methods without inheriting them, under a name that tells its settings."""

    name: str
    plain: Any

    def config(self) -> Mapping[str, Any]:
        return self.plain.config()

    def points(self) -> Sequence[str]:
        return self.plain.points()

    def prepare(self, pixels: np.ndarray) -> Any:
        return self.plain.prepare(pixels) if hasattr(self.plain, "prepare") else pixels

    def encode(self, prepared: Any, point: str) -> Encoding:
        return self.plain.encode(prepared, point)

    def decode(self, stream: bytes) -> np.ndarray:
        return self.plain.decode(stream)


@dataclass(frozen=True)
class _SubmittableLike(_Like, Submittable):
    """The same, with a decoder."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        return self.plain.pack(streams)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        return self.plain.decoder_files(data_file, payload)
