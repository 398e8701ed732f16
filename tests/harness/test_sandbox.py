"""The sandbox with real processes, at every level that this machine offers."""

import dataclasses
import os
import secrets
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

import harness.challenge.sandbox.boxes
import harness.challenge.sandbox.run
import harness.challenge.sandbox.watch
from harness.challenge.archive import write_zip
from harness.challenge.profiles import Profile, load_profile
from harness.challenge.sandbox import DecodeRun, RunOptions, levels, run_decoder
from harness.challenge.sandbox.boxes import WORK, why_not
from harness.challenge.sandbox.watch import OUTPUT_BYTES
from harness.errors import ClicError

PROFILE = load_profile("clic2025")
PYTHON = "#!/usr/bin/env python3\n"
BASH = "#!/bin/bash\n"


@pytest.fixture(params=levels())
def level(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(
    folder: Path,
    decode: str,
    level: str | None = None,
    profile: Profile = PROFILE,
    time_limit: float | None = 20,
    members: Mapping[str, bytes] = MappingProxyType({}),
    disk_bytes: int = 1 << 30,
    threads: int = 0,
) -> DecodeRun:
    folder.mkdir(exist_ok=True)
    write_zip(folder / "decoder.zip", {"decode": decode.encode(), **members})
    (folder / "bs.zip").write_bytes(b"the data")
    options = RunOptions(time_limit, level, disk_bytes, threads)
    return run_decoder(folder / "decoder.zip", folder / "bs.zip", folder / "work", profile, options)


def folder_of(work: Path, level: str) -> str:
    """What the decoder knows its folder as."""
    return str(work.resolve()) if level in ("landlock", "limits") else WORK


def a_long_time() -> str:
    """Seconds to sleep that no other process sleeps, so that its command line is known; others may run these tests."""
    return f"300.{secrets.randbelow(10**12):012}"


def alive(word: str) -> list[str]:
    """Processes with the word in their command line that live on; a killed one may take a moment to go."""
    deadline = time.monotonic() + 5
    while (found := processes(word)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def processes(word: str) -> list[str]:
    """Command lines of the processes that have the word in them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            line = (entry / "cmdline").read_bytes().decode(errors="replace") if entry.name.isdigit() else ""
        except OSError:
            continue
        if word in line and int(entry.name) != os.getpid():
            found.append(line)
    return found


def test_behaves_as_the_server(tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLIC_TEST_SECRET", "1")
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    done = run(
        tmp_path,
        BASH + 'pwd; echo "$# arguments"; cat bs.zip lib; cat; env; mkdir images; nproc',
        level,
        members={"lib": b" and the library\n"},
    )
    assert (done.returncode, done.stopped, done.level) == (0, "", level)
    work = folder_of(tmp_path / "work", level)
    assert f"{work}\n0 arguments\nthe data and the library\n" in done.output
    assert f"HOME={work}/" in done.output and "PYTHONNOUSERSITE=1" in done.output
    assert "CLIC_TEST_SECRET" not in done.output and "/somewhere" not in done.output
    assert int(done.output.split()[-1]) <= PROFILE.cpus
    assert (tmp_path / "work" / "images").is_dir()
    assert 0 < done.seconds < 20


def test_one_processor(tmp_path: Path, level: str) -> None:
    assert run(tmp_path, BASH + "nproc", level, dataclasses.replace(PROFILE, cpus=1)).output == "1\n"


def test_the_packages_are_there(tmp_path: Path, level: str) -> None:
    program = "from importlib.util import find_spec\nfor n in ['torch', 'numpy', 'PIL']: assert find_spec(n)"
    assert run(tmp_path, PYTHON + program, level).returncode == 0


@pytest.mark.parametrize("package", ["pandas", "scipy", "harness"])
def test_other_packages_are_not(tmp_path: Path, level: str, package: str) -> None:
    done = run(tmp_path, PYTHON + f"import {package}", level)
    if "allow-list of importable packages" not in done.not_enforced:
        assert done.returncode == 1 and f"ModuleNotFoundError: No module named '{package}'" in done.output


def test_a_profile_may_allow_more(tmp_path: Path, level: str) -> None:
    profile = dataclasses.replace(PROFILE, packages=("numpy", "scipy"))
    assert run(tmp_path / "it", PYTHON + "import scipy.fft", level, profile).returncode == 0
    unknown = dataclasses.replace(PROFILE, packages=("no-such-package",))
    if level != "limits":
        with pytest.raises(ClicError, match="'no-such-package', which the challenge's container has, is not installed"):
            run(tmp_path / "none", PYTHON, level, unknown)


def test_disk(tmp_path: Path, level: str) -> None:
    program = "for i in 1 2 3 4; do head -c 10000000 /dev/zero > $i; done 2> /dev/null; sleep 20"
    done = run(tmp_path, BASH + program, level, disk_bytes=20_000_000)
    assert done.stopped == "disk" and done.seconds < 15


def test_threads(tmp_path: Path, level: str) -> None:
    assert run(tmp_path, BASH + "echo $OMP_NUM_THREADS", level, threads=3).output == "3\n"


def test_exit_code_and_end_of_the_output(tmp_path: Path, level: str) -> None:
    done = run(tmp_path, BASH + "yes | head -c 1000000; echo last words >&2; exit 3", level)
    assert done.returncode == 3
    assert done.output.endswith("last words\n") and len(done.output) == OUTPUT_BYTES


@pytest.mark.parametrize(
    "program", ["sleep {0}", "yes", "exec >&- 2>&-; sleep {0}", "trap '' TERM INT HUP; : {0}; while :; do :; done"]
)
def test_time_out(tmp_path: Path, level: str, program: str) -> None:
    begin, long = time.monotonic(), a_long_time()
    done = run(tmp_path, BASH + program.format(long), level, time_limit=1)
    assert done.stopped == "time" and done.returncode != 0
    assert done.seconds >= 1 and time.monotonic() - begin < 200  # of the 300 that it would sleep
    assert not alive(long)


@pytest.mark.parametrize("ends", [True, False])
def test_nothing_outlives_the_run(tmp_path: Path, level: str, ends: bool) -> None:
    """Children in the background, in sessions of their own, orphaned, and without their environment."""
    long = a_long_time()
    starts = ("", "setsid", "(setsid", "setsid env -i")
    children = "".join(
        f"{start} /bin/sh -c '>>there{number}; exec /bin/sleep {long}' &{')' * start.count('(')}\n"
        for number, start in enumerate(starts)
    )
    # It ends once all four are there, so that however slow the machine is none of them is still to be started.
    all_there = f"until [ $(ls there* | wc -l) = {len(starts)} ]; do sleep 0.1; done"
    end, seconds = (all_there, 100) if ends else ("wait; sleep 300", 1)
    done = run(tmp_path, BASH + children + end, level, time_limit=seconds)
    assert done.stopped == ("" if ends else "time"), done.output
    assert done.seconds < 200
    assert not alive(long)


def test_memory(tmp_path: Path, level: str) -> None:
    profile = dataclasses.replace(PROFILE, memory_bytes=100_000_000)
    program = "import time\nheld = bytearray(150_000_000)\ntime.sleep(20)\n"
    done = run(tmp_path / "one", PYTHON + program, level, profile)
    assert done.stopped == "memory" and (done.peak_memory_bytes or 0) > 100_000_000 and done.seconds < 15
    several = "import os, time\nos.fork(), os.fork()\nheld = bytearray(40_000_000)\ntime.sleep(20)\n"
    assert run(tmp_path / "four", PYTHON + several, level, profile).stopped == "memory"
    shared = "import os, time\nheld = bytearray(40_000_000)\nos.fork(), os.fork()\ntime.sleep(0.8)\n"
    done = run(tmp_path / "shared", PYTHON + shared, level, profile)
    assert done.stopped == "" and 40_000_000 < (done.peak_memory_bytes or 0) < 100_000_000


def test_processes(tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.challenge.sandbox.run, "MAX_PROCESSES", 20)
    long = a_long_time()
    done = run(tmp_path, BASH + f"for i in $(seq 40); do sleep {long} & done; wait", level)
    assert done.stopped == "processes" and not alive(long)


def test_file_size(tmp_path: Path, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness.challenge.sandbox.boxes, "MAX_FILE_BYTES", 10_000)
    done = run(tmp_path, BASH + "head -c 20000 /dev/zero > big", level)
    assert done.returncode != 0 and (tmp_path / "work" / "big").stat().st_size == 10_000


def test_network(tmp_path: Path, level: str) -> None:
    """A listener of this machine stands for the world outside."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\nprint('through')\n"
        done = run(tmp_path, PYTHON + program, level)
    assert ("through" in done.output) == ("network" in done.not_enforced)


def test_no_interpreter(tmp_path: Path, level: str) -> None:
    done = run(tmp_path, "#!/no/such/interpreter\n", level)
    assert done.returncode in (1, 126, 127) and "No such file" in done.output


def test_what_cannot_be_started(tmp_path: Path) -> None:
    with pytest.raises(ClicError, match=r"work: not empty"):
        (tmp_path / "work").mkdir()
        (tmp_path / "work" / "x").touch()
        run(tmp_path, BASH)
    write_zip(tmp_path / "plain.zip", {"decode": b"#!/bin/sh\n"}, executable=())
    with pytest.raises(ClicError, match=r"plain\.zip: no executable file 'decode'"):
        run_decoder(tmp_path / "plain.zip", tmp_path / "bs.zip", tmp_path / "new", PROFILE)
    with pytest.raises(ClicError, match=r"none\.zip: cannot be copied"):
        run_decoder(tmp_path / "plain.zip", tmp_path / "none.zip", tmp_path / "newer", PROFILE)
    with pytest.raises(ClicError, match=r"'bs\.zip' cannot be written"):
        run(tmp_path / "again", BASH, members={"bs.zip": b""})


def test_without_proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (harness.challenge.sandbox.run, harness.challenge.sandbox.watch):
        monkeypatch.setattr(module, "PROC", tmp_path / "none")
    long = a_long_time()
    done = run(tmp_path, BASH + f"sleep {long} &\necho fine", "limits")
    assert done.output == "fine\n" and done.peak_memory_bytes is None
    assert {"memory", "network", "number of processes"} < set(done.not_enforced)
    assert not alive(long)


def test_levels_need_their_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert why_not.__wrapped__("bubblewrap") == "bubblewrap is not installed"
    assert levels()[-1] == "limits"
