"""The rows of the study's tables, from its contrasts and answers."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from leaderboard.units import decibels
from submission.study.bootstrap import bd_over_images
from submission.study.contrasts import Contrast, centred_contrast, contrast, control_of
from submission.study.measured import Cell, Study, common_seeds
from submission.study.names import STAGES, stage_title
from submission.study.published import TABLE_1
from submission.study.questions import Answer
from submission.study.runs import CENTRED, CODED, HARD, TRAINING
from submission.study.statistics import NOTHING, Interval, t_interval

COMPARED = ("T1", "T1m", "S", "S2", "C", "D", "X")
SOFT_THEN_HARD = ("T1", "T1m")
PARTS = (
    ("further steps", "soft-continued", "soft", False, False),
    ("decoder side alone", "decoder-only", "soft-continued", False, False),
    ("hardness", "hard", "decoder-only", False, False),
    ("small elements left out", "hard", "hard", True, False),
    ("all together", "hard", "soft", True, False),
)
"""What stage hard was given at once before this study: its name, the test and control stage, and which leave out."""


def spread(name: str, interval: Interval) -> dict[str, float]:
    """The columns of an interval."""
    return {name: interval.mean, f"{name}_low": interval.low, f"{name}_high": interval.high}


def verdict(interval: Interval) -> str:
    """Of a gain: better and worse only where the interval excludes 0; no word where there is no interval."""
    if not interval.known:
        return "no interval"
    return "better" if interval.above else "worse" if interval.below else "undecided"


def skips(cell: Cell) -> str:
    """How elements of the smallest scales were treated."""
    return "small elements left out" if cell.key.skips else "small elements coded"


def mode_title(mode: str) -> str:
    """Where bits are from."""
    return "coded" if mode == CODED else "stated"


def contrasts_of(study: Study, row: str) -> Iterator[Contrast]:
    """Each cell of a row against its control, and c against b, on all sets.

    Where one of the two was trained with rounding around 0, each as it was trained, then both around their means.
    """
    cells = [cell for cell in study.cells if cell.key.row == row]
    for cell in cells:
        control = control_of(cell, study.cells)
        if control is not None:
            yield from filter(None, (contrast(cell, control), centred_contrast(cell, control)))
    for cell in cells:
        for other in cells:
            stages = (cell.about.stage, other.about.stage)
            alike = (cell.key.image_set, cell.key.skips) == (other.key.image_set, other.key.skips)
            if row in SOFT_THEN_HARD and stages == ("hard", "decoder-only") and alike:
                found = contrast(cell, other)
                if found:
                    yield found


def contrast_rows(found: Sequence[Contrast]) -> pd.DataFrame:
    """A row for each contrast."""
    return pd.DataFrame([_contrast_row(one) for one in found])


def _contrast_row(one: Contrast) -> dict[str, Any]:
    low, high = one.over_images
    bd_low, bd_high = bd_over_images(one)
    return {
        "image_set": one.test.key.image_set,
        "network": one.test.about.network,
        "test": one.label,
        "control": _control_title(one),
        "skips": skips(one.test),
        "mode": one.bits,
        **spread("gain", one.gain),
        "images_low": low,
        "images_high": high,
        **spread("bd", one.bd),
        "bd_images_low": bd_low,
        "bd_images_high": bd_high,
        "seeds": len(one.seeds),
        "levels": len(one.levels),
        "images": len(one.images),
        "verdict": verdict(one.gain),
    }


def _control_title(one: Contrast) -> str:
    own, other = one.test.about, one.control.about
    said = short_stage(one.control) or one.control.title
    return f"{other.network} {said}" if own.network != other.network else said


def from_scratch_rows(study: Study, found: Sequence[Contrast]) -> pd.DataFrame:
    """Row C beside the same surrogate as a finishing one in row S, against the same control."""
    rows = []
    for one in found:
        about = one.test.about
        warm = [
            cell
            for cell in study.of("S", one.test.key.image_set, one.test.key.skips)
            if cell.about.network == about.network and cell.title == one.test.title
        ]
        control = control_of(warm[0], study.cells) if warm else None
        beside = contrast(warm[0], control) if control else None
        gain = beside.gain.mean if beside else math.nan
        agrees = "–" if math.isnan(gain) else "yes" if gain * one.gain.mean > 0 else "no"
        rows.append(_contrast_row(one) | {"warm": gain, "agrees": agrees})
    return pd.DataFrame(rows)


def answer_rows(answers: Sequence[Answer]) -> pd.DataFrame:
    """A row for each part of each answer."""
    rows = []
    for answer in answers:
        said = {
            "name": answer.name,
            "question": answer.question,
            "verdict": answer.verdict,
            "reason": answer.reason,
            "further": "yes" if answer.further_seeds else "no",
        }
        for part in answer.parts:
            interval = part.interval
            ends = {"seeds_low": interval.low, "seeds_high": interval.high}
            figures = {"mean": interval.mean, **ends, "seeds": interval.seeds, "p": answer.p}
            rows.append(said | {"part": part.label, "adjusted": answer.adjusted} | figures)
        if not answer.parts:
            names = ("mean", "seeds_low", "seeds_high", "p", "adjusted")
            rows.append(said | {"part": "nothing yet", "seeds": 0} | dict.fromkeys(names, math.nan))
    return pd.DataFrame(rows)


# Soft-then-hard.


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
                    "gap": _mean(cell.gap(level)),
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


def short_stage(cell: Cell) -> str:
    """Soft, or the letter of a stage after it."""
    return stage_title(cell.about).partition(":")[0]


def _with_rule(cell: Cell) -> str:
    return short_stage(cell) + (" without small elements" if cell.key.skips else "")


# All cells.


def gap_rows(study: Study) -> pd.DataFrame:
    """Rates in training, hard and coded, and the gap of J between training and hard, of every cell."""
    rows = []
    for cell in study.cells:
        if cell.key.skips:
            continue
        rates = {mode: _mean(cell.means(mode, "bpp")) for mode in (TRAINING, HARD, CODED)}
        rows.append(
            {
                "row": cell.key.row,
                "network": cell.about.network,
                "cell": cell.title,
                "image_set": cell.key.image_set,
                "training": rates[TRAINING],
                "hard": rates[HARD],
                "coded": rates[CODED],
                "over": _over(cell),
                **spread("centring", t_interval(list(cell.centring().values()))),
                **spread("gap", t_interval(list(cell.gap().values()))),
                "seeds": len(cell.seeds),
            }
        )
    return pd.DataFrame(rows)


def _mean(values: Mapping[int, float]) -> float:
    return sum(values.values()) / len(values) if values else math.nan


def _over(cell: Cell) -> float:
    """By how many per cent coded bytes exceed the bits that the networks state around the mean, on what was coded."""
    bits = [0.0, 0.0]
    for (mode, seed, level), coded in cell.blocks.items():
        stated = cell.block(CENTRED, seed, level)
        if mode == CODED and stated is not None and set(coded.images) <= set(stated.images):
            bits[0] += float(coded.figures["bits"].sum())
            bits[1] += float(stated.figure("bits", coded.images).sum())
    return 100 * (bits[0] / bits[1] - 1) if bits[1] else math.nan


def cost_rows(study: Study) -> pd.DataFrame:
    """Core-hours of training by row: a training of several levels counts once."""
    frame = pd.DataFrame([vars(row) for row in study.rows])
    trained = frame.drop_duplicates(["row", "cell", "seed", "stage"])
    rows = [_cost(str(name), part) for name, part in trained.groupby("row")]
    return pd.DataFrame([*rows, _cost("all", trained)])


def _cost(name: str, trained: pd.DataFrame) -> dict[str, Any]:
    hours = float(trained["seconds"].sum()) / 3600
    return {"row": name, "trainings": len(trained), "steps": int(trained["steps"].sum()), "hours": hours}


def rounded(frame: pd.DataFrame, digits: int = 9) -> pd.DataFrame:
    """Numbers to nine significant digits: the last ones differ between processors."""
    return frame.map(lambda value: significant(value, digits))


def significant(value: Any, digits: int = 9) -> Any:
    """A float to so many significant digits; anything else as it is."""
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return float(f"{value:.{digits}g}")
    return value
