"""What a codec answers, held against the protocol: each wrong answer is one line with codec, member and what is wanted.

Codecs come from anybody, so all that are opened are wrapped. What can be known before anything is coded is checked when
a codec is opened; what `encode`, `decode` and `prepare` raise is left to the sweep, which goes on with the others.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from harness.codecs.protocol import Adaptive, Codec, Encoding, Submittable
from harness.errors import ClicError

CODEC = ("name", "config", "points", "encode", "decode")
SUBMITTABLE = ("pack", "decoder_files")
ADAPTIVE = ("further", "seconds", "about_further")
DECODE = "decode"  # the program that a decoder must have

T = TypeVar("T")


def checked(made: Any, spec: str, settings: str = "") -> Codec:
    """What was opened by `spec`, as a codec whose answers are checked and whose name ends in `settings`.

    It need not inherit from Codec; one that does must tell its settings in its name itself. Raises ClicError where a
    member is missing, or name, config or points are wrong.
    """
    missing = [member for member in CODEC if not hasattr(made, member)]
    if missing:
        raise ClicError(f"codec {spec!r} has no {', '.join(missing)}; see docs/bring-your-own-codec.md")
    name = made.name
    if not isinstance(name, str) or not name or not name.isprintable():
        raise wrong(spec, "name", name, "a text of printable letters")
    plain, comma, _ = name.partition(",")
    if (comma or isinstance(made, Codec)) and name != plain + settings:
        raise ClicError(f"codec {spec!r} calls itself {name!r}; its name must tell its settings: {plain + settings!r}")
    config, points = _config(made, spec), _points(made, spec)
    is_submittable, is_adaptive = (all(hasattr(made, member) for member in has) for has in (SUBMITTABLE, ADAPTIVE))
    kind = _KINDS[is_submittable, is_adaptive]
    return kind(plain + settings, made, config, points)


def wrong(codec: str, member: str, value: Any, wanted: str) -> ClicError:
    """The error for a member of the wrong kind."""
    text, kind = repr(value), type(value).__name__
    shown = f"{text} ({kind})" if len(text) <= 60 and text.isprintable() and " at 0x" not in text else f"a {kind}"
    return ClicError(f"codec {codec!r}: {member} is {shown}; give {wanted}")


@dataclass(frozen=True)
class CheckedCodec(Codec):
    """A codec with its name, configuration and points, asked once."""

    name: str
    plain: Any
    described: Mapping[str, Any]
    names: tuple[str, ...]

    def config(self) -> Mapping[str, Any]:
        """What the codec said when it was opened."""
        return self.described

    def points(self) -> Sequence[str]:
        """What the codec said when it was opened."""
        return self.names

    def prepare(self, pixels: np.ndarray) -> Any:
        """What the codec prepares, if it does."""
        return self.plain.prepare(pixels) if hasattr(self.plain, "prepare") else pixels

    def encode(self, prepared: Any, point: str) -> Encoding:
        """The codec's encoding. Raises ClicError where that is none."""
        encoding = self.plain.encode(prepared, point)
        stream, pixels = getattr(encoding, "stream", None), getattr(encoding, "pixels", None)
        if not isinstance(encoding, Encoding):
            raise wrong(self.name, "what encode() returns", encoding, "an Encoding(stream, pixels)")
        if not isinstance(stream, bytes | bytearray | memoryview):
            raise wrong(self.name, "the stream of what encode() returns", stream, "bytes")
        return Encoding(bytes(stream), None if pixels is None else self._pixels("encode()", pixels))

    def decode(self, stream: bytes) -> np.ndarray:
        """The codec's pixels. Raises ClicError where they are not uint8 (H, W, 3)."""
        return self._pixels("decode()", self.plain.decode(stream))

    def _pixels(self, member: str, pixels: Any) -> np.ndarray:
        if not isinstance(pixels, np.ndarray):
            raise ClicError(
                f"codec {self.name!r}: the pixels of {member} are {type(pixels).__name__}; give a uint8 array (H, W, 3)"
            )
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ClicError(
                f"codec {self.name!r}: the pixels of {member} are {pixels.dtype} {pixels.shape}; give uint8 (H, W, 3)"
            )
        return pixels


@dataclass(frozen=True)
class CheckedSubmittable(CheckedCodec, Submittable):
    """The same of a codec that brings a decoder."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The codec's payload. Raises ClicError where that is no bytes, or cannot be made."""
        try:
            payload = self.plain.pack(streams)
        except ClicError:
            raise
        except Exception as error:
            raise ClicError(f"codec {self.name!r}: pack() failed ({reason(error)}); mend the codec") from error
        if not isinstance(payload, bytes | bytearray | memoryview):
            raise wrong(self.name, "what pack() returns", payload, "bytes")
        return bytes(payload)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """The codec's decoder. Raises ClicError where that is not bytes by name, or lacks `decode`."""
        try:
            files = self.plain.decoder_files(data_file, payload)
        except ClicError:
            raise
        except Exception as error:
            raise ClicError(f"codec {self.name!r}: decoder_files() failed ({reason(error)}); mend the codec") from error
        if not isinstance(files, Mapping):
            raise wrong(self.name, "what decoder_files() returns", files, "bytes by file name")
        for path, content in files.items():
            if not isinstance(path, str) or not isinstance(content, bytes | bytearray | memoryview):
                raise wrong(self.name, f"{path!r} of decoder_files()", content, "bytes")
        if DECODE not in files:
            known = ", ".join(files) or "nothing"
            raise ClicError(f"codec {self.name!r}: decoder_files() has no file 'decode' but {known}; add that program")
        return {path: bytes(content) for path, content in files.items()}


