"""What a codec answers wrongly is one line that names codec, member and what is wanted."""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import photograph
from toy_codec import ToyCodec

from harness.codecs.contract import checked
from harness.codecs.protocol import Encoding, Submittable
from harness.codecs.registry import open_codec, open_submittable
from harness.errors import ClicError

PIXELS = np.zeros((4, 5, 3), np.uint8)
COUNTER = itertools.count()


def changed(**members: Any) -> ToyCodec:
    """A toy codec with other members; a function replaces a method."""
    toy = ToyCodec()
    vars(toy).update(members)
    return toy


def failing(*_: object) -> Any:
    raise RuntimeError("no such device\nsecond line")


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ({"name": 5}, r"name is 5 \(int\); give a text of printable letters"),
        ({"name": ""}, r"name is '' \(str\); give a text"),
        ({"name": "a\nb"}, r"name is 'a\\nb' \(str\); give a text"),
        ({"name": "toy,fast=1"}, r"calls itself 'toy,fast=1'; its name must tell its settings: 'toy'"),
        ({"points": lambda: [0, 1]}, r"a point of points\(\) is 0 \(int\); give texts"),
        ({"points": lambda: ["a\nb"]}, r"a point of points\(\) is 'a\\nb' \(str\); give texts of printable letters"),
        ({"points": lambda: ["", "a"]}, r"a point of points\(\) is '' \(str\)"),
        ({"points": lambda: ["a", "b", "a"]}, r"points\(\) gives 'a' twice; give each point once"),
        ({"points": lambda: []}, r"points\(\) returns is \[\] \(list\); give a list of texts, at least one"),
        ({"points": lambda: None}, r"points\(\) returns is None \(NoneType\)"),
        ({"points": lambda: "abc"}, r"points\(\) returns is 'abc' \(str\)"),
        (
            {"config": dict, "points": lambda: (c for c in "ab")},
            r"points\(\) returns is a generator; give a list",
        ),
        ({"config": dict, "points": failing}, r"points\(\) failed \(RuntimeError: no such device\); mend the codec"),
        (
            {"config": lambda: {"x": {1, 2}}},
            r"config\(\) is no JSON \(TypeError: .*set.*\); give texts, numbers",
        ),
        ({"config": lambda: {"x": float("nan")}}, r"config\(\) is no JSON \(ValueError"),
        ({"config": lambda: {"x": 1, "t": next(COUNTER)}}, r"config\(\) gives another t each time; it may change only"),
        ({"config": lambda: None}, r"config\(\) returns is None \(NoneType\); give a dictionary for JSON"),
        ({"config": failing}, r"config\(\) failed \(RuntimeError: no such device\)"),
    ],
)
def test_what_is_wrong_before_anything_is_coded(members: Mapping[str, Any], says: str) -> None:
    with pytest.raises(ClicError, match=f"codec 'mine:Toy'.*{says}") as caught:
        checked(changed(**members), "mine:Toy")
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (b"bytes", r"what encode\(\) returns is b'bytes' \(bytes\); give an Encoding\(stream, pixels\)"),
        (None, r"what encode\(\) returns is None"),
        (Encoding("abc"), r"the stream of what encode\(\) returns is 'abc' \(str\); give bytes"),  # type: ignore[arg-type]
        (Encoding(b"", PIXELS / 255), r"the pixels of encode\(\) are float64 \(4, 5, 3\); give uint8 \(H, W, 3\)"),
        (Encoding(b"", PIXELS[..., 0]), r"the pixels of encode\(\) are uint8 \(4, 5\); give uint8 \(H, W, 3\)"),
    ],
)
def test_what_encode_may_return(answer: object, says: str) -> None:
    with pytest.raises(ClicError, match=f"codec 'toy': {says}"):
        checked(changed(encode=lambda *_: answer), "toy").encode(PIXELS, "2")


def test_streams_may_be_any_bytes() -> None:
    for stream in (b"", b"abc", bytearray(b"abc"), memoryview(b"abc")):
        encoding = checked(changed(encode=lambda *_, s=stream: Encoding(s)), "toy").encode(PIXELS, "2")
        assert type(encoding.stream) is bytes and encoding.stream == stream


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (PIXELS.tolist(), "are list; give a uint8 array"),
        (PIXELS.transpose(2, 0, 1), r"are uint8 \(3, 4, 5\); give uint8 \(H, W, 3\)"),
        (PIXELS.astype(np.float32), r"are float32 \(4, 5, 3\)"),
    ],
)
def test_what_decode_may_return(answer: object, says: str) -> None:
    with pytest.raises(ClicError, match=rf"codec 'toy': the pixels of decode\(\) {says}"):
        checked(changed(decode=lambda _: answer), "toy").decode(b"")


@pytest.mark.parametrize(
    ("member", "answer", "says"),
    [
        ("pack", lambda _: "text", r"what pack\(\) returns is 'text' \(str\); give bytes"),
        ("pack", failing, r"pack\(\) failed \(RuntimeError: no such device\); mend the codec"),
        ("decoder_files", failing, r"decoder_files\(\) failed \(RuntimeError: no such device\)"),
        ("decoder_files", lambda *_: None, r"what decoder_files\(\) returns is None \(NoneType\); give bytes by file"),
        ("decoder_files", lambda *_: {"decode": "#!"}, r"'decode' of decoder_files\(\) is '#!' \(str\); give bytes"),
        ("decoder_files", lambda *_: {"run.sh": b""}, r"decoder_files\(\) has no file 'decode' but run.sh; add that"),
    ],
)
def test_what_a_submission_is_made_of(member: str, answer: Callable[..., Any], says: str) -> None:
    codec = checked(changed(**{member: answer}), "toy")
    assert isinstance(codec, Submittable)
    with pytest.raises(ClicError, match=f"codec 'toy': {says}"):
        codec.pack({}) if member == "pack" else codec.decoder_files("a.zip", "a")


MODULE = """
import sys
class NoDevice:
    def __init__(self):
        raise RuntimeError("CUDA error: no device\\nsecond line")
class Quits:
    def __init__(self):
        sys.exit(0)
class Missing:
    name = "missing"
number = 5
"""


@pytest.mark.parametrize(
    ("attribute", "says"),
    [
        ("NoDevice", r"codec 'bad:NoDevice' cannot be opened \(RuntimeError: CUDA error: no device\); mend it"),
        ("Quits", r"codec 'bad:Quits' cannot be opened \(SystemExit: 0\)"),
        ("Missing", r"codec 'bad:Missing' has no config, points, encode, decode; see docs/bring-your-own-codec.md"),
        ("number", r"codec 'bad:number': a int; name the class or function that makes it"),
        ("Gone", r"codec 'bad:Gone' cannot be loaded \(AttributeError"),
    ],
)
def test_what_cannot_be_opened(attribute: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bad.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ClicError, match=says):
        open_codec(f"bad:{attribute}")


@pytest.mark.parametrize("source", ["def f(:", "1 / 0", "import no_such_package", "raise SystemExit"])
def test_modules_that_cannot_be_imported(source: str, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(source)
    (tmp_path / "images").mkdir()
    photograph(1, 20, 20).save(tmp_path / "images" / "a.png")
    words = [sys.executable, "-m", "harness", "encode", "images", "--codec", "broken:f", "--out", "out"]
    done = subprocess.run(words, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "codec 'broken:f' cannot be loaded (" in done.stderr


def test_a_codec_without_a_decoder_cannot_be_submitted() -> None:
    with pytest.raises(ClicError, match="codec 'jxl' cannot be submitted: it has no pack, decoder_files; see docs/"):
        open_submittable("jxl")
