"""Small, full and noexec file systems: one line that names the place, exit status 2, and on it goes with more room."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from helpers import TESTS, TOY

OWN_MOUNTS = ["unshare", "--mount", *(["--user", "--map-root-user"] if os.getuid() else [])]


@cache
def can_mount() -> bool:
    """Whether a process may have mounts of its own here."""
    try:
        return subprocess.run([*OWN_MOUNTS, "true"], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not can_mount(), reason="needs mounts of one's own")


def script(place: Path, *lines: str) -> list[str]:
    """Run a shell script in which $D is a new folder for a file system, and `clic` the command line."""
    place.mkdir()
    done = subprocess.run(
        [*OWN_MOUNTS, "bash", "-c", "\n".join(lines)],
        env={**os.environ, "D": str(place), "PYTHONPATH": str(TESTS), "clic": f"{sys.executable} -m harness"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Traceback" not in done.stdout and "a fault of clic" not in done.stdout, done.stdout
    return done.stdout.splitlines()


def submit(photographs: Path, out: object) -> str:
    return f"$clic submit {photographs} --out {out} --codec {TOY} --rates 0.4 --workers 1 2>&1; echo status $?"


@pytest.mark.parametrize("kilobytes", [40, 150, 250, 400, 700])
def test_a_full_folder_of_the_run_goes_on_with_more_room(kilobytes: int, photographs: Path, tmp_path: Path) -> None:
    said = script(
        tmp_path / "disk",
        f"mount -t tmpfs -o size={kilobytes}k none $D",
        submit(photographs, "$D/out"),
        "mount -o remount,size=64m $D",
        submit(photographs, "$D/out"),
        "find $D -name '*.part'",
    )
    first = said.index("status 2")
    assert said[first - 1].startswith("clic: ") and "make room" in said[first - 1]
    assert said[-1] == "status 0"


@pytest.mark.parametrize("kilobytes", [8, 32, 80])
def test_a_full_tmpdir_is_told_and_is_no_finding(kilobytes: int, photographs: Path, tmp_path: Path) -> None:
    said = script(
        tmp_path / "disk",
        f"mount -t tmpfs -o size={kilobytes}k none $D",
        "export TMPDIR=$D",
        submit(photographs, tmp_path / "out"),
        "echo left $(ls -A $D)",
        "mount -o remount,size=64m $D",
        submit(photographs, tmp_path / "out"),
        "echo left $(ls -A $D)",
    )
    first = said.index("status 2")
    assert said[first - 1].startswith("clic: ") and "TMPDIR" in said[first - 1]
    assert not any("rejected" in line for line in said)
    assert "status 0" in said[first:] and said.count("left") == 2


def test_a_noexec_tmpdir_does_not_matter_to_a_box_with_a_root_of_its_own(photographs: Path, tmp_path: Path) -> None:
    from harness.challenge.sandbox import levels

    said = script(
        tmp_path / "disk",
        "mount -t tmpfs -o size=64m,noexec none $D",
        "export TMPDIR=$D",
        submit(photographs, tmp_path / "out"),
    )
    if levels()[0] in ("bubblewrap", "namespaces"):
        assert said[-1] == "status 0"
    else:
        assert "mounted noexec" in said[-2] and said[-1] == "status 2"


@pytest.mark.parametrize("level", ["landlock", "limits"])
def test_a_noexec_tmpdir_is_told_where_the_decoder_is_started_from_it(level: str, tmp_path: Path) -> None:
    run = (
        "from pathlib import Path\nfrom harness.challenge.archive import write_zip\n"
        "from harness.challenge.profiles import load_profile\n"
        "from harness.challenge.sandbox import RunOptions, run_decoder\nfrom harness.scratch import scratch\n"
        f"folder = Path({str(tmp_path)!r})\n(folder / 'x').touch()\n"
        "write_zip(folder / 'd.zip', {'decode': b'#!/bin/sh\\n'})\n"
        "with scratch('verify') as work:\n"
        "    run_decoder(folder / 'd.zip', folder / 'x', work / 'w', load_profile('clic2021'), "
        f"RunOptions(level={level!r}))\n"
    )
    (tmp_path / "run.py").write_text(run)
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        [
            *OWN_MOUNTS,
            "bash",
            "-c",
            f"mount -t tmpfs -o noexec none {place}; TMPDIR={place} {sys.executable} {tmp_path}/run.py",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "mounted noexec, from which no decoder can be started; let TMPDIR name another folder" in done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_a_folder_without_rights_is_told(photographs: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    said = script(tmp_path / "disk", submit(photographs, locked / "out"))
    assert said[-1] == "status 2" and "cannot be written" in said[-2]


def test_a_read_only_folder_is_told(photographs: Path, tmp_path: Path) -> None:
    said = script(
        tmp_path / "disk",
        "mount -t tmpfs -o ro none $D",
        submit(photographs, "$D/out"),
    )
    assert said[-1] == "status 2" and "Read-only file system" in said[-2]
