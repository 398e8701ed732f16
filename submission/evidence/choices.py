"""What each way of choosing points brings, of one and the same candidates: dB of a set within a rate's budget.

    python -m submission.evidence.choices DIR [--rates 0.15,0.3] [--objective paper]

DIR is a run of this codec. "One rate" gives each photograph the rate for itself, "one gain" all the same gain; both are
interpolated (PCHIP of dB over log bytes), as if there were any number of gains. The others are proven selections: among
the gains that all photographs have, among all gains, and among refined latents as well. A budget holds the streams
alone.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.interpolate import PchipInterpolator

from harness.errors import ClicError
from harness.progress import log
from harness.rates import Rate
from harness.scores.aggregate import decibels, set_score
from harness.scores.objectives import Objective, WeightedSum, objective
from harness.selection.exact import select
from harness.sweep.table import read_run
from submission.evidence.printed import figures, wide_console
from submission.refinement_plan import OperatingPoint

RATES = "0.075,0.15,0.3"
ONE_RATE = "one rate, interpolated"
ONE_GAIN = "one gain, interpolated"
SWEPT = "selected among common gains"
GAINS = "selected among all gains"
REFINED = "and among refined latents"


def between(sizes: Iterable[float], scores: Iterable[float], budget: float) -> float:
    """dB at `budget` bytes of a curve through points in any order; NaN outside of them."""
    ordered = np.array(sorted(zip(sizes, scores, strict=True)))
    curve = PchipInterpolator(np.log(ordered[:, 0]), ordered[:, 1], extrapolate=False)
    return float(curve(math.log(budget)))


def at_one_rate(common: pd.DataFrame, budget: int, goal: Objective | WeightedSum) -> float:
    """dB of the set where each image has its pixels' share of `budget`; NaN where one does not reach that."""
    each = common.drop_duplicates("image").set_index("image")[["width", "height"]]
    pixels = each["width"] * each["height"]
    (column,) = goal.columns
    for image, rows in common.groupby("image"):
        own = budget * pixels[image] / pixels.sum()
        each.loc[image, column] = 1 - 10 ** (-between(rows["bytes"], rows[column].map(decibels), own) / 10)
    return decibels(set_score(each, goal))


def at_one_gain(common: pd.DataFrame, budget: int, goal: Objective | WeightedSum) -> float:
    """dB of the set where all images have the same point, at `budget` bytes; NaN outside what there is."""
    points = [rows for _, rows in common.groupby("point")]
    sizes = [rows["bytes"].sum() for rows in points]
    return between(sizes, [decibels(set_score(rows, goal)) for rows in points], budget)


def choices(candidates: pd.DataFrame, budget: int, name: str) -> dict[str, float]:
    """dB of the set by each way of choosing; `name` is the objective, "competition" or "paper"."""
    points = candidates["point"].astype(str)
    plain = candidates[points.map(lambda point: OperatingPoint.parse(point).refined_at is None)]
    everywhere = plain.groupby("point")["image"].nunique() == candidates["image"].nunique()
    common = plain[plain["point"].map(everywhere)]
    goal = objective(name)
    found = {ONE_RATE: at_one_rate(common, budget, goal), ONE_GAIN: at_one_gain(common, budget, goal)}
    for way, offered in ((SWEPT, common), (GAINS, plain), (REFINED, candidates)):
        found[way] = decibels(select(offered, budget, name).score)
    return found


def budgets(candidates: pd.DataFrame, rates: Sequence[Rate]) -> list[int]:
    """Bytes of the whole set at each rate."""
    images = candidates.drop_duplicates("image")
    pixels = int((images["width"] * images["height"]).sum())
    return [rate.whole_bytes(pixels) for rate in rates]


def main() -> int:
    """Print a line for each way of choosing, with what it adds to the one above."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.choices", description=__doc__)
    parser.add_argument("run", type=Path, metavar="DIR", help="folder of a run with this codec")
    parser.add_argument("--rates", default=RATES, help=f"bits per pixel; default: {RATES}")
    parser.add_argument("--objective", default="competition", choices=("competition", "paper"))
    options = parser.parse_args()
    try:
        rates = [Rate.parse(rate) for rate in options.rates.split(",")]
        candidates = read_run(options.run)
        if candidates["codec_sha256"].nunique() != 1:
            raise ClicError(f"{options.run}: holds several codecs; give the run of one")
        columns = [choices(candidates, budget, options.objective) for budget in budgets(candidates, rates)]
    except ClicError as error:
        log(str(error))
        return 2
    table = figures(f"{candidates['image'].nunique()} photographs", *(f"{rate} bpp\ndB, added" for rate in rates))
    ways = list(columns[0])
    for before, way in zip([None, *ways], ways, strict=False):
        added = (f" ({column[way] - column[before]:+.3f})" if before else "" for column in columns)
        table.add_row(way, *(f"{column[way]:.3f}{more}" for column, more in zip(columns, added, strict=True)))
    wide_console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
