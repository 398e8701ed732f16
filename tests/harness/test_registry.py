"""Codecs by name and settings: one spelling, errors in one line, and modules found where people stand."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import TOY, photograph
from hypothesis import given
from hypothesis import strategies as st

from harness.codecs.protocol import Codec, Encoding, Submittable, codec_sha256
from harness.codecs.registry import canonical, codec_names, open_codec, open_submittable, shown_name
from harness.errors import ClicError

HERE = "test_registry_codecs"
PLAIN = f"{HERE}:Plain"
DERIVED = f"{HERE}:Derived"


@pytest.fixture(autouse=True, scope="module")
def module() -> Any:
    """This module under a name that a codec's spec can say."""
    sys.modules[HERE] = sys.modules[__name__]
    yield
    del sys.modules[HERE]


class Plain:
    """A codec that inherits from nothing, with two settings."""

    name = "plain"

    def __init__(self, speed: str = "6", tune: str = "photo") -> None:
        self.speed, self.tune = speed, tune

    def config(self) -> Mapping[str, Any]:
        return {"speed": self.speed, "tune": self.tune}

    def points(self) -> Sequence[str]:
        return ["1"]

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        return Encoding(pixels.tobytes())

    def decode(self, stream: bytes) -> np.ndarray:
        return np.frombuffer(stream, np.uint8)


class Derived(Codec):
    """A codec that says itself what opens it."""

    def __init__(self, speed: str = "6") -> None:
        self.speed, self.name = speed, shown_name("derived", {"speed": speed}, {"speed": "6"})

    def config(self) -> Mapping[str, Any]:
        return {"codec": f"{DERIVED},speed={self.speed}", "version": VERSION}

    def points(self) -> Sequence[str]:
        return ["1"]

    def prepare(self, pixels: np.ndarray) -> int:
        return int(pixels.sum())

    def encode(self, prepared: int, point: str) -> Encoding:
        return Encoding(b"%d" % prepared)

    def decode(self, stream: bytes) -> np.ndarray:
        raise NotImplementedError


class Silent(Derived):
    """A codec whose name does not tell its settings."""

    def __init__(self, speed: str = "6") -> None:
        self.speed, self.name = speed, "silent"


class Half:
    """Something that is no codec."""

    name = "half"

    def points(self) -> Sequence[str]:
        return ["1"]


VERSION = "1"
number = 3


def test_plain_codecs_become_codecs() -> None:
    codec, pixels = open_codec(PLAIN), np.zeros((2, 3, 3), np.uint8)
    assert isinstance(codec, Codec) and not isinstance(codec, Submittable)
    assert codec.prepare(pixels) is pixels and codec.encode(pixels, "1").stream == bytes(18)
    assert isinstance(open_codec(TOY), Submittable) and open_codec(TOY).name == "toy"
    with pytest.raises(ClicError, match=r"cannot be submitted: it has no pack, decoder_files; see"):
        open_submittable(PLAIN)


VALUES = st.sampled_from(["6", "photo", "0", "a b", "x=y"])


@given(st.dictionaries(st.sampled_from(["speed", "tune"]), VALUES), st.randoms(), st.sampled_from(["", " "]))
def test_a_codec_has_one_spelling(settings: dict[str, str], order: Any, space: str) -> None:
    defaults = {"speed": "6", "tune": "photo"}
    parts = [f"{space}{key}={value}" for key, value in settings.items()]
    order.shuffle(parts)
    codec = open_codec(",".join([PLAIN, *parts]))
    assert codec.config() == {**defaults, **settings}
    assert codec.name == shown_name("plain", {**defaults, **settings}, defaults)
    spelt = canonical(",".join([PLAIN, *parts]))
    assert canonical(spelt) == spelt and codec_sha256(open_codec(spelt)) == codec_sha256(codec)
    assert spelt == PLAIN + codec.name.removeprefix("plain")


def test_a_configuration_opens_its_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    codec = open_codec(f"{DERIVED},speed=2")
    assert codec.name == "derived,speed=2"
    again = open_codec(codec.config())
    assert again.config() == codec.config() and codec_sha256(again) == codec_sha256(codec)
    before = codec.config()
    monkeypatch.setattr(sys.modules[HERE], "VERSION", "2")
    with pytest.raises(ClicError, match="not the one of this configuration any more: version changed"):
        open_codec(before)
    with pytest.raises(ClicError, match="does not say what opens its codec"):
        open_codec(open_codec(PLAIN).config())


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("av3", r"codec 'av3' is not installed \(installed: .*clic"),
        (f"{PLAIN},quality=3", r"no setting 'quality'; .*Plain' has speed, tune"),
        ("clic,speed=3", r"no setting 'speed'; 'clic' has context"),
        ("clic,context=4d", r"no context '4d'; choose one of 3d, checkerboard"),
        (f"{PLAIN},speed", r"'speed' is no setting; write NAME,key=value"),
        (f"{PLAIN},speed=", r"'speed=' is no setting"),
        (f"{PLAIN},", r"'' is no setting"),
        (f"{PLAIN},speed=1,speed=1", r"each key once"),
        (f"{HERE}:Half", r"has no config, encode, decode; see docs/bring-your-own-codec.md"),
        (f"{HERE}:number", r"a int; name the class or function that makes it"),
        (f"{HERE}:Nothing", r"cannot be loaded \(AttributeError"),
        ("no_such_module:Codec", r"cannot be loaded \(ModuleNotFoundError: .*module in the current folder\?"),
        (f"{HERE}:Silent,speed=1", r"calls itself 'silent'; its name must tell its settings: 'silent,speed=1'"),
    ],
)
def test_errors_are_one_line(spec: str, says: str) -> None:
    with pytest.raises(ClicError, match=says) as caught:
        open_codec(spec)
    assert "\n" not in str(caught.value)


def test_ours_has_a_setting() -> None:
    assert "clic" in codec_names()
    codec = open_codec("clic,context=checkerboard")
    assert codec.name == "clic,context=checkerboard" and open_codec("clic,context=3d").name == "clic"
    assert open_codec(codec.config()).config() == codec.config() != open_codec("clic").config()


def test_a_module_is_found_in_the_current_folder_alone(tmp_path: Path) -> None:
    """By the console script, whose path has no current folder; also in the processes that it starts."""
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "mine.py").write_text(
        "import toy\nclass Mine(toy.ToyCodec):\n    name = 'mine'\n\n    def __init__(self, quality='5'):\n"
        "        self.quality = quality\n"
    )
    (tmp_path / "here" / "toy.py").write_text((Path(__file__).parents[1] / "toy_codec.py").read_text())
    photograph(1, 60, 50).save(tmp_path / "a.png")
    command = [Path(sys.executable).with_name("clic"), "encode", tmp_path, "--out", tmp_path / "out"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    for folder, status in (("here", 0), (".", 2)):
        done = subprocess.run(
            [*command, "--codec", "mine:Mine,quality=7"],
            cwd=tmp_path / folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stderr
    assert "cannot be loaded" in done.stderr and done.stderr.count("\n") == 1
    assert '"mine,quality=7"' in (tmp_path / "out" / "candidates.csv").read_text()
