"""Paired comparison of two codecs, image by image: what an average over the set hides.

Encodes of one image by two codecs are paired where their scores (or sizes) are nearly equal; the ratios of the pairs'
sizes (or distortions) are what is looked at: their geometric mean and their distribution. The idea is that of
webmproject/codec-compare (src/matcher.ts). Here the pairing is an optimal assignment: as many pairs as the cut-off
allows, and among these the nearest, so that it is the same pairing whichever codec is named first.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment

from harness.errors import ClicError
from leaderboard.curves import DISTORTIONS, image_key

SCORES: Mapping[str, tuple[str, str]] = {
    "msssim_competition": ("ms-ssim", "competition"),
    "msssim_paper": ("ms-ssim", "paper"),
    "psnr": ("psnr", "rgb"),
}
"""Metric and definition of the scores that encodes can be paired by."""

NEAR_DB = 0.1
NEAR_BYTES = 0.02
QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


@dataclass(frozen=True)
class Near:
    """When two encodes of an image are a pair: by `score` in dB, or by size, no further apart than `within`.

    `within` is in dB, or for sizes the share by which the smaller may lie below the larger; None is 0.1 dB, or 2 %.
    """

    score: str = "msssim_competition"
    by_size: bool = False
    within: float | None = None

    @property
    def cutoff(self) -> float:
        """`within`, or what it is by default."""
        return self.within if self.within is not None else NEAR_BYTES if self.by_size else NEAR_DB

    @property
    def rule(self) -> str:
        """The cut-off in words."""
        metric, definition = SCORES[self.score]
        if self.by_size:
            return f"sizes at most {self.cutoff:.3g} of the larger apart; ratios of distortion, {metric} ({definition})"
        return f"{metric} ({definition}) at most {self.cutoff:.3g} dB apart; ratios of size"


@dataclass(frozen=True)
class Paired:
    """The pairs of two codecs' encodes.

    `pairs` has a row each: `image, first_point, second_point, apart, first_bytes, second_bytes, ratio`, and
    `encode_ratio` where both tables have `encode_seconds`. Ratios are the first codec's over the second's, of bytes or,
    for pairs by size, of distortion: below 1 the first is better. `images` of `images_in_both` have a pair.
    """

    first: str
    second: str
    near: Near
    pairs: pd.DataFrame
    images_in_both: int

    @property
    def images(self) -> int:
        """How many images have a pair at all."""
        return int(self.pairs["image"].nunique())

    @cached_property
    def _logs(self) -> np.ndarray:
        return np.log(self.pairs["ratio"].to_numpy(np.float64))

    @property
    def geometric_mean(self) -> float | None:
        """Of all ratios; None without a pair."""
        return float(np.exp(self._logs.mean())) if len(self._logs) else None

    def quantiles(self, shares: Sequence[float] = QUANTILES) -> dict[float, float]:
        """Quantiles of the ratios, between two of them on a logarithmic scale; empty without a pair."""
        if not len(self._logs):
            return {}
        return {share: float(np.exp(np.quantile(self._logs, share))) for share in shares}

    @property
    def better(self) -> float | None:
        """The share of pairs in which the first codec is better, equal ones by half; None without a pair."""
        if not len(self._logs):
            return None
        return float(np.mean(self._logs < 0) + np.mean(self._logs == 0) / 2)

    def by_image(self) -> pd.DataFrame:
        """A row `image, pairs, ratio` for each image: the number of its pairs, their geometric mean; worst last."""
        groups = self.pairs.assign(log=self._logs).groupby("image")["log"]
        table = pd.DataFrame({"pairs": groups.size(), "ratio": np.exp(groups.mean())}).reset_index()
        return table.sort_values(["ratio", "image"], ignore_index=True)


def pair_encodes(first: pd.DataFrame, second: pd.DataFrame, near: Near | None = None) -> Paired:
    """Pair the encodes of two codecs; each table is one codec's rows of `candidates.csv`.

    An encode is in one pair at most. Those without the score count as not there. Raises ClicError for an unknown score,
    a cut-off that is none, a table of several codecs, and two tables without a common image.
    """
    near = near or Near()
    if near.score not in SCORES:
        raise ClicError(f"no pairs by {near.score!r}; there are {', '.join(SCORES)}")
    if not 0 <= near.cutoff < math.inf:
        raise ClicError(f"a cut-off of {near.cutoff:g} is none; give 0 or more")
    names = [_codec(table) for table in (first, second)]
    key = image_key(first, second)
    tables = [_scored(table, near) for table in (first, second)]
    encodes = [table.groupby(key, sort=False).indices for table in tables]
    common = [image for image in encodes[0] if image in encodes[1]]
    if not common:
        raise ClicError(f"{names[0]} and {names[1]} have no image in common; code the same folder with both")
    places = [table["place"].to_numpy(np.float64) for table in tables]
    # Of equally good pairings one must be taken, and the same one whichever codec is named first.
    turned = (names[1], *places[1]) < (names[0], *places[0])
    chosen: list[tuple[int, int, float]] = []
    for image in common:
        ones, others = encodes[0][image], encodes[1][image]
        apart = _apart(places[0][ones], places[1][others], near)
        pairs = _assignment(apart.T, near.cutoff)[:, ::-1] if turned else _assignment(apart, near.cutoff)
        chosen += [(ones[row], others[column], apart[row, column]) for row, column in pairs]
    return Paired(names[0], names[1], near, _pairs(tables, chosen, near), len(common))


def _codec(table: pd.DataFrame) -> str:
    names = list(table["codec"].unique())
    if len(names) != 1:
        raise ClicError(f"pairs need one codec a table, and this one has {', '.join(names) or 'none'}; filter its rows")
    return str(names[0])


def _scored(table: pd.DataFrame, near: Near) -> pd.DataFrame:
    """The rows with a score, in a fixed order, with `distortion` and what they are compared in, `place`."""
    table = table[table["mse" if near.score == "psnr" else near.score].notna()]
    distortion = DISTORTIONS[SCORES[near.score]](table)
    with np.errstate(divide="ignore"):
        place = np.log(table["bytes"]) if near.by_size else -10 * np.log10(distortion)
    scored = table.assign(distortion=distortion, place=place)
    return scored.drop_duplicates(["image", "point"]).sort_values(["bytes", "point"], kind="stable")


def _apart(first: np.ndarray, second: np.ndarray, near: Near) -> np.ndarray:
    """How far every encode of one is from every encode of the other, (first, second): in dB, or as a share of sizes."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(first[:, None] - second[None, :])
    apart[first[:, None] == second[None, :]] = 0  # also where both are infinite: two copies without loss
    return 1 - np.exp(-apart) if near.by_size else apart


