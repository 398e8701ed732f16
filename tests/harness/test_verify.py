"""Verification: a sound submission passes, and each broken one gives the finding that it must."""

import dataclasses
import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.challenge.archive import write_zip
from harness.challenge.profiles import Profile, load_profile
from harness.challenge.verify import DECODER, Verification, VerifyOptions, verify
from harness.errors import ClicError

PROFILE = load_profile("clic2025")
SIZES = {"one": (24, 16), "two": (15, 9)}
# The data file holds the PNGs themselves, so that a decoder without packages will do.
DECODE = """#!/bin/bash
set -e
mkdir images
python3 -m zipfile -e bs.zip images
"""


def png(width: int, height: int, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(width)
    image = Image.fromarray(rng.integers(0, 3, (height, width, 3), dtype=np.uint8)).convert(mode)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


PICTURES = {f"{name}.png": png(*size) for name, size in SIZES.items()}


def deep_png(width: int, height: int) -> bytes:
    """An RGB PNG of 16 bits, which Pillow cannot write."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress((b"\0" + bytes(6 * width)) * height)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


class Case:
    """A submission in a folder, sound until a test changes it."""

    def __init__(self, folder: Path) -> None:
        self.originals = folder / "originals"
        self.folder = folder / "submission"
        self.keep = folder / "kept"
        for place in (self.originals, self.folder):
            place.mkdir()
        for name, content in PICTURES.items():
            (self.originals / name).write_bytes(content)
        self.decoder({"decode": DECODE.encode()})
        self.data(PICTURES)

    def decoder(self, members: dict[str, bytes], executable: tuple[str, ...] = ("decode",)) -> None:
        write_zip(self.folder / DECODER, members, executable)

    def data(self, members: dict[str, bytes]) -> None:
        write_zip(self.folder / "bs.zip", members)

    def verify(self, profile: Profile = PROFILE, rate: str = "100", time_limit: float = 20) -> Verification:
        return verify(self.folder, self.originals, profile, rate, VerifyOptions(time_limit, self.keep))

    def says(self, profile: Profile = PROFILE, rate: str = "100", time_limit: float = 20) -> list[str]:
        return [str(finding) for finding in self.verify(profile, rate, time_limit).findings]


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_sound_submission(case: Case) -> None:
    seen = case.verify()
    assert seen.ok and seen.findings == () and seen.images == 2
    assert (seen.pixels, seen.rate, seen.budget_bytes) == (519, "100", 6_488)
    assert seen.data_bytes == (case.folder / "bs.zip").stat().st_size
    decoder = (case.folder / DECODER).read_bytes()
    assert (seen.decoder_bytes, seen.decoder_sha224) == (len(decoder), hashlib.sha224(decoder).hexdigest())
    assert seen.decode_seconds and seen.sandbox and seen.decoder_says is not None
    assert {path.name: path.read_bytes() for path in case.keep.iterdir()} == PICTURES
    table = json.loads(json.dumps(seen.to_json()))
    assert table["ok"] is True and table["findings"] == [] and table["images"] == 2


def test_says_how_far_the_decoder_is(
    case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.progress.PLAIN_SECONDS", 0.0)
    case.decoder({"decode": DECODE.encode() + b"mv images/two.png .hidden; sleep 1.5; mv .hidden images/two.png\n"})
    assert case.says() == []
    assert "100: decoding: 50%, about " in capsys.readouterr().err


def test_pictures_may_lie_anywhere_and_others_are_ignored(case: Case) -> None:
    case.decoder(
        {
            "decode": DECODE.encode() + b"mkdir -p a/b; mv images/one.png a/b; mv images/two.png .; "
            b"cp two.png extra.png\n"
        }
    )
    assert case.says() == []
    assert sorted(path.name for path in case.keep.iterdir()) == ["one.png", "two.png"]


def test_the_originals_of_another_set(case: Case, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "three.png").write_bytes(png(24, 16))
    said = [str(finding) for finding in verify(case.folder, other, PROFILE, "1000", VerifyOptions(20)).findings]
    assert [line for line in said if not line.startswith("bs.zip: ")] == [
        "images/: 2 extra pictures: images/one.png, images/two.png; expected no pictures there but those of the "
        "originals, each NAME.png; leave them out, or give the originals that they are of",
        "three.png: missing; expected a PNG of 24 x 16; let decode write images/three.png",
    ]


def test_one_byte_over_the_budget(case: Case) -> None:
    size = (case.folder / "bs.zip").stat().st_size
    exact = dataclasses.replace(PROFILE, decoder_bytes=(case.folder / DECODER).stat().st_size)
    # a little below the bytes, which are then rounded up
    assert case.says(exact, rate=f"{8 * size / 519 - 1e-6:.9f}") == []
    said = case.says(exact, rate=f"{8 * (size - 1) / 519 - 1e-6:.9f}")
    assert len(said) == 1
    assert said[0].startswith(f"bs.zip: {size:,} bytes, 1 over the budget; expected at most {size - 1:,} ")


def test_decoder_over_its_limit(case: Case) -> None:
    size = (case.folder / DECODER).stat().st_size
    said = case.says(dataclasses.replace(PROFILE, decoder_bytes=size - 1))
    assert len(said) == 1 and said[0].startswith(f"decoder.zip: {size:,} bytes, 1 over the limit")


def test_everything_missing_is_said_at_once(case: Case) -> None:
    (case.folder / DECODER).unlink()
    (case.folder / "bs.zip").unlink()
    seen = case.verify()
    assert [(finding.where, finding.what) for finding in seen.findings] == [(DECODER, "missing"), ("bs.zip", "missing")]
    assert seen.decoder_sha224 is seen.data_bytes is seen.decode_seconds is seen.sandbox is None
    assert json.loads(json.dumps(seen.to_json()))["findings"][0]["mend"]


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    "members, executable, says",
    [
        ({"lib": b""}, (), ["decoder.zip: no 'decode' at the top level; "]),
        ({"bin/decode": b""}, (), ["decoder.zip: no 'decode' at the top level (but 'bin/decode'); "]),
        ({"Decode.sh": b""}, (), ["decoder.zip: no 'decode' at the top level (but 'Decode.sh'); "]),
        ({"decode": DECODE.encode()}, (), ["decoder.zip: decode: not executable; "]),
        ({"decode": b"echo\n"}, ("decode",), ["decoder.zip: decode: neither a script nor a Linux program; "]),
        ({"decode": b"#!python3\n"}, ("decode",), ["decoder.zip: decode: interpreter 'python3' is not a full"]),
        ({"decode": crlf(DECODE)}, ("decode",), ["decoder.zip: decode: lines end as on Windows (CRLF); "]),
        (
            {"decode": b"echo\n", "bs.zip": b"", "a.PNG": b""},
            (),
            [
                "decoder.zip: member 'bs.zip' would lie where the data file does; ",
                "decoder.zip: decode: not executable; ",
                "decoder.zip: decode: neither a script nor a Linux program; ",
                "decoder.zip: member 'a.PNG' is a picture or a video; ",
            ],
        ),
    ],
)
def test_decoders_that_are_not_run(
    case: Case, members: dict[str, bytes], executable: tuple[str, ...], says: list[str]
) -> None:
    case.decoder(members, executable)
    seen = case.verify()
    said = [str(finding) for finding in seen.findings]
    assert len(said) == len(says) and all(map(str.startswith, said, says)), said
    assert seen.sandbox is None and seen.images == 0


def test_archives_that_are_broken(case: Case) -> None:
    (case.folder / DECODER).write_bytes(b"not a zip")
    with zipfile.ZipFile(case.folder / "bs.zip", "a") as archive:
        archive.writestr("../out.png", b"")
    said = case.says()
    assert said[0].startswith("decoder.zip: not a readable zip") and len(said) == 2
    assert said[1].startswith("bs.zip: member '../out.png' climbs out of the folder; expected an archive")
    assert said[1].endswith("; leave out '..'")
    (case.folder / DECODER).write_bytes(b"PK\x05\x06" + bytes(18))
    assert case.says()[0].startswith("decoder.zip: no 'decode' at the top level")


def test_a_damaged_decoder_is_a_finding(case: Case) -> None:
    raw = bytearray((case.folder / DECODER).read_bytes())
    raw[50] ^= 1
    (case.folder / DECODER).write_bytes(raw)
    said = case.says()
    assert len(said) == 1 and "member 'decode' is damaged" in said[0]


@pytest.mark.parametrize(
    "more, time_limit, says",
    [
        ("echo first; echo the cause >&2; exit 3", 60, "code 3, and printed last: first / the cause; expected"),
        ("sleep 60", 4, "./decode: still running after 4 s; "),
        ("python3 -c 'import time; x = bytearray(400000000); time.sleep(60)'", 60, "bytes of memory; expected"),
    ],
)
def test_runs_that_fail(case: Case, more: str, time_limit: float, says: str) -> None:
    case.decoder({"decode": (DECODE + more + "\n").encode()})
    seen = case.verify(dataclasses.replace(PROFILE, memory_bytes=200_000_000), time_limit=time_limit)
    assert len(seen.findings) == 1 and says in str(seen.findings[0])
    assert seen.images == 2  # what it wrote before is judged all the same


def test_what_a_decoder_prints_is_shown_escaped_and_short(case: Case) -> None:
    case.decoder({"decode": (DECODE + r"printf '\033[31m%09000d\a\u202e the cause'; exit 3" + "\n").encode()})
    seen = case.verify()
    [finding] = seen.findings
    for text in (str(finding), seen.decoder_says or ""):
        assert text.isprintable() and len(text) < 500, text
        assert r"\x1b[31m000" in text and r"00\x07\u202e the cause" in text, text
    assert case.verify().to_json()["decoder_says"] == seen.decoder_says


def test_a_decoder_that_writes_nothing(case: Case) -> None:
    case.decoder({"decode": b"#!/bin/sh\n"})
    said = case.says()
    assert said == [
        f"{name}.png: missing; expected a PNG of {width} x {height}; let decode write images/{name}.png"
        for name, (width, height) in SIZES.items()
    ]


@pytest.mark.parametrize(
    "make, says",
    [
        (lambda: png(16, 24), "one.png: 16 x 24; expected 24 x 16; "),
        (lambda: png(24, 16, "L"), "one.png: PNG of 8 bits and colour type 0; expected RGB of 8 bits"),
        (lambda: png(24, 16, "RGBA"), "one.png: PNG of 8 bits and colour type 6; "),
        (lambda: png(24, 16, "P"), "one.png: PNG of 8 bits and colour type 3; "),
        (lambda: deep_png(24, 16), "one.png: PNG of 16 bits and colour type 2; "),
        (lambda: b"", "one.png: not a PNG file; "),
        (lambda: b"\xff\xd8\xff\xe0 a JPEG by the wrong name, of some length", "one.png: not a PNG file; "),
        (lambda: png(24, 16)[:-60], "one.png: damaged ("),
    ],
)
def test_wrong_pictures(case: Case, make: Callable[[], bytes], says: str) -> None:
    case.data({**PICTURES, "one.png": make()})
    seen = case.verify()
    assert len(seen.findings) == 1 and str(seen.findings[0]).startswith(says), seen.findings
    assert seen.images == 1 and [path.name for path in case.keep.iterdir()] == ["two.png"]


def test_a_picture_twice_and_a_link(case: Case) -> None:
    case.decoder({"decode": (DECODE + "cp images/one.png .; ln -sf /etc/hostname images/two.png\n").encode()})
    assert [said.split(";")[0] for said in case.says()] == [
        "one.png: written 2 times: images/one.png, one.png",
        "two.png: missing",
    ]


def test_a_raw_data_file(case: Case) -> None:
    profile = dataclasses.replace(PROFILE, container="raw", data_file="data.bin", payload="data.bin")
    (case.folder / "bs.zip").rename(case.folder / "data.bin")
    case.decoder({"decode": DECODE.replace("bs.zip", "data.bin").encode()})
    assert case.says(profile) == []
    (case.folder / "data.bin").write_bytes(b"not a zip, and needs not be")
    assert all("data.bin" not in said.split(":")[0] for said in case.says(profile))


def test_what_cannot_be_checked(case: Case, tmp_path: Path) -> None:
    with pytest.raises(ClicError, match="no such folder"):
        verify(tmp_path / "none", case.originals, PROFILE, "0.15")
    with pytest.raises(ClicError, match="no such folder"):
        verify(case.folder, tmp_path / "none", PROFILE, "0.15")
    with pytest.raises(ClicError, match="positive"):
        case.verify(rate="fast")


def test_a_stranger_without_a_box(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.challenge.verify.levels", lambda: ("limits",))
    with pytest.raises(ClicError, match=r"nothing here can lock it in .*install bubblewrap .* --unsafe"):
        case.verify()
    for options in (VerifyOptions(20, trusted=True), VerifyOptions(20, unsafe=True)):
        assert verify(case.folder, case.originals, PROFILE, "100", options).ok


def test_two_runs(case: Case) -> None:
    seen = verify(case.folder, case.originals, PROFILE, "100", VerifyOptions(20, runs=2))
    assert seen.ok and seen.runs == 2 and case.verify().runs == 1
