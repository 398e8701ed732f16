"""What a set's score is: which column, averaged how, and what is shown of it.

An objective is written as a name ("competition"), as a column with its direction and average ("ssimulacra2",
"vmaf:higher:pixels", "lpips:lower:missing=1"), as the TOML file of a metric, or as a weighted sum ("0.9*competition +
0.1*ssimulacra2").
Selection, `aggregate` and the report take a set's score from here and from nowhere else.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.codecs.decoding import SECONDS
from harness.errors import ClicError

Columns = Mapping[str, np.ndarray]
Weight = Literal["pixels", "images"]
_WEIGHTS: Mapping[str, Weight] = {"pixels": "pixels", "images": "images"}


@dataclass(frozen=True)
class Shares:
    """The weights of rows in their set: pixels of each row's image, pixels of all images, number of images."""

    pixels: np.ndarray
    total_pixels: int
    images: int


def psnr(mse: float) -> float:
    """PSNR in dB of a mean squared error in 8-bit steps; infinite for 0."""
    return 10 * math.log10(255**2 / mse) if mse else math.inf


@dataclass(frozen=True)
class Objective:
    """A set's score as the mean of one column over its images, and what is shown of that mean.

    `weight` says whether an image counts by its pixels or as one. `missing` is what an image without a score (NaN)
    counts as; with None the set then has none. A column's values lie within `lowest` and `highest`; `needs` tells
    what an image without a score lacks. `metric` opens the metric that measures the column, if that is known (see
    metrics).
    """

    name: str
    column: str
    weight: Weight
    missing: float | None
    higher_is_better: bool = True
    shown: Callable[[float], float] = float
    lowest: float = -math.inf
    highest: float = math.inf
    needs: str = ""
    metric: str = ""

    @property
    def metrics(self) -> dict[str, str]:
        """What measures a column, by the column; those that the harness measures anyhow are left out."""
        return {self.column: self.metric} if self.metric else {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table must have, beside the sizes of the images."""
        return (self.column,)

    def gains(self, scores: Columns, shares: Shares) -> np.ndarray:
        """What each row adds to its set's mean, float64 (rows,), negative where less is better.

        The sum over a set's images is what selection maximises. NaN where a score is missing and has no substitute.
        """
        values = np.asarray(scores[self.column], np.float64)
        if self.missing is not None:
            values = np.where(np.isnan(values), self.missing, values)
        values = values if self.higher_is_better else -values
        return values / shares.images if self.weight == "images" else shares.pixels / shares.total_pixels * values

    def score(self, gain: float) -> float:
        """The set's score as shown, from the sum of its images' gains."""
        mean = gain if self.higher_is_better else -gain
        # a sum of shares may come out an ulp above the largest value
        return self.shown(min(max(mean, self.lowest), self.highest))

    def rank(self, score: float) -> float:
        """A number that is larger for a better score of a set, from the score as shown."""
        return score if (self.shown(1.0) > self.shown(0.0)) == self.higher_is_better else -score

    def faults(self, scores: Columns) -> dict[str, np.ndarray]:
        """What is wrong with which rows, as a sentence and a mask bool (rows,)."""
        values = np.asarray(scores[self.column], np.float64)
        missing = np.isnan(values)
        wrong = ~missing & ~((values >= self.lowest) & (values <= self.highest) & np.isfinite(values))
        limits = f" from {self.lowest:g} to {self.highest:g}" if math.isfinite(self.highest - self.lowest) else ""
        sentence = f"{self.column} is no number{limits}; measure it anew"
        if self.missing is not None:
            return {sentence: wrong}
        if self.needs:
            return {sentence: wrong, self.needs: missing}
        return {f"{sentence}, or say what a missing score counts as": wrong | missing}


@dataclass(frozen=True)
class WeightedSum:
    """A set's score as a sum of means, each with a factor; a mean of which less is better is subtracted."""

    name: str
    terms: tuple[tuple[float, Objective], ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that a table must have, beside the sizes of the images."""
        return tuple(dict.fromkeys(term.column for _, term in self.terms))

    @property
    def metrics(self) -> dict[str, str]:
        """What measures a column; see Objective.metrics."""
        return {column: metric for _, term in self.terms for column, metric in term.metrics.items()}

    @property
    def higher_is_better(self) -> bool:
        """Always, as what is better lower is subtracted."""
        return True

    def gains(self, scores: Columns, shares: Shares) -> np.ndarray:
        """What each row adds to its set's score, float64 (rows,); see Objective.gains."""
        return np.sum([factor * term.gains(scores, shares) for factor, term in self.terms], axis=0)

    def score(self, gain: float) -> float:
        """The set's score: the sum itself."""
        return float(gain)

    def rank(self, score: float) -> float:
        """The score itself: a sum is larger where it is better."""
        return score

    def faults(self, scores: Columns) -> dict[str, np.ndarray]:
        """What is wrong with which rows; see Objective.faults."""
        return {fault: rows for _, term in self.terms for fault, rows in term.faults(scores).items()}


_PAPER_NEEDS = (
    "too small for the paper's MS-SSIM, which needs both sides over 160; select by competition or psnr, or leave the "
    "image out"
)
COMPETITION = Objective("competition", "msssim_competition", "pixels", 0.0, lowest=0, highest=1)
PAPER = Objective("paper", "msssim_paper", "images", None, lowest=0, highest=1, needs=_PAPER_NEEDS)
PSNR = Objective("psnr", "mse", "pixels", None, False, psnr, 0, 255**2)
BUILT_IN = {built_in.name: built_in for built_in in (COMPETITION, PAPER, PSNR)}
OBJECTIVES = tuple(BUILT_IN)

# What is known of columns that the harness or its users add: nobody need spell their direction.
KNOWN = {
    known.column: known
    for known in (
        replace(COMPETITION, name="msssim_competition"),
        replace(PAPER, name="msssim_paper"),
        Objective("mse", "mse", "pixels", None, False, lowest=0, highest=255**2),
        Objective("ssimulacra2", "ssimulacra2", "images", None, highest=100, metric="ssimulacra2"),
        Objective("vmaf", "vmaf", "images", None),
        *(Objective(column, column, "images", None, False) for column in ("lpips", "dists", "butteraugli", "pieapp")),
        Objective(SECONDS, SECONDS, "images", None, False, lowest=0, metric=SECONDS),
    )
}


def objective(text: str) -> Objective | WeightedSum:
    """The objective that `text` names, see the module. Raises ClicError, in one line, for one that there is not."""
    terms = [term.strip() for term in text.split("+")]
    if len(terms) == 1 and "*" not in text:
        return _term(text.strip(), text)
    return WeightedSum(text, tuple(_weighted(term, text) for term in terms))


def _weighted(term: str, text: str) -> tuple[float, Objective]:
    factor, star, rest = term.rpartition("*")
    found = _term(rest.strip(), text)
    if found.shown is not float:
        raise ClicError(
            f"objective {text!r}: {found.name} is no mean over images, so it cannot be added to others; "
            f"take the column {found.column}"
        )
    try:
        number = float(factor) if star else 1.0
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise ClicError(f"objective {text!r}: {factor.strip()!r} is no factor above 0; write 0.5*COLUMN + 2*COLUMN")
    return number, found


def _term(term: str, text: str) -> Objective:
    """One column with its options."""
    column, *options = term.split(":")
    if column.endswith(".toml"):
        from harness.scores.metrics import open_metric  # which is made of objectives

        found: Objective | None = replace(open_metric(column).objective, name=text)
    else:
        found = BUILT_IN.get(column) or KNOWN.get(column)
    directions = [option for option in options if option in ("higher", "lower")]
    if found is None and not (re.fullmatch(r"\w+", column) and directions):
        raise ClicError(
            f"no objective {text!r}; choose one of {', '.join((*BUILT_IN, *sorted(set(KNOWN) - set(BUILT_IN))))}, "
            "a column with its direction, such as sharpness:higher, or a metric's .toml file"
        )
    found = found or Objective(column, column, "images", None)
    for option in options:
        name, _, number = option.partition("=")
        if option in ("higher", "lower"):
            found = replace(found, higher_is_better=option == "higher")
        elif option in _WEIGHTS:
            found = replace(found, weight=_WEIGHTS[option])
        elif name == "missing" and re.fullmatch(r"[-+]?\d+(\.\d*)?(e[-+]?\d+)?", number):
            found = replace(found, missing=float(number))
        else:
            raise ClicError(
                f"objective {text!r}: no option {option!r}; there are higher, lower, pixels, images and missing=NUMBER"
            )
    return replace(found, name=text) if options else found
