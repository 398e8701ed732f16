"""A folder of photographs, and the command line in a process of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

# Before torch is loaded: small networks are quicker on one thread, and processes of several disturb each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from helpers import SIZES, TESTS, photograph


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of four small images; one of them is too small for the papers' MS-SSIM."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for seed, (name, size) in enumerate(SIZES.items()):
        photograph(seed, *size).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def start_clic() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `clic` with arguments, in a process group of its own, with extra environment variables."""
    started = []

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        # A shell's background job, as which these tests may run, hands down that Ctrl-C is ignored, and nohup the
        # end of a terminal.
        def as_in_a_terminal() -> None:
            for number in (signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)

        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "harness", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=as_in_a_terminal,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


@pytest.fixture
def clic(start_clic: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `clic` to its end."""

    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        process = start_clic(*arguments, **environment)
        stdout, stderr = process.communicate(timeout=120)
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)

    return run