@dataclass(frozen=True)
class CheckedAdaptive(CheckedCodec, Adaptive):
    """The same of a codec that has further points."""

    def further(
        self, chosen: Mapping[str, Sequence[str]], coded: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        """The codec's further points. Raises ClicError where they are no texts by image, or cannot be told."""
        found = self._answer("further()", lambda: self.plain.further(chosen, coded))
        if not isinstance(found, Mapping):
            raise wrong(self.name, "what further() returns", found, "lists of points by image")
        for image, points in found.items():
            if image not in coded:
                raise ClicError(f"codec {self.name!r}: further() has points of {image!r}, which is no image of the set")
            if not isinstance(points, list | tuple):
                raise wrong(self.name, "a value of further()", points, "a list of points")
            for point in points:
                if not isinstance(point, str) or not point or not point.isprintable():
                    raise wrong(self.name, "a point of further()", point, "texts of printable letters")
        return {image: tuple(dict.fromkeys(points)) for image, points in found.items()}

    def seconds(self, pixels: np.ndarray, points: Sequence[str]) -> Sequence[float]:
        """The codec's estimate. Raises ClicError where that is not a positive number for each point."""
        found = self._answer("seconds()", lambda: [float(value) for value in self.plain.seconds(pixels, points)])
        if len(found) != len(points) or not all(0 < value < math.inf for value in found):
            raise wrong(self.name, "what seconds() returns", found, "a number above 0 for each point")
        return found

    def about_further(self) -> str:
        """What the codec says, on one line."""
        return " ".join(str(self.plain.about_further()).split())

    def _answer(self, member: str, ask: Callable[[], T]) -> T:
        try:
            return ask()
        except ClicError:
            raise
        except Exception as error:
            raise ClicError(f"codec {self.name!r}: {member} failed ({reason(error)}); mend the codec") from error


@dataclass(frozen=True)
class CheckedAdaptiveSubmittable(CheckedSubmittable, CheckedAdaptive):
    """Both."""


_KINDS: Mapping[tuple[bool, bool], type[CheckedCodec]] = {
    (False, False): CheckedCodec,
    (True, False): CheckedSubmittable,
    (False, True): CheckedAdaptive,
    (True, True): CheckedAdaptiveSubmittable,
}


def reason(error: BaseException) -> str:
    """An error of somebody else's code in one line: its type and the first line of its text."""
    line = (str(error).strip().splitlines() or [""])[0].strip()
    return f"{type(error).__name__}: {line}" if line else type(error).__name__


def _config(made: Any, spec: str) -> Mapping[str, Any]:
    """What config() says. Raises ClicError where that is no JSON object, or differs from call to call."""
    try:
        config, again = made.config(), made.config()
    except ClicError:
        raise
    except Exception as error:
        raise ClicError(f"codec {spec!r}: config() failed ({reason(error)}); mend the codec") from error
    if not isinstance(config, Mapping):
        raise wrong(spec, "what config() returns", config, "a dictionary for JSON")
    try:
        first, second = (json.dumps(dict(each), sort_keys=True, allow_nan=False) for each in (config, again))
    except (TypeError, ValueError) as error:
        raise ClicError(f"codec {spec!r}: config() is no JSON ({reason(error)}); give texts, numbers, lists") from error
    if first != second:
        changing = [str(key) for key in config if config[key] != again.get(key)]
        raise ClicError(
            f"codec {spec!r}: config() gives another {', '.join(changing)} each time; it may change only when bytes or "
            "pixels do"
        )
    return config


def _points(made: Any, spec: str) -> tuple[str, ...]:
    """The names of the points. Raises ClicError where they are no different printable texts."""
    try:
        points = made.points()
    except ClicError:
        raise
    except Exception as error:
        raise ClicError(f"codec {spec!r}: points() failed ({reason(error)}); mend the codec") from error
    if not isinstance(points, list | tuple) or not points:
        raise wrong(spec, "what points() returns", points, "a list of texts, at least one")
    for point in points:
        if not isinstance(point, str) or not point or not point.isprintable():
            raise wrong(spec, "a point of points()", point, "texts of printable letters")
    if len(set(points)) < len(points):
        twice = next(point for point in points if points.count(point) > 1)
        raise ClicError(f"codec {spec!r}: points() gives {twice!r} twice; give each point once")
    return tuple(map(str, points))
