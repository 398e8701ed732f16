"""A sweep: what is missing is coded, and each candidate is in the store before the next is waited for.

Several sweeps may go on in one folder, of the same or of different codecs: each claims a task when it has a process for
it, and in the end waits for what the others are coding.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from harness.files import write_atomic
from harness.progress import Progress, counted, log
from harness.records import Failure, Key, Sweep
from harness.store import Store
from harness.sweep.coding import code, failure
from harness.sweep.executor import Executor, Lost
from harness.sweep.plan import Plan, Task
from harness.sweep.table import export_candidates

POLL_SECONDS = 0.5  # between looks at what other runs have done


def sweep(
    plan: Plan, store: Store, executor: Executor, reread: bool = False, progress: Progress | None = None
) -> pd.DataFrame:
    """Code what is missing; returns the codec's candidates of the set, and writes candidates.csv of all codecs.

    With `reread`, streams that are there are read, and the damaged ones coded again. Raises ClicError, after all else
    is done, where candidates failed; they are listed in failures.csv.
    """
    store.put(plan.codec)
    store.append(Sweep(None, plan.originals.id, plan.codec.sha256, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"))
    failures = code_missing(plan, store, executor, progress)
    # Afterwards: to look at millions of streams takes its time, in which nothing would be coded.
    if lost := store.forget_lost(plan.codec.sha256, plan.images, reread):
        log(f"sweep: {counted(len(lost), 'stream')} lost or damaged, to be coded again")
        failures = code_missing(plan, store, executor, progress)
    export_candidates(store, plan.originals.id)
    path = store.folder / "failures.csv"
    rows = export_failures(path, plan, failures)
    if rows:
        first = "; ".join(f"{image} {point}: {reason}" for image, point, reason in rows[:3])
        raise ClicError(
            f"{counted(len(rows), 'failure')} in coding with {plan.codec.name} ({first}); all are in {path}; mend or "
            "remove these images and run again, the rest is kept"
        )
    return store.candidates(plan.originals.id, [plan.codec.sha256])


def code_missing(plan: Plan, store: Store, executor: Executor, progress: Progress | None) -> list[Failure]:
    """Code until nothing of the plan is missing but what failed, which is returned.

    A task that was lost is tried once more, after the others.
    """
    failures: list[Failure] = []
    failed: set[Key] = set()
    lost: set[str] = set()  # images
    tasks = plan.tasks(store)
    missing = sum(len(task.points) for task in tasks)
    if tasks and missing < plan.size:
        log(f"sweep: {plan.size - missing} of {plan.size} candidates are already there")
    done, total, is_told = 0, sum(plan.work(task, point) for task in tasks for point in task.points), False
    while tasks:
        claimed: list[Task] = []
        with closing(executor.run(code, _claims(store, tasks, claimed))) as results:
            for task, result in results:
                if isinstance(result, Lost):
                    if result.again and task.image not in lost:
                        lost.add(task.image)
                        store.release(task.keys)
                        log(f"sweep: {task.name}: {result.reason}; it is tried once more")
                        continue
                    result = failure(task, "", result.reason)
                if isinstance(result, Failure):
                    store.fail(result)
                    failures.append(result)
                    failed |= {key for key in task.keys if result.point in ("", key.point)}
                    log(f"sweep: {task.name} {result.point}: {result.reason}")
                    continue
                store.add(result.candidate, result.stream)
                done += plan.work(task, result.candidate.point)
                if progress:
                    progress(done, total)
        tasks = plan.tasks(store, leave=failed)
        if tasks and not claimed:
            if not is_told:
                log(f"sweep: waiting for {counted(len(tasks), 'image')} that another run is coding")
                is_told = True
            time.sleep(POLL_SECONDS)
    return failures


def _claims(store: Store, tasks: Sequence[Task], claimed: list[Task]) -> Iterator[Task]:
    """Of each task what nobody else is doing, claimed when it is asked for; `claimed` collects them."""
    for task in tasks:
        if keys := store.claim(task.keys):
            mine = task.only(keys)
            claimed.append(mine)
            yield mine


def export_failures(path: Path, plan: Plan, failures: Sequence[Failure]) -> list[tuple[str, str, str]]:
    """Write failures.csv, or remove that of an earlier run; its rows."""
    names = {digest: name for name, digest in plan.originals.hashes.items()}
    rows = [(names[failure.image], failure.point, failure.reason) for failure in failures]
    if not rows:
        path.unlink(missing_ok=True)
        return rows
    table = pd.DataFrame(rows, columns=["image", "point", "reason"])
    write_atomic(path, table.to_csv(index=False, lineterminator="\n").encode())
    return rows
