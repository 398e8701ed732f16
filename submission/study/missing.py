"""What a study lacks of its run table, so that no reader takes a part of it for the whole."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from submission.study.cells import label_of
from submission.study.gradients import gradient_tasks, named
from submission.study.measured import TRUNK, Study
from submission.study.names import is_on
from submission.study.planned import plan_of
from submission.study.questions import SEEDS
from submission.study.risks import Risks

FEW = 3  # names in one line
LEFT_OUT = ", small elements left out"


def missing_rows(study: Study, risks: Risks) -> pd.DataFrame:
    """A row for each thing that is not there yet: a row, a cell, its seeds or images, gradients; or one: nothing."""
    return pd.DataFrame(list(_missing(study, risks)) or [("all", "nothing")], columns=["row", "what"])


def _missing(study: Study, risks: Risks) -> Iterator[tuple[str, str]]:
    present: dict[str, set[tuple[str, bool]]] = {}
    for cell in study.cells:
        present.setdefault(cell.key.row, set()).add((cell.key.cell, cell.key.skips))
    for row, cells in _planned(study).items():
        if row not in present:
            yield row, "all of it"
        else:
            absent = [one for one in cells if one not in present[row]]
            yield from ((row, f"{cell}{LEFT_OUT * skips}: all seeds") for cell, skips in absent)
    few: dict[tuple[str, int], list[str]] = {}
    for cell in study.cells:
        name = f"{cell.about.network} {cell.title}, {cell.key.image_set}{LEFT_OUT * cell.key.skips}"
        if len(cell.seeds) < SEEDS:
            few.setdefault((cell.key.row, len(cell.seeds)), []).append(name)
        counts = Counter(seed for (_, seed, _), block in cell.blocks.items() for _ in block.images)
        short = [str(seed) for seed, count in sorted(counts.items()) if count < max(counts.values())]
        if short:
            yield cell.key.row, f"{name}: seed {', '.join(short)} is not coded to its end"
    yield from ((row, f"{_some(names)}: {seeds} of {SEEDS} seeds") for (row, seeds), names in few.items())
    yield from (("G", what) for what in _gradients(study, risks))


def _some(names: list[str]) -> str:
    """A few names, or the first of many: a study that is under way lacks hundreds of cells."""
    return "; ".join(names) if len(names) <= FEW else f"{names[0]} and {len(names) - 1} others"


def _gradients(study: Study, risks: Risks) -> Iterator[str]:
    """What row G lacks: all of it, a network, or seeds of a surrogate."""
    if not risks.all:
        yield "gradients.csv"
        return
    seeds = {(one.network, one.surrogate, one.temperature, one.routing, one.slope): len(one.risk) for one in risks.all}
    for task in gradient_tasks(plan_of(study), Path(), Path(), [1]):
        if task.cell.network not in risks.networks:
            yield f"{task.cell.network}: gradients of all surrogates"
            continue
        few: dict[int, list[str]] = {}
        for one in task.surrogates:
            found = seeds.get((task.cell.network, *named(one)), 0)
            if found < SEEDS:
                few.setdefault(found, []).append(f"{task.cell.network} {label_of(one)}")
        yield from (f"{_some(names)}: gradients of {found} of {SEEDS} seeds" for found, names in few.items())


def _planned(study: Study) -> dict[str, list[tuple[str, bool]]]:
    """The names of all cells by row, each once for every way in which it is coded: True without small elements."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for cell in plan_of(study).cells:
        if cell.training.stage != TRUNK:
            found.setdefault(cell.row, []).extend((cell.name, is_on(skip)) for skip in cell.skip_uncoded)
    return found
