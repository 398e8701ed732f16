"""The two tables that have columns of their own by name: `soft_then_hard.csv` and `surrogates.csv`."""

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence

from submission.study.columns import SOFT_THEN_HARD, SURROGATES
from submission.study.contrasts import contrast, control_of
from submission.study.frames import significant
from submission.study.measured import Cell, Study, common_seeds
from submission.study.names import STAGES
from submission.study.runs import CODED, TRAINING
from submission.study.stages import at_level, beside

STAGES_SHOWN = [stage for stage in STAGES if stage != "hard-true"]


def soft_then_hard_csv(study: Study) -> str:
    """Row T1 by set, stage and lambda: coded bytes, means of the seeds that all stages have, plain over images."""
    cells = [cell for cell in study.cells if cell.key.row == "T1" and not cell.key.skips]
    cells = [cell for cell in cells if cell.about.stage in STAGES_SHOWN]
    rows = []
    for cell in cells:
        rows += list(_levels(cell, beside(cell, cells)))
    rows.sort(key=lambda row: (row["set"], STAGES_SHOWN.index(str(row["stage"])), row["lambda"]))
    return _as_csv(SOFT_THEN_HARD, rows)


def _levels(cell: Cell, stages: Sequence[Cell]) -> Iterator[dict[str, object]]:
    for level in cell.levels:
        figures = at_level(cell, level, common_seeds(stages, level))
        if figures is not None and figures["mode"] == CODED:
            names = ("bpp", "msssim_competition", "msssim_paper")
            own = {name: figures[name] for name in names}
            yield {"set": cell.key.image_set, "stage": cell.about.stage, "lambda": figures["lambda_"], **own}


def surrogates_csv(study: Study) -> str:
    """Row S by network, surrogate and seed, on the main set; `gain_percent` is dJ/R against noise.

    `low` and `high` are the interval over the seeds, the same in all rows of a cell. Of several levels the mean.
    """
    rows: list[Mapping[str, object]] = []
    for cell in study.of("S", study.main_set):
        rows += list(_seeds(study, cell))
    return _as_csv(SURROGATES, rows)


def _seeds(study: Study, cell: Cell) -> Iterator[dict[str, object]]:
    control = control_of(cell, study.cells)
    against = contrast(cell, control) if control else None
    means = {name: cell.means(cell.mode, name) for name in ("bpp", "distortion", "loss")}
    training = cell.means(TRAINING, "loss")
    about = cell.about
    choices = ", ".join(filter(None, (about.routing, about.slope)))
    for seed, rate in means["bpp"].items():
        yield {
            "network": about.network,
            "surrogate": f"{about.surrogate} ({choices})" if choices else about.surrogate,
            "temperature": about.temperature,
            "seed": seed,
            "rate_bpp": rate,
            "distortion": means["distortion"][seed],
            "loss_hard": means["loss"][seed],
            "loss_training": training.get(seed, math.nan),
            "gain_percent": against.by_seed.get(seed, math.nan) if against else math.nan,
            "low": against.gain.low if against else math.nan,
            "high": against.gain.high if against else math.nan,
        }


def _as_csv(names: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_field(row[name]) for name in names] for row in rows)
    return text.getvalue()


def _field(value: object) -> object:
    """With nine significant digits; empty where there is none."""
    return "" if value is None or value != value else significant(value)
