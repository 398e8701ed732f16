"""Measures of a candidate beyond those that all have: how near it is to its original, and how long it takes to decode.

Built in are SSIMULACRA2 and the seconds of decoding; any program is a metric by a TOML file:

    metric = ["butteraugli_main", "{original}", "{decoded}"]
    direction = "lower"
    version = "libjxl 0.11.2"
    pattern = "3-norm: ([0-9.]+)"

A metric's scores are rows of the store's table `score`, under its name and a part of its configuration's hash, so that
those of another version are never taken for its own. Seconds have no version: the first that were taken stay. Commands
are lists of words, and no shell is involved.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image

from harness.candidates import COLUMNS
from harness.codecs.decoding import SECONDS, Decoding
from harness.errors import ClicError
from harness.files import sha256
from harness.programs import filled, find_program, last_lines, places, run_program
from harness.scores.objectives import BUILT_IN, KNOWN, Objective
from harness.scores.ssimulacra2 import VERSION, ssimulacra2
from harness.settings import Bounds, Words, read_settings

NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|-?inf)"
TAKEN = {*COLUMNS, *BUILT_IN, "ssimulacra2", SECONDS}  # names that mean something else
VERSION_SECONDS = 30.0
PIXELS = {"png": "PNG", "ppm": "PPM"}  # endings of the pixels' files, and Pillow's name of the format
Measure = Callable[[np.ndarray, Decoding], float]
"""A score of the original's pixels, uint8 (H, W, 3), and what decoding gave; NaN for none. Raises ClicError."""


@dataclass(frozen=True)
class Metric:
    """A measure with its name, what opens it, a description that changes with its scores, and its objective."""

    name: str
    spec: str
    config: Mapping[str, Any]
    objective: Objective
    measure: Measure

    @property
    def key(self) -> str:
        """Its name in the store; that of one without a configuration is its own."""
        if not self.config:
            return self.name
        return f"{self.name} {sha256(json.dumps(self.config, sort_keys=True).encode())[:12]}"


@dataclass(frozen=True)
class MetricCommand:
    """The keys of the TOML file.

    `direction` says whether a higher or a lower score is better, `average` whether images count alike or by their
    pixels. `version` is a text, or a command that prints it: it must change whenever scores may. `pattern` is a regular
    expression whose group is the score, its last match in what is printed counts; by default the last number is it.
    `input` is how both images are given, `time_limit` the seconds that one call may take. `name` defaults to the
    file's.
    """

    metric: Words
    direction: Literal["higher", "lower"]
    version: str | Words
    average: Literal["images", "pixels"] = "images"
    pattern: str = NUMBER
    input: Literal["png", "ppm"] = "png"
    time_limit: Annotated[float, Bounds(low=0.1)] = 600.0
    name: str = ""


def open_metric(spec: str) -> Metric:
    """The metric of a name or a TOML file. Raises ClicError, one line, where there is none."""
    if spec.endswith(".toml"):
        return _of_file(Path(spec))
    if spec not in _BUILT_IN:
        raise ClicError(f"no metric {spec!r}; there are {', '.join(_BUILT_IN)}; a .toml file makes one of any program")
    config, measure = _BUILT_IN[spec]
    return Metric(spec, spec, config, KNOWN[spec], measure)


_BUILT_IN: dict[str, tuple[Mapping[str, Any], Measure]] = {
    "ssimulacra2": (
        {"metric": "ssimulacra2", "version": VERSION},
        lambda original, decoding: ssimulacra2(original, decoding.pixels),
    ),
    SECONDS: ({}, lambda original, decoding: decoding.seconds),
}


def _of_file(path: Path) -> Metric:
    command = read_settings(MetricCommand, path, lambda name, folder: folder / name)
    name, folder = command.name or path.stem, str(path.parent.absolute())
    _check(command, name, path)
    program = [_found(command.metric[0], folder, name), *command.metric[1:]]

    def measure(original: np.ndarray, decoding: Decoding) -> float:
        with TemporaryDirectory(prefix="clic-") as scratch:
            values = {"folder": folder}
            for place, pixels in (("original", original), ("decoded", decoding.pixels)):
                values[place] = str(Path(scratch) / f"{place}.{command.input}")
                Image.fromarray(pixels).save(values[place], PIXELS[command.input])
            try:
                printed = run_program(filled(program, values), Path(scratch), command.time_limit)
            except ClicError as error:
                raise ClicError(f"metric {name!r}: {error}") from error
        return _score(printed, command.pattern, name)

    config = {**asdict(command), "name": name, "version": _version(command, folder, name)}
    aim = Objective(name, name, command.average, None, command.direction == "higher", metric=str(path))
    return Metric(name, str(path), config, aim, measure)


def _check(command: MetricCommand, name: str, path: Path) -> None:
    """Raise ClicError where a command lacks a place or has an unknown one, or its name or pattern is none."""
    if not re.fullmatch(r"\w+", name) or name in TAKEN:
        raise ClicError(f"{path}: a metric cannot be called {name!r}; give it a key 'name' of letters and digits")
    wanted, known = {"original", "decoded"}, {"original", "decoded", "folder"}
    if lacking := wanted - places(command.metric):
        raise ClicError(f"{path}: key 'metric' has no {{{min(lacking)}}}; say where it stands")
    if unknown := places(command.metric) - known:
        raise ClicError(f"{path}: key 'metric' has {{{min(unknown)}}}; known are {{decoded}}, {{folder}}, {{original}}")
    try:
        groups = re.compile(command.pattern).groups
    except re.error as error:
        raise ClicError(f"{path}: key 'pattern' is no regular expression ({error})") from error
    if groups != 1:
        raise ClicError(f"{path}: key 'pattern' has {groups} groups; put the score, and nothing else, into one")


def _found(program: str, folder: str, name: str) -> str:
    try:
        return find_program(*filled([program], {"folder": folder}))
    except ClicError as error:
        raise ClicError(f"metric {name!r}: {error}") from error


def _version(command: MetricCommand, folder: str, name: str) -> str:
    """The version, as it is told or as the program prints it. Raises ClicError where it prints none."""
    if isinstance(command.version, str):
        return command.version
    with TemporaryDirectory(prefix="clic-") as scratch:
        words = [_found(command.version[0], folder, name), *filled(command.version[1:], {"folder": folder})]
        printed = last_lines(run_program(words, Path(scratch), VERSION_SECONDS))
    if not printed:
        raise ClicError(f"metric {name!r}: {' '.join(command.version)} prints nothing; give the version as a text")
    return printed


def _score(printed: str, pattern: str, name: str) -> float:
    """The score in what a program printed. Raises ClicError where there is none, or it is infinite."""
    matches = re.findall(pattern, printed)
    try:
        score = float(matches[-1])
    except (IndexError, ValueError) as error:
        said = last_lines(printed) or "nothing"
        raise ClicError(f"metric {name!r}: no score in what it prints ({said}); give it a key 'pattern'") from error
    if math.isinf(score):
        raise ClicError(f"metric {name!r}: its score is infinite; mend the command")
    return score
