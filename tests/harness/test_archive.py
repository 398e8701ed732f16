"""Archives: the same bytes everywhere, and nothing harmful gets out of one."""

import io
import os
import random
import stat
import struct
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.challenge.archive import archive_problems, extract_zip, sha224, write_zip, zip_bytes
from harness.errors import ClicError

MEMBERS = {"decode": b"#!/bin/sh\n", "lib/a.py": b"x = 1\n" * 50, "B": b"", "weights.bin": bytes(range(256))}


Member = tuple[zipfile.ZipInfo | str, bytes]


def make(path: Path, *members: Member, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for info, content in members:
            archive.writestr(info, content)
    return path


def info(name: str, mode: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)
    entry.create_system = 3
    entry.external_attr = mode << 16
    return entry


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("compress", [False, True])
def test_same_bytes_whatever_the_machine(tmp_path: Path, compress: bool) -> None:
    program = (
        "import os, pathlib, sys; os.umask(int(sys.argv[2], 8))\n"
        "from harness.challenge.archive import write_zip\n"
        f"members = {MEMBERS!r}\n"
        "items = sorted(members.items(), reverse=sys.argv[3] == 'back')\n"
        f"write_zip(pathlib.Path(sys.argv[1]), dict(items), compress={compress})\n"
    )
    results = set()
    for number, (umask, zone, order) in enumerate(
        [("022", "UTC", "forth"), ("077", "Asia/Tokyo", "back"), ("000", "America/New_York", "back")]
    ):
        path = tmp_path / f"{number}.zip"
        subprocess.run(
            [sys.executable, "-c", program, str(path), umask, order], check=True, env={**os.environ, "TZ": zone}
        )
        results.add(path.read_bytes())
    assert results == {zip_bytes(MEMBERS, compress=compress)}


def test_stored_overhead_is_as_documented() -> None:
    expected = 22 + sum(76 + 2 * len(name) + len(content) for name, content in MEMBERS.items())
    assert len(zip_bytes(MEMBERS)) == expected


def test_modes_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "decoder.zip"
    write_zip(path, MEMBERS, executable=("decode", "lib/a.py"))
    extract_zip(path, tmp_path / "out", 10_000)
    modes = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in MEMBERS}
    assert modes == {"decode": 0o755, "lib/a.py": 0o755, "B": 0o644, "weights.bin": 0o644}
    empty = tmp_path / "empty"
    empty.write_bytes(b"")
    assert sha224(empty) == "d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f"  # FIPS 180-4


