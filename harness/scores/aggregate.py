"""A set's scores from its images' scores, as the competition's server and as the papers compute them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from harness.images import list_images, load_rgb
from harness.scores.msssim import Reference
from harness.scores.objectives import COMPETITION, PAPER, PSNR, Objective, Shares, WeightedSum, psnr

PSNR_PAPER = Objective("psnr_paper", "psnr", "images", None)


@dataclass(frozen=True)
class SetScore:
    """MS-SSIM in 0..1 and PSNR in dB of a whole set, by both definitions; see aggregate."""

    msssim_competition: float
    msssim_paper: float
    psnr_competition: float
    psnr_paper: float


def decibels(msssim: float) -> float:
    """MS-SSIM in dB, -10 log10(1 - MS-SSIM): infinite for a perfect copy, NaN for NaN."""
    return math.inf if msssim >= 1 else -10 * math.log10(1 - msssim)


def aggregate(table: pd.DataFrame) -> SetScore:
    """The set's scores from a row per image with `width,height,msssim_competition,msssim_paper,mse`.

    Competition (tallamjr/clic, metrics/metrics.py): mean weighted by pixels, an image without a score (NaN)
    counting as 0 with its full weight, and the PSNR of the error pooled over all samples. Paper (CompressAI's
    eval_model): plain means over the images, of decibels for PSNR; NaN as soon as one image's MS-SSIM is
    undefined. Raises ClicError for an empty table.
    """
    if table.empty:
        raise ClicError("no scores to aggregate; give at least one image")
    decibels_of_images = table.assign(psnr=table["mse"].map(psnr))
    return SetScore(
        msssim_competition=set_score(table, COMPETITION),
        msssim_paper=set_score(table, PAPER),
        psnr_competition=set_score(table, PSNR),
        psnr_paper=set_score(decibels_of_images, PSNR_PAPER),
    )


def set_score(table: pd.DataFrame, objective: Objective | WeightedSum) -> float:
    """The set's score by one objective, as shown, from a row per image with `width,height` and its columns.

    NaN where an image has no score and the objective no substitute for it.
    """
    pixels = table["width"].to_numpy() * table["height"].to_numpy()
    shares = Shares(pixels, int(pixels.sum()), len(table))
    scores = {column: table[column].to_numpy(float) for column in objective.columns}
    gain = math.fsum(objective.gains(scores, shares))
    return math.nan if math.isnan(gain) else objective.score(gain)


def score_folders(originals: Path, decoded: Path, progress: Callable[[int, int], None] | None = None) -> pd.DataFrame:
    """Score NAME.png of `decoded` against NAME.* of `originals`, for every original.

    Gives a row per image, `image,width,height,msssim_competition,msssim_paper,mse,psnr`; other files of
    `decoded` are ignored, as on the server. `progress` is told how many images are done, and of how many.
    Raises ClicError that names the file which is missing (before any scoring), unreadable or of another size.
    """
    sources = list_images(originals)
    missing = [f"{source.name}.png" for source in sources if not (decoded / f"{source.name}.png").is_file()]
    if missing:
        raise ClicError(
            f"{decoded}: {len(missing)} of {len(sources)} decoded images missing, the first is "
            f"{missing[0]}; decode every original into this folder, as its name with .png"
        )
    rows = []
    for done, source in enumerate(sources, start=1):
        path = decoded / f"{source.name}.png"
        pixels = load_rgb(path)
        height, width = pixels.shape[:2]
        if (width, height) != (source.width, source.height):
            raise ClicError(
                f"{path}: {width}x{height}, but {source.path.name} is "
                f"{source.width}x{source.height}; decode to the original's size"
            )
        score = Reference(load_rgb(source.path)).score(pixels)
        rows.append({"image": source.name, "width": width, "height": height, **vars(score), "psnr": psnr(score.mse)})
        if progress:
            progress(done, len(sources))
    return pd.DataFrame(rows)
