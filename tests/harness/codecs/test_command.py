"""External programs as codecs: real ones, and small ones that misbehave in every way."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from codec_checks import ODD_NAMES, check_description, check_round_trip, check_submission
from helpers import photograph, unpacked

from harness.challenge.archive import data_file_bytes
from harness.challenge.profiles import load_profile
from harness.codecs.protocol import Submittable
from harness.codecs.registry import open_codec
from harness.errors import ClicError

CJXL = """
encode = ["cjxl", "{input}", "{output}", "-q", "{point}", "--num_threads=0"]
decode = ["djxl", "{input}", "{output}", "--num_threads=0"]
output_ending = ".jxl"
points = ["30", "60", "90"]
version = ["cjxl", "--version"]
input = "ppm"
"""
AVIFENC = """
encode = ["avifenc", "-j", "1", "-s", "9", "--min", "{point}", "--max", "{point}", "{input}", "{output}"]
output_ending = "avif"
points = ["60", "40", "20"]
version = ["avifenc", "--version"]
"""
# Encoder and decoder of the small ones: the name of what to do wrong is the point, or the first word of the stream.
PROGRAM = """
import os, pathlib, shutil, sys, time
source, target, point = sys.argv[1:4]
print("working on", pathlib.Path(source).suffix)
if point == "fail":
    sys.exit("first line\\n\\nno such model\\x1b[0m")
if point == "nothing":
    sys.exit(0)
if point == "slow":
    time.sleep(60)
pathlib.Path("scratch").write_text(os.getcwd())
if point == "text":
    pathlib.Path(target).write_text("no picture")
else:
    shutil.copyfile(source, target)
