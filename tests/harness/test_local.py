"""Local processes: results as they are made, and what happens to the others when a worker dies or hangs."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from helpers import wait_until

from harness.sweep import local
from harness.sweep.executor import Lost
from harness.sweep.local import LocalProcesses


@dataclass
class Job:
    """What a worker does: `kind` after its first result. A "poisoned" one kills the process that receives it."""

    kind: str
    folder: Path

    def carried(self) -> "Job":
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.kind == "poisoned":
            os.kill(os.getpid(), signal.SIGKILL)


def work(job: Job) -> Iterator[str]:
    (job.folder / f"{os.getpid()}.pid").touch()
    yield f"{job.kind} 1"
    if job.kind == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.kind in ("left", "failed"):
        os._exit(3 if job.kind == "failed" else 0)
    if job.kind == "hung":
        time.sleep(600)
    (job.folder / f"{job.kind} is over").touch()
    yield f"{job.kind} 2"


def pids(folder: Path) -> list[int]:
    return [int(path.stem) for path in folder.glob("*.pid")]


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


@pytest.mark.parametrize(
    ("kind", "reason", "again"),
    [
        ("killed", "killed by SIGKILL", True),
        ("left", "ended with status 0", True),
        ("failed", "ended with status 3", True),
        ("hung", "nothing came for 2 s", False),
        ("poisoned", "could not work", True),
    ],
)
def test_a_worker_that_dies_fails_its_own_task_alone(tmp_path: Path, kind: str, reason: str, again: bool) -> None:
    jobs = [Job(name, tmp_path) for name in ("first", kind, "third", "fourth")]
    found: dict[str, list[str | Lost]] = {job.kind: [] for job in jobs}
    for job, result in LocalProcesses(2, result_seconds=2).run(work, jobs):
        found[job.kind].append(result)
    *before, lost = found.pop(kind)
    assert before == ([] if kind == "poisoned" else [f"{kind} 1"])
    assert isinstance(lost, Lost) and reason in lost.reason and lost.again == again
    assert found == {name: [f"{name} 1", f"{name} 2"] for name in found} and len(found) == 3


def test_results_are_handed_on_as_they_are_made(tmp_path: Path) -> None:
    with closing(LocalProcesses(1).run(work, [Job("hung", tmp_path)])) as results:
        assert next(results)[1] == "hung 1"


def test_closing_ends_all_workers_at_once(tmp_path: Path) -> None:
    results = LocalProcesses(2).run(work, [Job("hung", tmp_path), Job("hung", tmp_path)])
    next(results), next(results)
    begin = time.monotonic()
    results.close()
    assert time.monotonic() - begin < 3 and len(pids(tmp_path)) == 2
    assert not any(map(alive, pids(tmp_path)))


def test_an_idle_worker_that_dies_is_replaced(tmp_path: Path) -> None:
    def jobs() -> Iterator[Job]:
        yield Job("first", tmp_path)
        [worker] = pids(tmp_path)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: not alive(worker))
        time.sleep(0.5)  # pebble looks ten times a second
        yield Job("second", tmp_path)

    assert [result for _, result in LocalProcesses(1).run(work, jobs())] == [
        *("first 1", "first 2", "second 1", "second 2")
    ]


def hungry(job: Job) -> Iterator[int]:
    """Takes 100 MB, and says which process it is in."""
    assert bytearray(100_000_000)
    yield os.getpid()


@pytest.mark.parametrize(("free", "most"), [(500_000_000, 3), (1, 1), (10**12, 4)])
def test_as_many_processes_as_memory_permits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, most: int
) -> None:
    """By what the first task took: 100 MB and the libraries. The number of cores and the free memory are given here."""
    monkeypatch.setattr(local, "usable_cores", lambda: 4)
    monkeypatch.setattr(local, "available_bytes", lambda: free)
    jobs = [Job(f"{number}", tmp_path) for number in range(6)]
    workers = [worker for _, worker in LocalProcesses().run(hungry, jobs)]
    assert len(workers) == 6 and len(set(workers)) == most
