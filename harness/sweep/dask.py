"""The tasks of a sweep on the workers of a Dask cluster, which share no disk with this machine.

A task carries its image's bytes there, its results come back with their streams when all of it is done. Dask gives the
tasks of a lost worker to another one; a task that several workers died of is lost. A worker on which a task takes too
long is ended, which is the only way to end the task; where it has a nanny, that starts another one. Messages are
pickles: a cluster is for networks whose machines trust each other.
"""

import logging
import os
import socket
import warnings
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from platform import python_version_tuple
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from harness.errors import ClicError
from harness.memory import available_bytes
from harness.progress import counted, log
from harness.sweep.executor import RESULT_SECONDS, Lost, Place, R, T
from harness.sweep.local import usable_cores

if TYPE_CHECKING:
    from distributed import Client, Future, Worker

PACKAGES = ("clic-harness", "numpy", "pillow", "torch", "dask", "distributed")  # whose versions are to be the same
CONNECT_SECONDS = 5.0
WATCH_SECONDS = 5.0  # between looks at a cluster that says nothing
LOCAL = "local"


@dataclass(frozen=True)
class DaskCluster:
    """The cluster whose scheduler is at `address`, as tcp://host:8786, or one of this machine's cores for "local".

    A task whose next result takes longer than `result_seconds` is lost.
    """

    address: str
    result_seconds: float = RESULT_SECONDS

    def run(self, work: Callable[[T], Iterator[R]], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        """Results with their tasks, those of a task together when it is done.

        Raises ClicError where there is no scheduler, it goes away, or a worker has other versions than this process.
        """
        from distributed import wait

        waiting, running = iter(tasks), dict["Future", T]()
        with _connected(self.address) as client:
            _compare(client)
            ours, is_told = versions(), False
            while True:
                for task in islice(waiting, max(0, _places(client) - len(running))):
                    try:
                        sent = task.carried()
                    except OSError as error:
                        yield task, Lost(f"its file cannot be read ({error.strerror})")
                        continue
                    running[self._submit(client, work, sent, ours)] = task
                if not running:
                    return
                try:
                    done = wait(list(running), WATCH_SECONDS, "FIRST_COMPLETED").done
                except TimeoutError:
                    if not _places(client) and not is_told:
                        log(f"sweep: the cluster at {self.address} has no workers now; waiting for one")
                        is_told = True
                    continue
                for future in done:
                    task = running.pop(future)
                    for result in self._results(client, future):
                        yield task, result

    def places(self) -> list[Place]:
        """A place for each worker. Raises ClicError without a scheduler or worker, and for other versions."""
        with _connected(self.address) as client:
            if not client.nthreads():
                raise ClicError(f"--cluster {self.address}: it has no workers now; start some and ask again")
            _compare(client)
            seen: list[_Seen] = list(client.run(_look).values())
        threads: Counter[str] = Counter()
        beside = Counter(one.host for one in seen)
        for one in seen:
            threads[one.host] += one.threads
        return [
            Place(
                one.threads,
                min(one.threads, one.cores * one.threads / threads[one.host]),
                min(one.free_bytes // beside[one.host], one.limit_bytes),
            )
            for one in seen
        ]

    def _submit(self, client: "Client", work: Callable[[T], Iterator[R]], task: T, ours: dict[str, str]) -> "Future":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph")  # an image's bytes, which have to go there
            return client.submit(_whole, work, task, ours, self.result_seconds, pure=False)

    def _results(self, client: "Client", future: "Future") -> Iterable[Any]:
        """What a task came to. The worker that one of them still holds up is ended."""
        from distributed import KilledWorker

        if future.cancelled():
            raise ClicError(f"the scheduler at {self.address} is gone; start it and run the same command again")
        error = future.exception()
        if isinstance(error, KilledWorker):
            return [
                Lost(f"{error.allowed_failures + 1} workers died of it, the last of them {error.last_worker.address}")
            ]
        if isinstance(error, ClicError):  # what the work itself fails of, it gives as a result
            raise error
        if error is not None:
            return [Lost(f"{type(error).__name__}: {error}")]
        results, stuck = future.result()
        if stuck:
            client.run(_leave, workers=[stuck], wait=False, on_error="ignore")
        return list(results)


class _Seen(NamedTuple):
    """What a worker knows: its threads, its machine's name, cores and free memory, and what it may still take."""

    threads: int
    host: str
    cores: int
    free_bytes: int
    limit_bytes: int


def versions() -> dict[str, str]:
    """What decides the results of this process: versions, and the hash of the harness's own source."""
    found = {"python": ".".join(python_version_tuple()[:2]), "harness source": _source()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a codec may do without
            found[package] = "none"
    return found


@cache
def _source() -> str:
    """Short hash of the modules of `harness`: two checkouts of one version may differ."""
    digest = sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def differences(ours: dict[str, str], theirs: dict[str, str]) -> str:
    """What differs between two processes, in words; empty where nothing does."""
    return ", ".join(
        f"{name} {theirs.get(name)} there, {ours[name]} here" for name in ours if theirs.get(name) != ours[name]
    )


def _whole(
    work: Callable[[T], Iterator[R]], task: T, expected: dict[str, str], limit: float
) -> tuple[list[R | Lost], str]:
    """On a worker: all results of a task; and the worker's address where the task was too slow and still goes on.

    Raises ClicError where the worker came late, and has other versions.
    """
    from distributed import get_worker

    if found := differences(expected, versions()):
        raise ClicError(f"a Dask worker has other versions ({found}); install the same there and run again")
    steps, results = work(task), list[R | Lost]()
    hand = ThreadPoolExecutor(1)  # a thread beside this one, which cannot wait and work
    try:
        while True:
            step = hand.submit(next, steps, None)
            if not wait_for([step], limit).done:
                return [*results, Lost.too_slow(limit)], str(get_worker().address)
            if (result := step.result()) is None:
                return results, ""
            results.append(result)
    finally:
        hand.shutdown(wait=False)


def _look(dask_worker: "Worker") -> _Seen:
    """On a worker, which Dask hands in by this name."""
    free, limit = available_bytes(), dask_worker.memory_manager.memory_limit
    left = limit - psutil.Process().memory_info().rss if limit else free
    return _Seen(dask_worker.state.nthreads, socket.gethostname(), usable_cores(), free, max(0, left))


async def _leave() -> None:
    """On a worker: end its process. Asynchronous, as what Dask does not wait for has to be."""
    os._exit(1)


def _compare(client: "Client") -> None:
    """Wait for a worker, then raise ClicError where one has other versions than this process."""
    from distributed import TimeoutError as NoWorkers

    if not client.nthreads():
        log("sweep: waiting for the cluster's first worker")
    while True:
        try:
            client.wait_for_workers(1, timeout=WATCH_SECONDS)
            break
        except NoWorkers:
            continue
    found = client.run(_foreign, versions())
    for address, text in found.items():
        if text:
            raise ClicError(f"the Dask worker {address} has other versions ({text}); install the same there")
    log(f"sweep: {counted(len(found), 'Dask worker')}, versions as here")


def _foreign(expected: dict[str, str]) -> str:
    return differences(expected, versions())


def _places(client: "Client") -> int:
    """How many tasks to have under way: one a thread, and some that are on their way."""
    threads = sum(client.nthreads().values())
    return threads + -(-threads // 4)


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    """A client of the cluster; a cluster of this machine's cores lives as long as it does."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ClicError(f"--cluster needs Dask ({error}); pip install 'clic-harness[dask]'") from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)  # what matters is said here, in one line
    if address == LOCAL:
        with (
            LocalCluster(n_workers=usable_cores(), threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS)
    except (OSError, ValueError, TimeoutError) as error:
        raise ClicError(
            f"--cluster {address}: no Dask scheduler there ({error}); give tcp://HOST:PORT, or local"
        ) from error
    with client:
        yield client
