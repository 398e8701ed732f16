"""Photographs that need no download, and the command line in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# Before torch is loaded: small networks are quicker on one thread, and processes of several disturb each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

TESTS = Path(__file__).parent
TOY = "toy_codec:ToyCodec"
SIZES = {"alps": (208, 176), "beach": (176, 192), "city 7": (240, 170), "007": (97, 64)}


def photograph(seed: int, width: int, height: int) -> Image.Image:
    """Clouds of several scales with some grain: as hard to code as a soft photograph."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, strength in ((3, 80), (8, 40), (24, 20)):
        noise = random.uniform(-1, 1, (cells, cells, 3))
        for channel in range(3):
            plane = Image.fromarray(noise[:, :, channel].astype(np.float32))
            total[:, :, channel] += strength * np.asarray(plane.resize((width, height)))
    total += random.normal(0, 3, total.shape)
    return Image.fromarray((128 + total).clip(0, 255).astype(np.uint8))


def marked(color: tuple[int, int, int], width: int = 180, height: int = 170) -> Image.Image:
    """A photograph whose first pixel tells the toy codec to misbehave."""
    image = photograph(99, width, height)
    image.putpixel((0, 0), color)
    return image


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return once the condition holds; fails the test if it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def group_is_gone(process: subprocess.Popen[str]) -> bool:
    """Whether nothing that a started `clic` has started is alive."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


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
        # A shell's background job, as which these tests may run, hands down that Ctrl-C is ignored.
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "harness", *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(TESTS), **environment},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
