"""Codecs opened by a text: `clic`, `clic,context=checkerboard`, `my_module:WebP,method=4`, `mine.toml`, `avif + clic`.

An installed package names its codecs in the entry-point group `clic.codecs`; any other is named by module and
attribute, found in the current folder, too. Either way it is a callable, such as a class, that takes its settings as
texts by keyword, and the keywords of its signature are the settings that there are. A setting that is left out, or
given its default, is not part of the codec's name, and the order of settings does not matter: a codec has one spelling.
A path that ends in .toml is that of external commands (harness/codecs/command.py). What stands between " + " is opened
one by one, and makes a union of codecs that can be submitted (harness/codecs/union.py).
"""

import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from harness.codecs.contract import SUBMITTABLE, checked, reason
from harness.codecs.protocol import Codec, Submittable, codec_sha256
from harness.codecs.union import PLUS, union
from harness.errors import ClicError

GROUP = "clic.codecs"
_NAMED = re.compile(r"[\w-]+|\w+(\.\w+)*:\w+(\.\w+)*")  # an entry point of that name, or module:attribute


def codec_names() -> list[str]:
    """Names of the installed codecs."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


@dataclass(frozen=True)
class Installed:
    """An installed codec: its settings with their defaults, and what to do before it can be opened, if anything."""

    name: str
    settings: Mapping[str, str]
    missing: str


def installed() -> list[Installed]:
    """The installed codecs by name, also those that cannot be opened now.

    What makes a codec may have a method `missing()`, which says what to install first, or nothing.
    """
    found = []
    for name in codec_names():
        try:
            make = _load(name)
        except ClicError as error:
            found.append(Installed(name, {}, str(error)))
            continue
        found.append(Installed(name, _settings(make), make.missing() if hasattr(make, "missing") else ""))
    return found


def shown_name(name: str, settings: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """A codec's name with the settings that are not the default, in the one order that there is."""
    return ",".join([name, *(f"{key}={settings[key]}" for key in sorted(settings) if settings[key] != defaults[key])])


def open_codec(spec: str | Mapping[str, Any]) -> Codec:
    """The codec that `NAME[,key=value...]` or `module:attribute[,key=value...]` names, or that a configuration is of.

    Several with " + " between them are a union. Raises ClicError, one line, where there is none of that name, its code
    cannot be imported, a setting is unknown, a union's codec brings no decoder, or the codec opened from a
    configuration is not that one any more.
    """
    if not isinstance(spec, str):
        return _reopened(spec)
    if len(several := parts(spec)) > 1:
        return union(map(open_submittable, several))
    source, given = _parsed(spec)
    make = _load(source)
    settings = _settings(make)
    for key in given:
        if key not in settings:
            known = ", ".join(settings) or "none"
            raise ClicError(f"codec {spec!r}: no setting {key!r}; {source!r} has {known}")
    try:
        made = make(**given)
    except ClicError:
        raise
    except (Exception, SystemExit) as error:  # of somebody else's code
        raise ClicError(f"codec {spec!r} cannot be opened ({reason(error)}); mend it, or give what it needs") from error
    return checked(made, spec, shown_name("", given, settings))


def open_submittable(spec: str | Mapping[str, Any]) -> Submittable:
    """The codec that `spec` names, if it brings a decoder. Raises ClicError as `open_codec`, and where it does not."""
    codec = open_codec(spec)
    if not isinstance(codec, Submittable):
        missing = ", ".join(name for name in SUBMITTABLE if not hasattr(codec, name))
        shown = spec if isinstance(spec, str) else codec.name
        raise ClicError(f"codec {shown!r} cannot be submitted: it has no {missing}; see docs/bring-your-own-codec.md")
    return codec


def open_members(spec: str) -> dict[str, Submittable]:
    """The codecs of a union, or the one that `spec` names, by what opens each: in the order of names, each once.

    Raises ClicError as `open_submittable`.
    """
    found = {codec_sha256(codec := open_submittable(part)): (part, codec) for part in parts(spec)}
    return dict(sorted(found.values(), key=lambda member: member[1].name))


def parts(spec: str) -> list[str]:
    """What opens each codec of a union, or the one codec that `spec` names."""
    return [part.strip() for part in spec.split(PLUS)]


def union_spec(specs: Iterable[str]) -> str:
    """What opens the union of what each of these opens."""
    return PLUS.join(specs)


def canonical(spec: str) -> str:
    """The one spelling of what opens a codec: settings in order, without defaults. Raises ClicError as `open_codec`."""
    if len(several := parts(spec)) > 1:
        return union_spec(sorted({canonical(part) for part in several}))
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
    if source.endswith(".toml"):
        from harness.codecs.command import open_command

        return partial(open_command, Path(source))
    if not _NAMED.fullmatch(source):
        raise ClicError(
            f"codec {source!r}: no name of a codec; write one of 'clic codecs', a file that ends in .toml, or "
            "module:attribute with the module's name as for import, in the current folder or installed"
        )
    entries = [EntryPoint(source, source, GROUP)] if ":" in source else entry_points(group=GROUP)
    for entry in entries:
        if entry.name == source:
            try:
                with _current_folder_on_path():
                    make = entry.load()
            except (Exception, SystemExit) as error:  # of somebody else's code
                raise ClicError(
                    f"codec {source!r} cannot be loaded ({reason(error)}); "
                    "is its package installed, or its module in the current folder?"
                ) from error
            if not callable(make):
                raise ClicError(f"codec {source!r}: a {type(make).__name__}; name the class or function that makes it")
            return make
    known = ", ".join(codec_names()) or "none"
    raise ClicError(f"codec {source!r} is not installed (installed: {known}); see docs/bring-your-own-codec.md")


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


def _reopened(config: Mapping[str, Any]) -> Codec:
    """The codec of a configuration. Raises ClicError where it is not the same any more."""
    spec = config.get("codec")
    if isinstance(spec, Mapping):
        from harness.codecs.command import reopen_command

        codec = checked(reopen_command(spec), str(spec.get("name")))
    elif isinstance(spec, list):
        codec = union(open_submittable(member["config"]) for member in spec)
    elif isinstance(spec, str):
        codec = open_codec(spec)
    else:
        raise ClicError("this configuration does not say what opens its codec (a key 'codec'); open the codec by name")
    now = codec.config()
    if dict(now) != dict(config):
        changed = ", ".join(key for key in sorted(now.keys() | config.keys()) if now.get(key) != config.get(key))
        raise ClicError(f"codec {codec.name!r} is not the one of this configuration any more: {changed} changed")
    return codec
