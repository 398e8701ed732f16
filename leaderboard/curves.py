"""Rate-distortion curves that cannot be mixed by mistake.

A curve says of itself which images it was measured on, by which metric and definition, how the set's figure was made
from its images', and where it is from. `comparable` is the gate that everything passes which sets two curves side by
side: it converts where per-image values allow that, and refuses otherwise.

Scores are in dB, -10 log10 of a distortion: 1 - MS-SSIM, or the squared error over 255 squared.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

import numpy as np
import pandas as pd

from harness.errors import ClicError
from harness.imagesets import canonical

NOT_STATED = "not stated"


class Averaging(StrEnum):
    """How a set's score, and its bits per pixel, are made from its images'."""

    PIXELS = "pixel-weighted"
    """dB of the mean weighted by pixels; all bits over all pixels. The challenge's server."""
    MEAN = "dB of the mean"
    """dB of the plain mean; plain mean of the images' bits per pixel. CompressAI."""
    DECIBELS = "mean of dB"
    """Plain mean of the images' dB, never below dB of the mean; plain mean of their bits per pixel."""
    UNKNOWN = NOT_STATED


@dataclass(frozen=True)
class Measure:
    """What a score is: the metric ("ms-ssim"), its definition ("competition", "paper", "luma") and its averaging."""

    metric: str
    definition: str
    averaging: Averaging

    def __str__(self) -> str:
        return f"{self.metric} ({self.definition}, {self.averaging})"

    @property
    def is_stated(self) -> bool:
        """Whether definition and averaging are both known."""
        return NOT_STATED not in (self.definition, self.averaging)


MEASURES: Mapping[str, Measure] = {
    "msssim_competition": Measure("ms-ssim", "competition", Averaging.PIXELS),
    "msssim_paper": Measure("ms-ssim", "paper", Averaging.MEAN),
    "psnr_competition": Measure("psnr", "rgb", Averaging.PIXELS),
    "psnr_paper": Measure("psnr", "rgb", Averaging.DECIBELS),
}
"""The measures of `leaderboard.csv`, by the name of their column."""

DISTORTIONS: Mapping[tuple[str, str], Callable[[pd.DataFrame], pd.Series]] = {
    # an image without a score counts as 0, as on the challenge's server
    ("ms-ssim", "competition"): lambda table: 1 - table["msssim_competition"].fillna(0),
    ("ms-ssim", "paper"): lambda table: 1 - table["msssim_paper"],
    ("psnr", "rgb"): lambda table: table["mse"] / 255**2,
}
"""An image's distortion by metric and definition, from the columns of `candidates.csv`; NaN where it is undefined."""


@dataclass(frozen=True)
class Provenance:
    """Where figures are from: a repository with path and commit, or this harness; `note` is what to know of them."""

    source: str
    path: str = ""
    commit: str = ""
    note: str = ""


MEASURED = Provenance("measured here", note="every image at the same operating point, bytes of the streams alone")


@dataclass(frozen=True)
class Point:
    """One point of a curve: bits per pixel, score in dB (infinite: without loss), and the operating point's name."""

    bpp: float
    score: float
    name: str = ""


@dataclass(frozen=True)
class Curve:
    """The points of one codec on one image set by one measure, by rising bits per pixel.

    `images`, where it is there, holds a row for each image and operating point of the curve, with the columns of
    `candidates.csv`: what a conversion needs. Raises ClicError for bits per pixel or scores that are none.
    """

    codec: str
    image_set: str
    measure: Measure
    provenance: Provenance
    points: Sequence[Point]
    trained_for: str = ""
    images: pd.DataFrame | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for point in self.points:
            if not (0 < point.bpp < math.inf) or math.isnan(point.score):
                raise ClicError(
                    f"{self.title} on {self.image_set}: a point of {point.bpp} bpp and {point.score} dB is none; "
                    f"correct {self.provenance.path or self.provenance.source}"
                )
        object.__setattr__(self, "points", tuple(sorted(self.points, key=lambda point: (point.bpp, point.score))))

    @property
    def title(self) -> str:
        """The codec, and what it was trained for where that is said."""
        return f"{self.codec} ({self.trained_for})" if self.trained_for else self.codec

    @property
    def bpp(self) -> list[float]:
        """Bits per pixel, rising."""
        return [point.bpp for point in self.points]

    @property
    def score(self) -> list[float]:
        """Scores in dB, by rising bits per pixel."""
        return [point.score for point in self.points]

    def at(self, bpp: float) -> float | None:
        """The score at `bpp`, straight between the points over log(bpp); None outside of them."""
        if not self.points or not self.bpp[0] <= bpp <= self.bpp[-1]:
            return None
        return float(np.interp(math.log(bpp), np.log(self.bpp), self.score))

    def converted(self, measure: Measure) -> "Curve":
        """The same points by another measure. Raises ClicError where per-image values of it are not there."""
        if self.measure == measure:
            return self
        if self.images is None or (measure.metric, measure.definition) not in DISTORTIONS:
            raise ClicError(f"{self.title}: no per-image values from which {measure} could be computed")
        return replace(self, measure=measure, points=_points(self.images, measure))


