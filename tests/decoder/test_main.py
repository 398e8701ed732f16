"""`./decode` run by hand in its unpacked folder: where it finds its data, and what it says of those that are broken."""

import io
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from helpers import photograph, unpacked
from PIL import Image

from decoder.container import pack
from submission.codec import LearnedCodec

DATA, PAYLOAD = "bs.zip", "images.clic"


@pytest.fixture(scope="module")
def codec() -> LearnedCodec:
    return LearnedCodec(effort="0")


def sent(folder: Path, codec: LearnedCodec, files: Mapping[str, bytes]) -> Path:
    """What decoder.zip holds, and these files beside it."""
    unpacked(folder, codec, DATA, PAYLOAD)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def decode(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "decode"], cwd=folder, capture_output=True, text=True, check=False)


def zipped(**members: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def test_the_payload_in_its_zip_and_beside_it(codec: LearnedCodec, tmp_path: Path) -> None:
    pixels = np.asarray(photograph(3, 70, 50))
    encoding = codec.encode(codec.prepare(pixels), "40")
    good = pack({"a": encoding.stream})
    partly = pack({"a": encoding.stream, "b": encoding.stream[:-2]})
    for number, (files, code) in enumerate([({DATA: zipped(images_clic=good)}, 0), ({PAYLOAD: partly}, 1)]):
        folder = sent(tmp_path / str(number), codec, files)
        done = decode(folder)
        assert done.returncode == code, done.stderr
        assert f"1 of {1 + code} images" in done.stdout and done.stderr.count("\n") == code
        assert [path.name for path in (folder / "images").iterdir()] == ["a.png"]
        assert np.array_equal(np.asarray(Image.open(folder / "images" / "a.png")), encoding.pixels)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "bs.zip is missing"),
        ({DATA: b"no archive"}, "bs.zip is not a zip archive"),
        ({DATA: zipped(other=b"")}, "bs.zip does not hold images.clic"),
        ({DATA: zipped(images_clic=b"CLIC")}, "the data file does not begin as"),
        ({PAYLOAD: b"CLIC\x01\x05"}, "the stream ends inside a number"),
        ({DATA: zipped(images_clic=b"CLIC").replace(b"CLIC", b"CLIX")}, "Bad CRC-32 for file 'images.clic'"),
    ],
)
def test_a_broken_data_file_is_one_line(
    codec: LearnedCodec, files: Mapping[str, bytes], says: str, tmp_path: Path
) -> None:
    done = decode(sent(tmp_path, codec, files))
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith(f"decode: {says}") and done.stderr.count("\n") == 1
    assert not (tmp_path / "images").exists()


def test_a_processor_that_does_not_say_that_it_has_bf16(tmp_path: Path) -> None:
    folder = sent(tmp_path, LearnedCodec(effort="0", precision="bf16"), {PAYLOAD: pack({})})
    program = folder / "decoder" / "precision.py"
    program.write_text(program.read_text().replace("/proc/cpuinfo", "/no/such/file"))
    done = decode(folder)
    assert "decode: no bf16 in this processor: float32 instead" in done.stderr, done.stderr
