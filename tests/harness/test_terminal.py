"""What ends a run from outside: signals, readers that leave, full disks; nothing is left running or lying about."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers import TESTS, TOY, group_is_gone, wait_until

Start = Callable[..., subprocess.Popen[str]]
LONG = f"sleep 77.{os.getpid()}"
SLOW_DECODER = f"""
import toy_codec

class Codec(toy_codec.ToyCodec):
    name = "slow"

    def decoder_files(self, data_file, payload):
        return {{"decode": b"#!/bin/sh\\n{LONG} & {LONG}\\n"}}
"""


def alive(words: str) -> bool:
    done = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True)
    return any(line.startswith(words) for line in done.stdout.splitlines())


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
@pytest.mark.parametrize("moment", ["coding", "decoding"])
def test_a_signal_leaves_nothing_running_and_no_folder(
    name: str, moment: str, photographs: Path, tmp_path: Path, start_clic: Start
) -> None:
    number, out, temporary = getattr(signal, name), tmp_path / "out", tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "slow_decoder.py").write_text(SLOW_DECODER)
    process = start_clic(
        *("submit", photographs, "--out", out, "--codec", "slow_decoder:Codec", "--rates", "0.4", "--workers", 2),
        TMPDIR=str(temporary),
        TOY_DELAY="0.1" if moment == "coding" else "0",
        PYTHONPATH=f"{TESTS}:{tmp_path}",
    )
    if moment == "coding":
        wait_until(lambda: list(out.glob("streams/*/*.bin")))
    else:
        wait_until(lambda: alive(LONG))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    told = "interrupted" if name == "SIGINT" else f"ended by {name}"
    assert said.splitlines()[-1] == f"clic: {told}; the same command goes on where it stopped"
    wait_until(lambda: group_is_gone(process))
    assert not alive(LONG)
    assert list(temporary.iterdir()) == []


def test_nohup_stays_without_effect(photographs: Path, tmp_path: Path, start_clic: Start) -> None:
    script = (
        "import signal, sys, os\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\nfrom harness.cli import main\n"
        f"sys.exit(main(['encode', {str(photographs)!r}, '--out', {str(tmp_path / 'out')!r}, '--codec', {TOY!r}]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(TESTS), "TOY_DELAY": "0.05"},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    wait_until(lambda: list((tmp_path / "out").glob("streams/*/*.bin")))
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_what_a_killed_run_left_in_tmpdir_goes_with_the_next(
    photographs: Path, tmp_path: Path, start_clic: Start
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (temporary / "clic-abcdefgh").mkdir()  # somebody else's: no lock lies in it
    (tmp_path / "slow_decoder.py").write_text(SLOW_DECODER)
    arguments = ["submit", photographs, "--out", tmp_path / "out", "--rates", "0.4", "--codec"]
    surroundings = {"TMPDIR": str(temporary), "PYTHONPATH": f"{TESTS}:{tmp_path}"}
    process = start_clic(*arguments, "slow_decoder:Codec", **surroundings)
    wait_until(lambda: alive(LONG))
    process.kill()
    process.communicate()
    wait_until(lambda: not alive(LONG))
    assert len(list(temporary.iterdir())) > 1
    again = start_clic(*arguments, TOY, **surroundings)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert [path.name for path in temporary.iterdir()] == ["clic-abcdefgh"]


@pytest.mark.parametrize("arguments", [["--version"], ["codecs"], ["--help"], ["submit", "--help"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "harness", *arguments],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_findings_keep_their_status_where_nobody_reads_them(
    photographs: Path, tmp_path: Path, start_clic: Start
) -> None:
    out = tmp_path / "out"
    process = start_clic("submit", photographs, "--out", out, "--codec", "toy_codec:Broken", "--rates", "0.4")
    process.communicate(timeout=120)
    arguments = ["verify", str(out / "0.4"), "--images", str(photographs), "--rate", "0.4"]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "harness", *arguments], stdout=writer, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_on_a_full_disk_is_told_once() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "--version"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == "clic: No space left on device; make room on the disk, and go on\n"


@pytest.mark.parametrize("team", ["c\rd", "\udcff", "a\nb", "", " ", "\x1b[31m"])
def test_a_team_that_no_table_can_hold_is_refused(team: str, photographs: Path, tmp_path: Path) -> None:
    arguments = ["submit", str(photographs), "--out", str(tmp_path / "out"), "--codec", TOY, "--team", team]
    done = subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and done.stderr.splitlines()[-1].startswith("clic: team ")
    assert not (tmp_path / "out").exists()


NO_LOCKS = """
import errno, fcntl, os

def flock(*_):
    raise OSError(getattr(errno, os.environ["LOCKS_FAIL_BY"]), "no locks")

fcntl.flock = flock
"""


@pytest.mark.parametrize("name", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_told_and_worked_on(
    name: str, photographs: Path, tmp_path: Path, start_clic: Start
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NO_LOCKS)
    surroundings = {"PYTHONPATH": f"{tmp_path}:{TESTS}", "LOCKS_FAIL_BY": name}
    arguments = ["encode", photographs, "--out", tmp_path / "out", "--codec", TOY, "--workers", 1]
    process = start_clic(*arguments, **surroundings, TOY_DELAY="0.05")
    wait_until(lambda: list((tmp_path / "out").glob("streams/*/*.bin")))
    process.kill()
    process.communicate()
    again = start_clic(*arguments, **surroundings)
    _, said = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert said.splitlines()[0].endswith("this file system has no locks; let one machine at a time work in the folder")
    assert not list((tmp_path / "out/streams").glob("*.lock"))
