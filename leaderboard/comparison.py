"""Several codecs on one image set, side by side: what `comparison.json` holds, as a plain function over tables.

A codec's rows are what was selected for it at each rate. Its BD-rates are of another kind, as everywhere in the field:
of the curve of every image at the same operating point, so that they do not depend on any selection.
"""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations, permutations
from typing import Any, TypeVar

import pandas as pd

from harness.errors import ClicError
from harness.scores.aggregate import aggregate
from leaderboard.bdrate import bd_rate
from leaderboard.curves import MEASURES, Curve, measured_curves
from leaderboard.pairs import Near, pair_encodes

T = TypeVar("T")

NEEDED = (
    "image",
    "width",
    "height",
    "codec",
    "point",
    "bytes",
    "msssim_competition",
    "msssim_paper",
    "mse",
)


@dataclass(frozen=True)
class Reached:
    """What was selected for a codec at a rate: an operating point for each image, and the bytes of the whole set.

    `bytes` are those that the rate's budget was compared with, of the streams alone in `clic compare`.
    """

    codec: str
    rate: str
    points: Mapping[str, Any]
    bytes: int


@dataclass(frozen=True)
class Unreached:
    """A codec that has no row at a rate, and why."""

    codec: str
    rate: str
    reason: str


def compare(
    image_set: str,
    candidates: pd.DataFrame,
    outcomes: Sequence[Reached | Unreached],
    progress: Callable[[int, int], None] | None = None,
    unions: Collection[str] = (),
) -> dict[str, Any]:
    """All of `comparison.json`, as plain values.

    `set` names the images; `measures` says for each score its metric, definition and averaging; `codecs` has a row for
    each codec and rate that was reached (`bytes` of the set, `bpp` over all its pixels, the four scores); `unreached`
    the others with their reasons; `bd_rate` each codec against each other one in each score, per cent, negative where
    less is needed, or null and a reason; `paired` each two codecs' nearly equal encodes of single images. `unions`
    names the codecs that give each image by one of several: their encodes are those of others, and they have no
    operating point for all images, so they are in `codecs` alone.

    `candidates` has the columns of `candidates.csv`, of all codecs and the same images; `progress` is told how many
    steps are done, and of how many. A codec without a candidate may be among the `unreached`. Raises ClicError for a
    column that is missing, a selection of a codec, image or point without a candidate, and two outcomes of one codec
    and rate.
    """
    missing = [name for name in NEEDED if name not in candidates]
    if missing:
        raise ClicError(f"candidates without column {', '.join(missing)}; give those that `clic encode` writes")
    if candidates.empty:
        raise ClicError("no candidates to compare; code the images first")
    candidates = candidates.assign(point=candidates["point"].map(str), image=candidates["image"].map(str))
    codecs = list(candidates["codec"].unique())
    _check_outcomes(outcomes, codecs)
    named = dict.fromkeys([*codecs, *(outcome.codec for outcome in outcomes)])
    places = {codec: place for place, codec in enumerate(named)}
    codecs = [codec for codec in codecs if codec not in unions]
    pairs = _with_common_images(candidates, codecs)
    steps = _Steps(progress, len(MEASURES) + len(pairs))
    order = sorted(outcomes, key=lambda outcome: (float(outcome.rate), places[outcome.codec]))
    return {
        "set": image_set,
        "images": int(candidates["image"].nunique()),
        "measures": {name: asdict(measure) for name, measure in MEASURES.items()},
        "unions": sorted(unions),
        "codecs": [_row(candidates, outcome) for outcome in order if isinstance(outcome, Reached)],
        "unreached": [asdict(outcome) for outcome in order if isinstance(outcome, Unreached)],
        "bd_rate": [row for name in MEASURES for row in steps.done(_bd_rates(image_set, candidates, codecs, name))],
        "paired": [steps.done(_paired(candidates, *both)) for both in pairs],
    }


