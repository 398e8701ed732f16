"""The rows of Table 1, soft-then-hard stage by stage, and of what it is made of."""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from leaderboard.units import decibels
from submission.study.contrasts import Contrast, contrast, control_of
from submission.study.frames import SOFT_THEN_HARD, mean_of_seeds, mode_title, short_stage, skips, spread
from submission.study.measured import Cell, Study, common_seeds
from submission.study.names import STAGES
from submission.study.published import TABLE_1
from submission.study.statistics import NOTHING, Interval, t_interval

PARTS = (
    ("further steps", "soft-continued", "soft", False, False),
    ("decoder side alone", "decoder-only", "soft-continued", False, False),
    ("hardness", "hard", "decoder-only", False, False),
    ("small elements left out", "hard", "hard", True, False),
    ("all together", "hard", "soft", True, False),
)
"""What stage hard was given at once before this study: its name, the test and control stage, and which leave out."""


def stage_rows(study: Study) -> pd.DataFrame:
    """Table 1: each stage of rows T1 and T1m at each lambda, and paper A's lines beside ours.

    Means are over the seeds that all stages have.
    """
    rows = []
    order = list(STAGES)
    cells = [cell for row in SOFT_THEN_HARD for cell in study.cells if cell.key.row == row]
    cells = [cell for cell in cells if cell.about.stage in order]
    for cell in cells:
        control = control_of(cell, study.cells)
        against = contrast(cell, control) if control else None
        left_out = _small_elements(cell, cells)
        for level in cell.levels:
            figures = at_level(cell, level, common_seeds(beside(cell, cells), level))
            if figures is None:
                continue
            rows.append(
                {
                    "image_set": cell.key.image_set,
                    "objective": cell.about.objective,
                    "stage": short_stage(cell),
                    "order": (
                        SOFT_THEN_HARD.index(cell.key.row),
                        study.image_sets.index(cell.key.image_set),
                        cell.key.skips,
                        level,
                        order.index(cell.about.stage),
                    ),
                    "skips": skips(cell),
                    **figures,
                    **spread("gain", _gain_at(against, level)),
                    **spread("left_out", _gain_at(left_out, level)),
                    **_paper_columns(cell, level),
                }
            )
    return pd.DataFrame(sorted(rows, key=lambda row: row["order"]))


def _small_elements(cell: Cell, among: Sequence[Cell]) -> Contrast | None:
    """What the same networks save where they leave small elements out."""
    key = replace(cell.key, skips=True)
    found = [other for other in among if other.key == key and not cell.key.skips]
    return contrast(found[0], cell) if found else None


def _gain_at(one: Contrast | None, level: int) -> Interval:
    return one.gain_at(level) if one and level in one.levels else NOTHING


def beside(cell: Cell, among: Sequence[Cell]) -> list[Cell]:
    """The stages that stand beside a cell: of its row, on its set, coded in its way."""
    same = (cell.key.row, cell.key.image_set, cell.key.skips)
    return [other for other in among if (other.key.row, other.key.image_set, other.key.skips) == same]


def at_level(cell: Cell, level: int, seeds: Collection[int]) -> dict[str, Any] | None:
    """A cell's figures at a level: plain means over images, then over `seeds`; of coded bytes where all were coded."""
    blocks = {seed: block for seed, block in cell.of(cell.mode, level).items() if seed in seeds}
    if not blocks:
        return None
    psnr = [float(np.mean([decibels(1 - mse) for mse in block.figures["mse"]])) for block in blocks.values()]
    names = ("bpp", "msssim_paper", "msssim_competition")
    return {
        "lambda_": cell.lambdas[level],
        **{name: float(np.mean([block.mean(name) for block in blocks.values()])) for name in names},
        "psnr": float(np.mean(psnr)),
        "gap": mean_of_seeds({seed: share for seed, share in cell.gap(level).items() if seed in blocks}),
        "seeds": len(blocks),
        "mode": mode_title(cell.mode),
    }


def _paper_columns(cell: Cell, level: int) -> dict[str, float]:
    lines = {(line.stage, line.level): line for line in TABLE_1}
    own, noise = lines.get((cell.about.stage, level)), lines.get(("soft-continued", level))
    if cell.about.objective != "ms-ssim" or cell.key.skips or own is None or noise is None:
        return dict.fromkeys(("paper_bpp", "paper_msssim", "paper_percent"), math.nan)
    percent = 100 * (own.bpp / noise.bpp - 1) if own is not noise else math.nan
    return {"paper_bpp": own.bpp, "paper_msssim": own.msssim, "paper_percent": percent}


def part_rows(study: Study) -> pd.DataFrame:
    """What further steps, the decoder's side alone, hardness and uncoded elements give, one after the other."""
    rows: list[dict[str, Any]] = []
    for row in SOFT_THEN_HARD:
        for image_set in study.image_sets:
            cells = {
                (cell.about.stage, leaves_out): cell
                for leaves_out in (False, True)
                for cell in study.of(row, image_set, leaves_out)
            }
            rows += _part_rows(cells)
    return pd.DataFrame(rows)


def _part_rows(cells: dict[tuple[str, bool], Cell]) -> Iterator[dict[str, Any]]:
    found = {}
    for name, test, control, test_skips, control_skips in PARTS:
        both = cells.get((test, test_skips)), cells.get((control, control_skips))
        one = contrast(*both) if both[0] is not None and both[1] is not None else None
        if one is not None:
            found[name] = one
    whole = found.get("all together")
    for name, one in found.items():
        for place in [*range(len(one.levels)), None]:
            gain = one.gain if place is None else t_interval(one.by_level[:, place].tolist())
            level = None if place is None else one.levels[place]
            of_whole = math.nan
            if whole is not None and whole.levels == one.levels:
                total = whole.gain.mean if level is None else whole.gain_at(level).mean
                of_whole = 100 * gain.mean / total if total else math.nan
            yield {
                "image_set": one.test.key.image_set,
                "objective": one.test.about.objective,
                "part": name,
                "compared": f"{_with_rule(one.test)} against {_with_rule(one.control)}",
                "lambda_": math.nan if level is None else one.test.lambdas[level],
                **spread("gain", gain),
                "share": of_whole,
            }


def _with_rule(cell: Cell) -> str:
    return short_stage(cell) + (" without small elements" if cell.key.skips else "")