def _pairs(tables: Sequence[pd.DataFrame], chosen: Sequence[tuple[int, int, float]], near: Near) -> pd.DataFrame:
    first = tables[0].iloc[[one for one, _, _ in chosen]].reset_index(drop=True)
    second = tables[1].iloc[[other for _, other, _ in chosen]].reset_index(drop=True)
    compared = "distortion" if near.by_size else "bytes"
    pairs = pd.DataFrame(
        {
            "image": first["image"],
            "first_point": first["point"],
            "second_point": second["point"],
            "apart": [apart for _, _, apart in chosen],
            "first_bytes": first["bytes"],
            "second_bytes": second["bytes"],
            "ratio": _ratios(first[compared], second[compared]),
        }
    )
    if "encode_seconds" in first and "encode_seconds" in second:
        pairs["encode_ratio"] = _ratios(first["encode_seconds"], second["encode_seconds"])
    return pairs


def _ratios(first: pd.Series, second: pd.Series) -> pd.Series:
    """Element by element; 1 for equal ones, also for two zeros."""
    return (first / second).where(first != second, 1.0).astype(float)


def _assignment(apart: np.ndarray, cutoff: float) -> np.ndarray:
    """The pairs (row, column) within the cut-off, int (pairs, 2): as many as can be, and of these the nearest.

    Nearest by the sum of squares, which keeps pairs from crossing where plain sums would be equal.
    """
    allowed = apart <= cutoff
    square = np.where(allowed, apart, 0.0) ** 2
    beyond = 1 + square.max() * min(apart.shape)  # dearer than any number of pairs within the cut-off
    rows, columns = linear_sum_assignment(np.where(allowed, square, beyond))
    kept = allowed[rows, columns]
    return np.stack((rows[kept], columns[kept]), axis=1)