def _with_common_images(candidates: pd.DataFrame, codecs: Sequence[str]) -> list[tuple[str, str]]:
    """Each two codecs that coded some image both."""
    images = candidates.groupby("codec")["image"].agg(set)
    return [(first, second) for first, second in combinations(codecs, 2) if images[first] & images[second]]


class _Steps:
    """Counts what is done, and tells."""

    def __init__(self, progress: Callable[[int, int], None] | None, total: int) -> None:
        self.progress, self.total, self.count = progress, total, 0

    def done(self, result: T) -> T:
        self.count += 1
        if self.progress:
            self.progress(self.count, self.total)
        return result


def _check_outcomes(outcomes: Sequence[Reached | Unreached], codecs: Sequence[str]) -> None:
    seen = set()
    for outcome in outcomes:
        where = f"{outcome.codec} at {outcome.rate} bpp"
        if isinstance(outcome, Reached) and outcome.codec not in codecs:
            raise ClicError(f"{where}: no candidates of that codec; there are {', '.join(codecs)}")
        if (outcome.codec, float(outcome.rate)) in seen:
            raise ClicError(f"{where}: two outcomes; give one")
        seen.add((outcome.codec, float(outcome.rate)))


def _row(candidates: pd.DataFrame, reached: Reached) -> dict[str, Any]:
    rows = candidates[candidates["codec"] == reached.codec].drop_duplicates(["image", "point"])
    chosen = {str(image): str(point) for image, point in reached.points.items()}
    rows = rows[rows["image"].map(chosen) == rows["point"]]
    where = f"{reached.codec} at {reached.rate} bpp"
    lacking = sorted(set(candidates["image"]) - set(rows["image"]))
    unknown = sorted(set(chosen) - set(candidates["image"]))
    if lacking or unknown:
        raise ClicError(
            f"{where}: no candidate was selected for {lacking[0]}; select again"
            if lacking
            else f"{where}: a point for {unknown[0]}, of which there are no candidates; select again"
        )
    pixels = int((rows["width"] * rows["height"]).sum())
    return {
        "codec": reached.codec,
        "rate": reached.rate,
        "bytes": int(reached.bytes),
        "bpp": 8 * reached.bytes / pixels,
        **asdict(aggregate(rows)),
    }


def _bd_rates(image_set: str, candidates: pd.DataFrame, codecs: Sequence[str], metric: str) -> list[dict[str, Any]]:
    curves = {curve.codec: curve for curve in measured_curves(candidates, image_set, MEASURES[metric])}
    return [_bd_rate(metric, codec, anchor, curves) for anchor, codec in permutations(codecs, 2)]


def _bd_rate(metric: str, codec: str, anchor: str, curves: Mapping[str, Curve]) -> dict[str, Any]:
    row: dict[str, Any] = {"codec": codec, "anchor": anchor, "metric": metric}
    for name in (codec, anchor):
        if name not in curves:
            reason = f"{name} has no operating point at which every image has this score"
            nothing = {"percent": None, "overlap": 0.0, "points": [0, 0], "left_out": [0, 0]}
            return row | nothing | {"low": None, "high": None, "method": "pchip", "note": "", "reason": reason}
    found = bd_rate(curves[codec], curves[anchor])
    return row | {
        "percent": found.percent,
        "overlap": found.overlap,
        "points": list(found.points),
        "left_out": list(found.left_out),
        "low": None if math.isnan(found.low) else found.low,
        "high": None if math.isnan(found.high) else found.high,
        "method": found.method,
        "note": found.note,
        "reason": found.reason,
    }


def _paired(candidates: pd.DataFrame, first: str, second: str) -> dict[str, Any]:
    tables = [candidates[candidates["codec"] == codec] for codec in (first, second)]
    found = pair_encodes(tables[0], tables[1], Near())
    return {
        "first": first,
        "second": second,
        "rule": found.near.rule,
        "pairs": len(found.pairs),
        "images": found.images,
        "images_in_both": found.images_in_both,
        "geometric_mean": found.geometric_mean,
        "quantiles": {f"{share:g}": ratio for share, ratio in found.quantiles().items()},
        "better": found.better,
    }