"""
COPY = """
encode = [PYTHON, "{folder}/program.py", "{input}", "{output}", "{point}"]
decode = [PYTHON, "{folder}/program.py", "{input}", "{output}", ""]
output_ending = "copy"
points = ["fail", "nothing", "slow", "text", "copy"]
version = "1.0 of the test"
time_limit = 2
""".replace("PYTHON", json.dumps(sys.executable))
PIXELS = np.asarray(photograph(1, 65, 48))


def needs(*programs: str) -> pytest.MarkDecorator:
    missing = [program for program in programs if shutil.which(program) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str], str]:
    """Writes a TOML file beside the small program; its path."""
    (tmp_path / "program.py").write_text(PROGRAM)

    def to(text: str) -> str:
        path = tmp_path / "mine.toml"
        path.write_text(text)
        return str(path)

    return to


@needs("cjxl", "djxl")
def test_jpeg_xl_by_its_programs(write: Callable[[str], str]) -> None:
    codec = open_codec(write(CJXL))
    assert codec.name == "mine" and "cjxl v" in codec.config()["version"]
    assert not isinstance(codec, Submittable)
    check_description(codec)
    sizes = [len(check_round_trip(codec, PIXELS, point)) for point in codec.points()]
    assert sizes == sorted(sizes)


@needs("avifenc")
def test_avif_by_its_encoder_and_pillow(write: Callable[[str], str], tmp_path: Path) -> None:
    codec = open_codec(write(AVIFENC + 'name = "libavif"\n'))
    assert codec.name == "libavif" and "libavif" in codec.config()["decoder"]
    assert isinstance(codec, Submittable)
    check_description(codec)
    check_round_trip(codec, PIXELS, "40")
    check_submission(codec, dict.fromkeys(ODD_NAMES, PIXELS), tmp_path / "submission")


def test_a_small_program_goes_round(
    write: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where a configuration alone looks for {folder}
    codec = open_codec(write(COPY))
    check_description(codec)
    check_round_trip(codec, PIXELS, "copy")
    assert np.array_equal(codec.decode(codec.encode(PIXELS, "copy").stream), PIXELS)


@pytest.mark.parametrize(
    ("point", "says"),
    [
        ("fail", r"ended with status 1: .*first line; no such model\[0m$"),
        ("nothing", r"wrote no \{output\}; it printed working on .png"),
        ("slow", r"not done after 2 s, ended; set a longer time limit"),
    ],
)
def test_a_failing_encoder_is_one_line(write: Callable[[str], str], point: str, says: str) -> None:
    codec = open_codec(write(COPY))
    with pytest.raises(ClicError, match=f"codec 'mine': .*{says}") as caught:
        codec.encode(PIXELS, point)
    assert str(caught.value).isprintable()


def test_a_decoder_that_writes_no_picture(write: Callable[[str], str]) -> None:
    codec = open_codec(write(COPY))
    with pytest.raises(ClicError, match="codec 'mine': Pillow cannot read this stream as PNG"):
        codec.decode(codec.encode(PIXELS, "text").stream)


def test_private_folders_are_removed(
    write: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = write(COPY)
    before = sorted(tmp_path.iterdir())
    codec = open_codec(path)
    for point in ("copy", "fail", "nothing"):
        try:
            codec.decode(codec.encode(PIXELS, point).stream)
        except ClicError:
            continue
    assert sorted(tmp_path.iterdir()) == before and not list((tmp_path / "temporary").iterdir())


def test_what_a_configuration_opens_does_not_depend_on_the_folder(
    write: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    config = open_codec(write(COPY)).config()
    shutil.copy(tmp_path / "mine.toml", tmp_path / "other" / "mine.toml")
    assert open_codec(str(tmp_path / "other" / "mine.toml")).config() == config
    monkeypatch.chdir(tmp_path)
    again = open_codec(json.loads(json.dumps(config)))
    assert np.array_equal(again.decode(again.encode(PIXELS, "copy").stream), PIXELS)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('"{input}", "{output}", "{point}"]', '"{output}", "{point}"]', r"key 'encode' has no \{input\}"),
        (', "{point}"]', "]", r"key 'encode' has no \{point\}"),
        ('"{input}", "{output}", ""]', '"{input}", "x"]', r"key 'decode' has no \{output\}"),
        (
            '"{output}", ""]',
            '"{output}", "{quality}"]',
            r"key 'decode' has \{quality\}; known are \{folder\}, \{input\}",
        ),
        ("points = [", "points = [1, ", r"mine.toml: key 'points' is .*a list of different entries, each a text"),
        ("time_limit = 2", "time_limit = 0", r"'time_limit' is 0; it must be a number from 0.1"),
        ("time_limit = 2", 'input = "bmp"', r"'input' is 'bmp'; it must be one of \"png\", \"ppm\""),
        ('version = "1.0 of the test"', "", r"key 'version' is missing; add it as a text that is not empty, or a list"),
        ("time_limit = 2", "timelimit = 2", r"unknown key 'timelimit'; allowed are extends, encode"),
        ('"1.0 of the test"', '["no-such-program"]', r"codec 'mine': program 'no-such-program' is not installed"),
        ('"1.0 of the test"', '["true"]', r"codec 'mine': true prints nothing; give the version as a text"),
        ('output_ending = "copy"', 'output_ending = "a/b"', r"output_ending 'a/b'"),
        ("time_limit = 2", 'name = "a,b"', r"calls itself 'a,b'"),
    ],
)
def test_wrong_files_are_one_line(write: Callable[[str], str], old: str, new: str, says: str) -> None:
    assert old in COPY
    with pytest.raises(ClicError, match=says) as caught:
        open_codec(write(COPY.replace(old, new)))
    assert str(caught.value).isprintable()


def test_without_decode_pillow_must_know_the_ending(write: Callable[[str], str]) -> None:
    with pytest.raises(ClicError, match="no key 'decode', and Pillow reads no 'copy' files; add it"):
        open_codec(write("\n".join(line for line in COPY.splitlines() if not line.startswith("decode"))))


def test_missing_programs_and_files(write: Callable[[str], str], tmp_path: Path) -> None:
    with pytest.raises(ClicError, match="codec 'mine': program 'no-such-program' is not installed"):
        open_codec(write(COPY.replace(json.dumps(sys.executable), '"no-such-program"', 1)))
    with pytest.raises(ClicError, match=r"gone.toml: not a readable TOML file"):
        open_codec(str(tmp_path / "gone.toml"))
    script = tmp_path / "encode"
    script.write_text('#!/bin/sh\ncp "$1" "$2"\n')
    text = COPY.replace(f'{json.dumps(sys.executable)}, "{{folder}}/program.py"', '"{folder}/encode"', 1)
    with pytest.raises(ClicError, match="is no executable file"):
        open_codec(write(text))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert np.array_equal(open_codec(write(text)).decode(open_codec(write(text)).encode(PIXELS, "copy").stream), PIXELS)


@needs("cjxl", "djxl")
def test_the_command_line_takes_the_file(
    write: Callable[[str], str],
    clic: Callable[..., subprocess.CompletedProcess[str]],
    photographs: Path,
    tmp_path: Path,
) -> None:
    done = clic("encode", photographs, "--codec", write(CJXL), "--out", tmp_path / "out", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "candidates.csv").read_text().count("\n") == 1 + 4 * 3


# A codec of one's own, whose streams no library knows: every second pixel of every second row, deflated.
THINNER = """
import sys, zlib
import numpy as np
from PIL import Image
pixels = np.asarray(Image.open(sys.argv[1]).convert("RGB"))
step = int(sys.argv[3])
height, width, _ = pixels.shape
head = bytes([step]) + width.to_bytes(2, "big") + height.to_bytes(2, "big")
open(sys.argv[2], "wb").write(head + zlib.compress(pixels[::step, ::step].tobytes(), 9))
"""
WIDER = """
import sys
from tables import planes
from PIL import Image
data = open(sys.argv[1], "rb").read()
if data[:4] == b"sick":
    sys.exit("this stream is sick")
