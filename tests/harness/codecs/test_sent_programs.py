"""The decoders that are sent as programs, by what they do with each kind of data file: status, words and pictures.

They run in this process, told that they lie in the unpacked folder; the sandbox's tests run the very files.
"""

import json
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from helpers import photograph, unpacked
from PIL import Image

from harness.challenge.archive import data_file_bytes
from harness.challenge.profiles import load_profile
from harness.codecs import pillow_decode, union_decode
from harness.codecs.protocol import Submittable
from harness.codecs.registry import open_submittable

PIXELS = {name: np.asarray(photograph(number, 40 + number, 30)) for number, name in enumerate("abc")}
CLIC2027 = load_profile("clic2027")
PROFILES = {
    "zip": CLIC2027,
    "raw": replace(CLIC2027, container="raw", payload=CLIC2027.data_file),
}
Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a program on a data file's bytes; its status, what it said, and the names of its pictures."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # for a union's members

    def run_it(program: ModuleType, data: bytes, name: str = CLIC2027.data_file) -> tuple[int, str, list[str]]:
        monkeypatch.setattr(program, "__file__", str(tmp_path / "decode"))
        (tmp_path / name).write_bytes(data)
        capsys.readouterr()
        status = program.main()
        said = capsys.readouterr()
        assert all(line.startswith("decode: ") for line in said.err.splitlines())
        pictures = sorted(path.name for path in tmp_path.glob("images/*"))
        return status, said.err + said.out, pictures

    return run_it


def streams_of(codec: Submittable, *members: str) -> dict[str, bytes]:
    """The pictures in turn by each member of a union, at its last point."""
    last = {point.partition(" ")[0]: point for point in codec.points()}
    points = [last[member] for member in members] or [codec.points()[-1]]
    return {
        name: codec.encode(codec.prepare(pixels), points[number % len(points)]).stream
        for number, (name, pixels) in enumerate(PIXELS.items())
    }


@pytest.mark.parametrize("kind", PROFILES)
@pytest.mark.parametrize("spec", ["webp", "avif,speed=9", "palette,method=1"])
def test_one_format(spec: str, kind: str, run: Run, tmp_path: Path) -> None:
    codec, profile = open_submittable(spec), PROFILES[kind]
    unpacked(tmp_path, codec, profile.data_file, profile.payload)
    streams = streams_of(codec)
    status, said, pictures = run(pillow_decode, data_file_bytes(codec.pack(streams), profile))
    assert (status, pictures) == (0, ["a.png", "b.png", "c.png"]) and said.startswith("3 of 3 images")
    for name, stream in streams.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "images" / f"{name}.png")), codec.decode(stream))
    status, said, _ = run(pillow_decode, data_file_bytes(codec.pack(streams | {"b": b"ill"}), profile))
    assert status == 1 and "decode: b: " in said and "2 of 3 images" in said


def header(*entries: tuple[str, int]) -> bytes:
    """The start of a payload with these names and lengths."""
    packed = zlib.compress(json.dumps(entries).encode())
    return struct.pack("<I", len(packed)) + packed


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the header is damaged"),
        (b"\xff" * 40, "the header is damaged"),
        (header(("a", 1))[:-1] + b"x", "the header is damaged"),
        (struct.pack("<I", 18) + zlib.compress(b'[["a",0]]') + b"x", "the header is damaged (it does not end"),
        (header(("../a", 0)), "'../a' is no file name, or there twice"),
        (header(("..", 0)), "'..' is no file name"),
        (header(("a", 0), ("a", 0)), "'a' is no file name, or there twice"),
        (header(("a", 9)), "the stream of 'a' is cut off"),
        (header(("a", -1)), "the stream of 'a' is cut off"),
        (header(("a", 1)) + b"xyz", "2 bytes too many"),
    ],
)
def test_a_damaged_payload_is_one_line(data: bytes, says: str, run: Run, tmp_path: Path) -> None:
    profile = PROFILES["raw"]
    unpacked(tmp_path, open_submittable("webp"), profile.data_file, profile.payload)
    status, said, pictures = run(pillow_decode, data)
    assert (status, pictures) == (2, []) and said.startswith(f"decode: {says}") and said.count("\n") == 1