def set_score(table: pd.DataFrame, measure: Measure) -> float:
    """A set's score in dB from a row per image with `width,height` and the measure's columns; NaN where undefined."""
    distortion = DISTORTIONS[measure.metric, measure.definition](table).to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        if measure.averaging is Averaging.DECIBELS:
            return float(np.mean(-10 * np.log10(distortion)))
        pixels = table["width"].to_numpy(np.float64) * table["height"].to_numpy(np.float64)
        weights = pixels if measure.averaging is Averaging.PIXELS else None
        return float(-10 * np.log10(np.average(distortion, weights=weights)))


def set_bpp(table: pd.DataFrame, averaging: Averaging) -> float:
    """A set's bits per pixel from a row per image with `width,height,bytes`."""
    pixels = table["width"] * table["height"]
    if averaging is Averaging.PIXELS:
        return float(8 * table["bytes"].sum() / pixels.sum())
    return float((8 * table["bytes"] / pixels).mean())


def _points(table: pd.DataFrame, measure: Measure) -> list[Point]:
    points = [
        Point(set_bpp(rows, measure.averaging), set_score(rows, measure), str(name))
        for name, rows in table.groupby("point", sort=False)
    ]
    # A set of empty streams has no place on a curve's logarithmic axis.
    return [point for point in points if point.bpp > 0 and not math.isnan(point.score)]


def measured_curves(candidates: pd.DataFrame, image_set: str, measure: Measure) -> list[Curve]:
    """For each codec of `candidates` the set's score with every image at the same operating point.

    `candidates` has the columns of `candidates.csv`. Only points that every image of a codec has count, and only those
    where the measure is defined: the papers' MS-SSIM needs sides above 160 pixels.
    """
    curves = []
    for codec, rows in candidates.drop_duplicates(["codec", "point", "image"]).groupby("codec"):
        complete = rows.groupby("point")["image"].transform("size") == candidates["image"].nunique()
        rows = rows[complete]
        points = _points(rows, measure)
        if points:
            curves.append(Curve(str(codec), image_set, measure, MEASURED, points, images=rows))
    return curves


@dataclass(frozen=True)
class Pair:
    """Two curves on the same images by the same measure; `note` says what was converted, or is empty."""

    test: Curve
    anchor: Curve
    note: str


def comparable(test: Curve, anchor: Curve) -> Pair:
    """Both curves on the same images by the same measure, the anchor's where that can be had.

    Raises ClicError, which says why, where set, metric, definition or averaging differ or are not stated, and no
    per-image values are there to convert one of them.
    """
    if test.measure.metric != anchor.measure.metric:
        raise _refusal(test, anchor, f"{test.measure.metric} against {anchor.measure.metric}")
    test, anchor, images_note = _on_the_same_images(test, anchor)
    test, anchor, measure_note = _by_the_same_measure(test, anchor)
    return Pair(test, anchor, "; ".join(filter(None, (images_note, measure_note))))


def _refusal(test: Curve, anchor: Curve, why: str) -> ClicError:
    return ClicError(f"{test.title} and {anchor.title} cannot be compared: {why}")


def _on_the_same_images(test: Curve, anchor: Curve) -> tuple[Curve, Curve, str]:
    sets = canonical(test.image_set), canonical(anchor.image_set)
    if test.images is not None and anchor.images is not None:
        key = image_key(test.images, anchor.images)
        common = set(test.images[key]) & set(anchor.images[key])
        if common == set(test.images[key]) == set(anchor.images[key]):
            return test, anchor, ""
        if common:
            label = f"{len(common)} images of both {sets[0]} and {sets[1]}"
            return _restricted(test, key, common, label), _restricted(anchor, key, common, label), f"on {label}"
    elif NOT_STATED not in sets and sets[0] == sets[1]:
        return test, anchor, ""
    said = f"{sets[0]} against {sets[1]}" if sets[0] != sets[1] else f"image set {sets[0]}"
    raise _refusal(test, anchor, f"{said}, and no images are known to be in both")


def image_key(first: pd.DataFrame, second: pd.DataFrame) -> str:
    """The column that tells images of two tables apart: their hash where both have it, else their name."""
    return "image_sha256" if "image_sha256" in first and "image_sha256" in second else "image"


def _restricted(curve: Curve, key: str, common: set[str], label: str) -> Curve:
    assert curve.images is not None
    images = curve.images[curve.images[key].isin(common)]
    return replace(curve, image_set=label, images=images, points=_points(images, curve.measure))


def _by_the_same_measure(test: Curve, anchor: Curve) -> tuple[Curve, Curve, str]:
    if test.measure == anchor.measure and test.measure.is_stated:
        return test, anchor, ""
    for target, moved, stays in ((anchor, test, anchor), (test, anchor, test)):
        if target.measure.is_stated and moved.images is not None:
            try:
                converted = moved.converted(target.measure)
            except ClicError:
                continue
            note = f"{moved.title} converted to {target.measure} from its images' values"
            return (converted, stays, note) if moved is test else (stays, converted, note)
    raise _refusal(
        test,
        anchor,
        f"{test.measure} against {anchor.measure}, and no per-image values of either are there to convert it",
    )