Image.fromarray(planes(data)).save(sys.argv[2])
"""
TABLES = """
import zlib
import numpy as np
def planes(data):
    step, width, height = data[0], int.from_bytes(data[1:3], "big"), int.from_bytes(data[3:5], "big")
    small = np.frombuffer(zlib.decompress(data[5:]), np.uint8).reshape(-(-height // step), -(-width // step), 3)
    return np.kron(small, np.ones((step, step, 1), np.uint8))[:height, :width]
"""
SENT = """
encode = ["python3", "{folder}/thin.py", "{input}", "{output}", "{point}"]
decode = ["python3", "{folder}/decoder/wide.py", "{input}", "{output}"]
files = ["decoder"]
output_ending = "thin"
points = ["16", "8", "4"]
version = "1"
input = "ppm"
"""


@pytest.fixture
def sent(write: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The TOML file of a codec with a program as decoder, where python3 is that of the project, as in its container."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    (tmp_path / "decoder").mkdir()
    (tmp_path / "thin.py").write_text(THINNER)
    (tmp_path / "decoder" / "wide.py").write_text(WIDER)
    (tmp_path / "decoder" / "tables.py").write_text(TABLES)
    return write(SENT)


def test_a_program_is_sent_as_decoder(sent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a configuration alone looks for {folder}
    codec = open_codec(sent)
    assert isinstance(codec, Submittable)
    check_description(codec)
    check_round_trip(codec, PIXELS, "4")
    check_submission(codec, dict.fromkeys(ODD_NAMES, PIXELS), tmp_path / "submission")
    members = codec.decoder_files("bs.zip", "bs.bin")
    assert {name for name in members if name.startswith("files/")} == {
        "files/decoder/wide.py",
        "files/decoder/tables.py",
    }


def test_what_is_sent_tells_measurements_apart(sent: str, tmp_path: Path) -> None:
    before = open_codec(sent).config()
    (tmp_path / "decoder" / "tables.py").write_text(TABLES + "# another one\n")
    assert open_codec(sent).config() != before


def test_a_program_that_fails_in_the_container_is_told(sent: str, tmp_path: Path) -> None:
    codec = open_codec(sent)
    assert isinstance(codec, Submittable)
    profile, folder = load_profile("clic2027"), tmp_path / "unpacked"
    streams = {"well": codec.encode(PIXELS, "8").stream, "ill": b"sick"}
    unpacked(folder, codec, profile.data_file, profile.payload)
    (folder / profile.data_file).write_bytes(data_file_bytes(codec.pack(streams), profile))
    done = subprocess.run([sys.executable, "decode"], cwd=folder, capture_output=True, text=True, check=False)
    assert (
        done.returncode == 1 and "decode: ill: python3 ended with 1 and no picture: this stream is sick" in done.stderr
    )
    assert [path.name for path in (folder / "images").iterdir()] == ["well.png"]
    assert not list(folder.glob("tmp*"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('["decoder"]', '["decoders"]', "key 'files' has 'decoders', which is nothing beside its TOML file"),
        ('["decoder"]', '["../decoder"]', "key 'files' has '../decoder', which is nothing beside"),
        ('"{folder}/decoder/wide.py"', '"wide.py"', "key 'files' sends what 'decode' does not use; name one there by"),
    ],
)
def test_wrong_files_to_send_are_one_line(sent: str, old: str, new: str, says: str) -> None:
    path = Path(sent)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ClicError, match=f"codec 'mine': {says}"):
        open_codec(sent)


def test_a_program_goes_all_the_way(
    sent: str, clic: Callable[..., subprocess.CompletedProcess[str]], photographs: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("--rates", "2", "--profile", "clic2022", "--workers", "1")
    done = clic("submit", photographs, "--codec", sent, "--out", out, *words)
    assert done.returncode == 0, done.stderr
    assert "4/4 images equal to the encoder's reconstruction" in done.stderr
    # in one archive with a codec that Pillow reads
    both = clic("submit", photographs, "--codec", sent, "--codec", "webp,method=0", "--out", out, *words)
    assert both.returncode == 0, both.stderr
    assert "mine + webp,method=0" in (out / "leaderboard.csv").read_text()