@pytest.mark.parametrize(("spec", "program"), [("webp", pillow_decode), ("jpeg + webp", union_decode)])
def test_a_data_file_that_is_not_there_or_another(spec: str, program: ModuleType, run: Run, tmp_path: Path) -> None:
    unpacked(tmp_path, open_submittable(spec), CLIC2027.data_file, CLIC2027.payload)
    assert run(program, b"", "other.zip")[:2] == (2, f"decode: {CLIC2027.data_file} is missing\n")
    with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
        archive.writestr("something", b"else")
    data = (tmp_path / "made.zip").read_bytes()
    assert run(program, data)[:2] == (2, f"decode: {CLIC2027.data_file} does not hold {CLIC2027.payload}\n")
    status, said, _ = run(program, data.replace(b"something", b"some\0hing", 1))
    assert status == 2 and said.count("\n") == 1


def test_a_format_that_this_pillow_cannot_read(run: Run, tmp_path: Path) -> None:
    unpacked(tmp_path, open_submittable("webp"), CLIC2027.data_file, CLIC2027.payload)
    told = json.loads((tmp_path / "decode.json").read_text())
    (tmp_path / "decode.json").write_text(json.dumps(told | {"format": "WORSE"}))
    assert run(pillow_decode, b"") == (2, "decode: this Pillow cannot read WORSE\n", [])


@pytest.mark.parametrize("kind", PROFILES)
def test_two_formats(kind: str, run: Run, tmp_path: Path) -> None:
    codec, profile = open_submittable("jpeg + webp"), PROFILES[kind]
    unpacked(tmp_path, codec, profile.data_file, profile.payload)
    streams = streams_of(codec, "jpeg", "webp")
    status, said, pictures = run(union_decode, data_file_bytes(codec.pack(streams), profile))
    assert (status, pictures) == (0, ["a.png", "b.png", "c.png"])
    assert "images by codec: jpeg 2; webp 1; " in said
    for name, stream in streams.items():
        assert np.array_equal(np.asarray(Image.open(tmp_path / "images" / f"{name}.png")), codec.decode(stream))


def test_a_format_of_two_that_fails(run: Run, tmp_path: Path) -> None:
    codec = open_submittable("jpeg + webp")
    unpacked(tmp_path, codec, CLIC2027.data_file, CLIC2027.payload)
    streams = streams_of(codec, "jpeg", "webp")
    number = streams["b"][0]
    packed = codec.pack(streams | {"b": bytes([number]) + b"ill"})
    status, said, pictures = run(union_decode, data_file_bytes(packed, CLIC2027))
    assert (status, pictures) == (1, ["a.png", "c.png"]) and "decode: webp: ended with 1" in said
    (tmp_path / "decoder0" / "decode").unlink()
    (tmp_path / "decoder1" / "decode").unlink()
    status, said, _ = run(union_decode, data_file_bytes(codec.pack(streams), CLIC2027))
    assert status == 2 and "decode: jpeg: " in said and "decode: webp: " in said


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "the data are cut off"),
        (b"\x00", "the data are cut off"),
        (b"\x00\x09\x00\x00\x00abc", "a part is cut off, or there twice"),
        (b"\x00\x01\x00\x00\x00a\x80b", "a part is cut off, or there twice"),
        (b"\x85abc", "there is no codec number 5"),
    ],
)
def test_a_damaged_payload_of_two_formats_is_one_line(data: bytes, says: str, run: Run, tmp_path: Path) -> None:
    unpacked(tmp_path, open_submittable("jpeg + webp"), PROFILES["raw"].data_file, PROFILES["raw"].payload)
    assert run(union_decode, data) == (2, f"decode: {says}\n", [])


PROGRAM = """
import pathlib, sys
source, target = map(pathlib.Path, sys.argv[1:])
if source.read_bytes() == b"ill":
    sys.exit("this stream is ill")
target.write_bytes(source.read_bytes())
"""
COMMAND = """
encode = [PYTHON, "{folder}/program.py", "{input}", "{output}"]
decode = [PYTHON, "{folder}/program.py", "{input}", "{output}"]
files = ["program.py"]
output_ending = "copy"
points = ["1"]
version = "1"
""".replace("PYTHON", json.dumps(sys.executable))


def test_a_command_of_ones_own(run: Run, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "mine.toml").write_text(COMMAND)
    codec = open_submittable(str(tmp_path / "mine.toml"))
    unpacked(tmp_path, codec, CLIC2027.data_file, CLIC2027.payload)
    streams = streams_of(codec) | {"b": b"ill"}
    status, said, pictures = run(pillow_decode, data_file_bytes(codec.pack(streams), CLIC2027))
    assert (status, pictures) == (1, ["a.png", "c.png"]) and "decode: b: " in said and "this stream is ill" in said
    assert np.array_equal(np.asarray(Image.open(tmp_path / "images" / "a.png")), PIXELS["a"])
    assert not list(tmp_path.glob("tmp*"))
