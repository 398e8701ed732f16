"""The measurements of one study out of several folders, as where its rows ran on several machines."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from harness.errors import ClicError
from harness.progress import counted, log
from submission.study.gradients import FILE as GRADIENTS
from submission.study.gradients import read_gradients, write_gradients
from submission.study.made import joined, read_made, save_made
from submission.study.runs import RUNS, RunRow, in_order, read_runs, write_runs

T = TypeVar("T")


def join(folder: Path, others: Sequence[Path]) -> None:
    """Take the measurements of other folders into a study's folder, which may have none yet.

    A trained network, and the gradients on one, are taken whole from the last folder that has them. Raises ClicError
    where a folder holds no study, or another one.
    """
    folders = [*([folder] if (folder / RUNS).exists() else []), *others]
    tables = [read_runs(one / RUNS) for one in folders]
    studies = {row.study: one for one, rows in zip(folders, tables, strict=True) for row in rows}
    if len(studies) > 1:
        (first, where), (second, there) = list(studies.items())[:2]
        raise ClicError(f"{where} is of study {first!r} and {there} of {second!r}; join folders of one study")
    made = joined([found for one in folders if (found := read_made(one))])
    runs = _last_of_each(tables, _run_of)
    gradients = _last_of_each(
        [read_gradients(one / GRADIENTS) for one in folders], lambda row: (row["network"], row["seed"])
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_runs(folder / RUNS, in_order(runs))
        if gradients:
            write_gradients(folder / GRADIENTS, gradients)
        if made:
            save_made(folder, made)
    except OSError as error:
        raise ClicError(f"{folder}: cannot be written ({error}); free space, or give another folder") from error
    log(f"{folder}: {counted(len({_run_of(row) for row in runs}), 'run')} out of {counted(len(folders), 'folder')}")


def _run_of(row: RunRow) -> tuple[str, str, str, int]:
    return row.row, row.cell, row.skip_uncoded, row.seed


def _last_of_each(tables: Iterable[Sequence[T]], key: Callable[[T], Hashable]) -> list[T]:
    """All rows, but of those with one key only the last table's."""
    found: dict[Hashable, list[T]] = {}
    for rows in tables:
        of_table: dict[Hashable, list[T]] = {}
        for row in rows:
            of_table.setdefault(key(row), []).append(row)
        found |= of_table
    return [row for rows in found.values() for row in rows]