parts = st.text("abcXYZ019._ -()#'", min_size=1, max_size=8).filter(lambda part: part not in (".", ".."))
names = st.lists(parts, min_size=1, max_size=3).map("/".join)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=300), max_size=6), st.booleans())
def test_round_trip(members: dict[str, bytes], compress: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "a.zip", Path(folder) / "out"
        try:
            write_zip(path, members, compress=compress)
        except ClicError as error:
            assert "duplicates" in str(error) or "is a file, and the folder of" in str(error)
            return
        with zipfile.ZipFile(path) as archive:
            assert {name: archive.read(name) for name in archive.namelist()} == members
        extract_zip(path, out, 10_000)
        assert everything(out) == members


LINK = stat.S_IFLNK | 0o777
HOSTILE = [
    ([("/etc/passwd", b"x")], "absolute path"),
    ([("C:/x", b"x")], "absolute path"),
    ([("../x", b"x")], "climbs out"),
    ([("a/../../x", b"x")], "climbs out"),
    ([("a//x", b"x")], "empty part"),
    ([("./x", b"x")], "empty part"),
    ([("a\\x", b"x")], "backslash"),
    ([("gr\u00f6\u00dfe", b"x")], "printable ASCII"),
    ([("a\nb", b"x")], "printable ASCII"),
    ([(info("link", LINK), b"/etc/passwd")], "is a link"),
    ([(info("pipe", stat.S_IFIFO | 0o644), b"")], "neither a file nor a folder"),
    ([("Decode", b"x"), ("decode", b"y")], "duplicates, letter case aside"),
    ([("a", b"x"), ("A/b", b"y")], "is a file, and the folder of"),
    ([("big", bytes(5_001))], "more than 5,000 bytes, reached at member 'big'"),
    ([("one", bytes(2_501)), ("two", bytes(2_500))], "more than 5,000 bytes, reached at member 'two'"),
]


@pytest.mark.parametrize("members, says", HOSTILE)
def test_hostile_members(tmp_path: Path, members: list[Member], says: str) -> None:
    path = make(tmp_path / "bad.zip", *members)
    found = archive_problems(path, 5_000)
    assert len(found) == 1 and says in found[0] and "bad.zip" in found[0] and "\n" not in found[0]
    with pytest.raises(ClicError, match=r"bad\.zip"):
        extract_zip(path, tmp_path / "box" / "out", 5_000)
    assert not (tmp_path / "box").exists() and not (tmp_path / "x").exists()


def test_all_problems_at_once(tmp_path: Path) -> None:
    path = make(tmp_path / "bad.zip", ("../x", b""), (info("link", LINK), b"x"), ("a\\b", b""), ("big", bytes(99)))
    assert len(archive_problems(path, 50)) == 4


def test_same_name_twice(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        path = make(tmp_path / "bad.zip", ("a", b"x"), ("a", b"y"))
    assert "duplicates" in archive_problems(path, 5_000)[0]


def test_too_many_members(tmp_path: Path) -> None:
    path = make(tmp_path / "bad.zip", *((str(number), b"") for number in range(11)))
    assert archive_problems(path, 5_000, max_members=10) == [f"{path}: 11 members; keep it to 10"]
    assert archive_problems(path, 5_000, max_members=11) == []


def test_bomb_and_lying_header(tmp_path: Path) -> None:
    bomb = make(tmp_path / "bomb.zip", ("zeros", bytes(20_000_000)), method=zipfile.ZIP_DEFLATED)
    assert "over 200 times its packed size" in archive_problems(bomb, 1 << 30)[0]
    raw = bytearray(bomb.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 100)  # the directory claims 100 bytes
    bomb.write_bytes(raw)
    assert archive_problems(bomb, 1 << 30)
    with pytest.raises(ClicError, match=r"bomb\.zip"):
        extract_zip(bomb, tmp_path / "out", 1 << 30)


def test_encrypted_and_unusual_methods(tmp_path: Path) -> None:
    path = make(tmp_path / "bad.zip", ("a", b"x"))
    raw = bytearray(path.read_bytes())
    raw[raw.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(raw)
    assert "encrypted" in archive_problems(path, 5_000)[0]
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        assert f"method {method}" in archive_problems(make(path, ("a", b"x" * 99), method=method), 5_000)[0]


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06", b"PK\x03\x04" + bytes(100)])
def test_no_zip(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.zip"
    path.write_bytes(content)
    assert "not a readable zip" in archive_problems(path, 5_000)[0]
    assert "not a readable zip" in archive_problems(tmp_path / "none.zip", 5_000)[0]


def test_damaged_bytes_never_escape(tmp_path: Path) -> None:
    """Whatever is flipped or cut, the answer is a list of problems or the same members."""
    dice = random.Random(7)
    whole = zip_bytes(MEMBERS, compress=True)
    path = tmp_path / "bad.zip"
    for _ in range(600):
        raw = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            raw[dice.randrange(len(raw))] = dice.randrange(256)
        path.write_bytes(raw[: dice.randint(1, len(raw))] if dice.random() < 0.2 else raw)
        assert all("\n" not in problem for problem in archive_problems(path, 100_000))


def test_folders_windows_modes_and_taken_names(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("lib/run")
    entry.create_system = 0
    path = make(tmp_path / "a.zip", ("lib/", b""), (entry, b"x"))
    extract_zip(path, tmp_path, 10)
    assert stat.S_IMODE((tmp_path / "lib/run").stat().st_mode) == 0o644
    with pytest.raises(ClicError, match=r"'lib/run' cannot be written .*File exists"):
        extract_zip(path, tmp_path, 10)


def test_names_are_refused_when_writing() -> None:
    for name in ("/a", "../a", "a\\b", "\u00e4", ""):
        with pytest.raises(ClicError, match="new archive"):
            zip_bytes({name: b""})
    assert zipfile.ZipFile(io.BytesIO(zip_bytes({}))).namelist() == []
