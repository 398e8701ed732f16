"""SIGKILL at fifty random moments of one submission: nothing is lost, done twice, or left over."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers import TESTS, TOY, count, photograph, wait_until

KILLS = 50
RATES = ("0.25", "0.4")
SIZES = [(208, 176), (176, 192), (240, 170), (190, 180), (97, 64), (180, 210)]
DELAY = 0.05  # seconds that a point takes to code, so that many kills meet a sweep


def command(photographs: Path, out: Path) -> list[str]:
    arguments = ["submit", str(photographs), "--out", str(out), "--codec", TOY, "--rates", ",".join(RATES)]
    return [sys.executable, "-m", "harness", *arguments, "--workers", "1"]


def results(out: Path) -> dict[str, bytes]:
    """Submissions, pictures and streams; the tables hold seconds and differ."""
    kept = [*(path for rate in RATES for path in (out / rate).rglob("*")), *(out / "streams").rglob("*")]
    return {str(path.relative_to(out)): path.read_bytes() for path in kept if path.is_file()}


def alive(mark: str) -> list[str]:
    """Processes with this text in their environment or command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (entry / "environ").read_bytes() and int(entry.name) != os.getpid():
                found.append((entry / "cmdline").read_bytes().decode(errors="replace"))
        except OSError:
            continue
    return found


@pytest.mark.slow
def test_fifty_kills(tmp_path: Path) -> None:
    photographs, out, unbroken = tmp_path / "photographs", tmp_path / "out", tmp_path / "unbroken"
    temporary, log, said = tmp_path / "temporary", tmp_path / "coded.txt", tmp_path / "said.txt"
    photographs.mkdir()
    temporary.mkdir()
    for seed, size in enumerate(SIZES):
        photograph(seed, *size).save(photographs / f"{seed}.png")
    surroundings = {**os.environ, "PYTHONPATH": str(TESTS), "TMPDIR": str(temporary)}
    begin = time.monotonic()
    subprocess.run(command(photographs, unbroken), env=surroundings, check=True, capture_output=True)
    length = time.monotonic() - begin
    expected = results(unbroken)
    surroundings |= {"TOY_LOG": str(log), "TOY_DELAY": str(DELAY)}

    generator = random.Random(17)
    killed = stored = 0
    while killed < KILLS:
        coded_before = len(log.read_text().splitlines()) if log.exists() else 0
        with said.open("wb") as file:
            process = subprocess.Popen(
                command(photographs, out),
                env=surroundings,
                stdout=subprocess.DEVNULL,
                stderr=file,
                start_new_session=True,
            )
        try:
            process.wait(generator.uniform(0.2, 1.2 * length + 2))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            killed += 1
            wait_until(lambda: not alive(str(temporary)))
        else:
            assert process.returncode == 0, said.read_text()
            assert results(out) == expected
            coded = len(log.read_text().splitlines()) - coded_before
            assert coded <= len(SIZES) * 4 - stored
            stored = 0
            subprocess.run(["rm", "-r", str(out)], check=True)  # the next kills begin with nothing
            log.unlink()
            continue
        coded = len(log.read_text().splitlines()) - coded_before if log.exists() else 0
        assert coded <= len(SIZES) * 4 - stored  # nothing that was stored is coded again
        stored = count(out)  # rows: a stream is written before its row, and without one the next run removes it
        streams = list((out / "streams").glob("*/*.bin"))
        assert stored <= len(streams) <= stored + 1
        print(f"kill {killed} of {KILLS}, {stored} of {4 * len(SIZES)} points stored", flush=True)
    done = subprocess.run(command(photographs, out), env=surroundings, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert results(out) == expected
    stray = [path for path in out.rglob("*") if path.suffix == ".part" or path.name.endswith(("-wal", "-shm"))]
    assert not stray and not list((out / "streams").glob("*.lock")) and list(temporary.iterdir()) == []
    print(f"{killed} kills of runs of {length:.1f} s")
