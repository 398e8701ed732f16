"""The rows of the study's tables, from its contrasts and answers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from submission.study.bootstrap import bd_over_images
from submission.study.contrasts import Contrast, centred_contrast, contrast, control_of
from submission.study.measured import Cell, Study
from submission.study.names import stage_title
from submission.study.questions import Answer
from submission.study.runs import CENTRED, CODED, HARD, TRAINING
from submission.study.statistics import Interval, t_interval

COMPARED = ("T1", "T1m", "S", "S2", "C", "D", "X")
SOFT_THEN_HARD = ("T1", "T1m")


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


def short_stage(cell: Cell) -> str:
    """Soft, or the letter of a stage after it."""
    return stage_title(cell.about).partition(":")[0]


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
    rate, quality = one.moved
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
        "rate": rate,
        "quality": quality,
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


def gap_rows(study: Study) -> pd.DataFrame:
    """Rates in training, hard and coded, and the gap of J between training and hard, of every cell."""
    rows = []
    for cell in study.cells:
        if cell.key.skips:
            continue
        rates = {mode: mean_of_seeds(cell.means(mode, "bpp")) for mode in (TRAINING, HARD, CODED)}
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


def mean_of_seeds(values: Mapping[int, float]) -> float:
    """The mean of a figure by seed; NaN without any."""
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


def rounded(frame: pd.DataFrame, digits: int = 9) -> pd.DataFrame:
    """Numbers to nine significant digits: the last ones differ between processors."""
    return frame.map(lambda value: significant(value, digits))


def significant(value: Any, digits: int = 9) -> Any:
    """A float to so many significant digits; anything else as it is."""
    if isinstance(value, float | np.floating) and math.isfinite(value):
        return float(f"{value:.{digits}g}")
    return value
