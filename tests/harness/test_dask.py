"""A sweep on a Dask cluster: a real scheduler and real workers, which cannot open the photographs."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from helpers import TESTS, TOY, count, left_over, marked, photograph, swept, wait_until, without_time
from toy_codec import ToyCodec

from harness.records import Candidate, Image
from harness.store import open_store

pytest.importorskip("distributed")

POINTS = len(ToyCodec().points())
BLIND = """
import os, sys

def refuse(event, arguments):
    if event == "open" and str(arguments[0]).startswith(os.environ["HIDDEN"]):
        raise FileNotFoundError(arguments[0])

sys.addaudithook(refuse)
"""


@dataclass
class Cluster:
    """A scheduler and its workers, each a process of its own, in a folder of their own."""

    folder: Path
    environment: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return str(json.loads((self.folder / "scheduler.json").read_text())["address"])

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{len(self.started)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dask", *arguments, "--no-dashboard", "--scheduler-file", "scheduler.json"],
                cwd=self.folder,
                env={**os.environ, **self.environment, **environment},
                stdout=log,
                stderr=log,
            )
        self.started.append(process)
        return process

    def worker(self, **environment: str) -> subprocess.Popen[bytes]:
        """One that nobody starts again when it dies."""
        return self.start("worker", "--nthreads", "1", "--no-nanny", **environment)


@pytest.fixture
def cluster(photographs: Path, tmp_path: Path) -> Iterator[Cluster]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLIND)
    shutil.copy(TESTS / "toy_codec.py", folder)
    cluster = Cluster(folder, {"PYTHONPATH": str(folder), "HIDDEN": str(photographs)})
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}  # not three workers for each deadly image
    cluster.start("scheduler", "--host", "127.0.0.1", "--port", "0", **once)
    written = folder / "scheduler.json"
    wait_until(lambda: written.exists() and written.read_text().rstrip().endswith("}"))  # not while it is written
    yield cluster
    for process in cluster.started:
        process.kill()
        process.wait()


def lines(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def test_a_killed_workers_tasks_are_done_again(
    photographs: Path, tmp_path: Path, cluster: Cluster, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """The result is that of a local run, and nothing that was stored is coded twice."""
    for number in range(6):
        photograph(100 + number, 90 + number, 80).save(photographs / f"more {number}.png")
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    workers = [cluster.worker(TOY_LOG=str(log), TOY_DELAY="0.2") for log in logs]
    out = tmp_path / "out"
    process = start_clic("encode", photographs, "--codec", TOY, "--cluster", cluster.address, "--out", out)
    wait_until(lambda: count(out) > POINTS and len(lines(logs[0])) % POINTS == 2 and lines(logs[1]))
    os.kill(workers[0].pid, signal.SIGKILL)
    with open_store(out, write=False) as store:
        sizes = {image.sha256: f"({image.height}, {image.width}, 3)" for image in store.rows(Image)}
        stored = {f"{sizes[row.image]} {row.point}" for row in store.rows(Candidate)}
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    twice = {line for line, times in Counter(lines(logs[0]) + lines(logs[1])).items() if times > 1}
    assert len(twice) >= 2 and stored and not twice & stored
    assert count(out) == 10 * POINTS and not left_over(out)
    swept(photographs, TOY, tmp_path / "local")
    local, remote = (without_time(folder / "candidates.csv") for folder in (tmp_path / "local", out))
    pd.testing.assert_frame_equal(local, remote)


def test_an_image_that_kills_workers_fails_alone(
    photographs: Path, tmp_path: Path, cluster: Cluster, clic: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    marked((0, 255, 255)).save(photographs / "bad.png")
    for _ in range(3):
        cluster.worker()
    done = clic("encode", photographs, "--codec", TOY, "--cluster", cluster.address, "--out", tmp_path / "out")
    assert done.returncode == 2 and "it is tried once more" in done.stderr
    *_, last = done.stderr.splitlines()
    assert last.startswith("clic: 1 failure in coding with toy (bad : ") and "died of it" in last
    assert count(tmp_path / "out") == 4 * POINTS


@pytest.mark.parametrize("nanny", ["--nanny", "--no-nanny"])
def test_a_task_that_takes_too_long_ends_with_its_worker(
    photographs: Path, tmp_path: Path, cluster: Cluster, start_clic: Callable[..., subprocess.Popen[str]], nanny: str
) -> None:
    """Its image fails at once, not again elsewhere; another worker, or the nanny's next one, does the others."""
    marked((255, 255, 0)).save(photographs / "slow.png")
    log = tmp_path / "coded.log"
    cluster.start("worker", "--nthreads", "1", nanny, TOY_LOG=str(log))
    arguments = ("--codec", TOY, "--cluster", cluster.address, "--task-limit", 3, "--out", tmp_path / "out")
    process = start_clic("encode", photographs, *arguments)
    if nanny == "--no-nanny":
        wait_until(lambda: cluster.started[-1].poll() is not None)
        cluster.worker(TOY_LOG=str(log))
    _, said = process.communicate(timeout=120)
    *_, last = said.splitlines()
    assert process.returncode == 2 and "so it was ended; it is tried" not in said and "Traceback" not in said, said
    assert last.startswith("clic: 1 failure in coding with toy (slow : nothing came for 3 s, so it was ended)"), said
    assert count(tmp_path / "out") == 4 * POINTS + 1
    assert sum(line.endswith("(170, 180, 3) 10") for line in lines(log)) == 1


