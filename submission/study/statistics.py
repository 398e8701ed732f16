"""The study's statistics, fixed before its first run: t over seeds, bootstrap over images, Holm over the questions.

An interval over seeds says how far the same training would come out elsewhere with another seed; one over images, how
far the same networks would with other images. They are of different kinds and never mixed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t as student

CONFIDENCE = 0.95
RESAMPLES = 2000
BOOTSTRAP_SEED = 14


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its 95 % interval, and the two-sided p-value against 0.

    `low`, `high` and `p` are NaN where there are fewer than two seeds, `mean` too where there is none.
    """

    mean: float
    low: float
    high: float
    p: float
    seeds: int

    @property
    def known(self) -> bool:
        """Whether there is an interval."""
        return not math.isnan(self.low)

    @property
    def above(self) -> bool:
        """Whether all of it is above 0."""
        return self.low > 0

    @property
    def below(self) -> bool:
        """Whether all of it is below 0."""
        return self.high < 0

    @property
    def half_width(self) -> float:
        """From the mean to either end."""
        return (self.high - self.low) / 2


NOTHING = Interval(math.nan, math.nan, math.nan, math.nan, 0)


def t_interval(values: Sequence[float]) -> Interval:
    """Student's interval of the mean of values, one a seed: of three, 2.48 standard deviations on either side."""
    count = len(values)
    if count == 0:
        return NOTHING
    mean = float(np.mean(values))
    if count == 1:
        return Interval(mean, math.nan, math.nan, math.nan, 1)
    error = float(np.std(values, ddof=1)) / math.sqrt(count)
    half = float(student.ppf((1 + CONFIDENCE) / 2, count - 1)) * error
    if error == 0:
        return Interval(mean, mean, mean, 1.0 if mean == 0 else 0.0, count)
    p = float(2 * student.sf(abs(mean) / error, count - 1))
    return Interval(mean, mean - half, mean + half, p, count)


def resampled(images: int) -> np.ndarray:
    """How often each image is drawn in each resample of a bootstrap, (RESAMPLES, images); always the same draws."""
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    drawn = rng.integers(images, size=(RESAMPLES, images))
    flat = (drawn + images * np.arange(RESAMPLES)[:, None]).ravel()
    return np.bincount(flat, minlength=RESAMPLES * images).reshape(RESAMPLES, images).astype(np.float64)


def percentiles(values: np.ndarray) -> tuple[float, float]:
    """Both ends of the 95 % interval of resampled values (RESAMPLES,)."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """p-values adjusted for being several (Holm, 1979): each may be held against 0.05 alone.

    One that is NaN, since its question has no data yet, counts as 1, so that the others do not gain by its absence.
    """
    known = {name: 1.0 if math.isnan(p) else p for name, p in p_values.items()}
    adjusted, least = {}, 0.0
    for place, name in enumerate(sorted(known, key=lambda name: known[name])):
        least = max(least, min(1.0, (len(known) - place) * known[name]))
        adjusted[name] = least
    return {name: adjusted[name] for name in p_values}