def test_other_versions_are_refused(
    photographs: Path, tmp_path: Path, cluster: Cluster, clic: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """A worker with another checkout of the same version, before any task and when it comes later."""
    shutil.copytree(TESTS.parent / "harness", tmp_path / "checkout/harness", ignore=shutil.ignore_patterns("*.pyc"))
    with (tmp_path / "checkout/harness/scores/msssim.py").open("a") as file:
        file.write("# another definition\n")
    cluster.worker(PYTHONPATH=os.pathsep.join([str(tmp_path / "checkout"), cluster.environment["PYTHONPATH"]]))
    done = clic("encode", photographs, "--codec", TOY, "--cluster", cluster.address, "--out", tmp_path / "out")
    assert done.returncode == 2 and count(tmp_path / "out") == 0
    assert "has other versions (harness source " in done.stderr and "Traceback" not in done.stderr


def test_no_scheduler(photographs: Path, tmp_path: Path, clic: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = clic("encode", photographs, "--codec", TOY, "--cluster", "tcp://127.0.0.1:9", "--out", tmp_path / "out")
    assert done.returncode == 2 and "no Dask scheduler there" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    both = clic("encode", photographs, "--cluster", "local", "--workers", 2, "--out", tmp_path / "out")
    assert both.returncode == 2 and "--cluster has workers of its own" in both.stderr


def test_a_dry_run_asks_the_cluster(
    photographs: Path, tmp_path: Path, cluster: Cluster, clic: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Its workers are counted, and one of them codes the sample; without a worker, or a cluster, that is an error."""
    arguments = ("encode", photographs, "--codec", TOY, "--out", tmp_path / "out", "--dry-run", "--cluster")
    none = clic(*arguments, cluster.address)
    assert none.returncode == 2 and none.stderr == (
        f"clic: --cluster {cluster.address}: it has no workers now; start some and ask again\n"
    )
    log = tmp_path / "coded.log"
    cluster.worker(TOY_LOG=str(log))
    cluster.start("worker", "--nthreads", "2", "--no-nanny", "--memory-limit", "2GB", TOY_LOG=str(log))
    wait_until(lambda: all("Registered" in (cluster.folder / f"{n}.log").read_text() for n in (1, 2)))
    said = clic(*arguments, cluster.address)
    assert said.returncode == 0 and not (tmp_path / "out").exists(), said.stderr
    assert len(lines(log)) == 3
    assert ", 3 images at a time by 2 workers of 3 threads\n" in said.stdout
    (free,) = re.findall(r"memory +[0-9.]+ GB in a worker at the peak, ([0-9.]+) GB are free for it\n", said.stdout)
    assert 0 < float(free) < 2
    wrong = clic(*arguments, "tcp://127.0.0.1:9")
    assert wrong.returncode == 2 and "no Dask scheduler there" in wrong.stderr
    assert len(wrong.stderr.splitlines()) == 1 and not wrong.stdout


def test_a_cluster_of_this_machines_cores(
    photographs: Path, tmp_path: Path, clic: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = clic("encode", photographs, "--codec", TOY, "--cluster", "local", "--out", tmp_path / "out")
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    assert count(tmp_path / "out") == 4 * POINTS
