"""A bootstrap of BD-rates over images: the same rate as `leaderboard.bdrate`, of thousands of resamples at once."""

import math

import numpy as np

from leaderboard.bdrate import FEWEST_POINTS, LEAST_OVERLAP
from leaderboard.curves import Averaging
from submission.study.contrasts import Contrast
from submission.study.measured import Cell
from submission.study.statistics import percentiles, resampled


def bd_over_images(one: Contrast) -> tuple[float, float]:
    """The bootstrap's interval over images of the mean BD-rate over seeds, per cent.

    NaN where there is no BD-rate, of fewer than two images, and where curves of a resample have no rate to compare.
    """
    if not one.bd_by_seed or len(one.images) < 2:
        return math.nan, math.nan
    weights = resampled(len(one.images)) / len(one.images)
    (test_rate, test_score), (rate, score) = (_curves(one, cell, weights) for cell in (one.test, one.control))
    found = bd_rates(np.log(test_rate), test_score, np.log(rate), score)
    return percentiles(found.mean(axis=0)) if np.isfinite(found).all() else (math.nan, math.nan)


def _curves(one: Contrast, cell: Cell, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bits per pixel and scores in dB of either cell, (seeds, resamples, levels) each."""
    measure = cell.measure
    distortion = 1 - one.figure(cell, "msssim_paper") if measure.metric == "ms-ssim" else one.figure(cell, "mse")
    rate = np.einsum("sli,bi->sbl", one.figure(cell, "bpp"), weights)
    with np.errstate(divide="ignore"):
        if measure.averaging is Averaging.DECIBELS:
            return rate, np.einsum("sli,bi->sbl", -10 * np.log10(distortion), weights)
        return rate, -10 * np.log10(np.einsum("sli,bi->sbl", distortion, weights))


def bd_rates(test_log_rate: np.ndarray, test_score: np.ndarray, log_rate: np.ndarray, score: np.ndarray) -> np.ndarray:
    """BD-rates (PCHIP) in per cent, (...), of curves of three or more levels, (..., levels) each, by rising rate.

    NaN where rates or scores do not rise, and where curves share less than `leaderboard.bdrate` asks for.
    """
    assert score.shape[-1] >= FEWEST_POINTS
    low = np.maximum(test_score[..., 0], score[..., 0])
    high = np.minimum(test_score[..., -1], score[..., -1])
    ranges = [scores[..., -1] - scores[..., 0] for scores in (test_score, score)]
    rises = [(np.diff(part, axis=-1) > 0).all(axis=-1) for part in (test_log_rate, test_score, log_rate, score)]
    usable = np.logical_and.reduce(rises) & (high - low >= LEAST_OVERLAP * np.minimum(*ranges))
    with np.errstate(all="ignore"):
        areas = [pchip_area(*curve, low, high) for curve in ((test_score, test_log_rate), (score, log_rate))]
        return np.where(usable, 100 * np.expm1((areas[0] - areas[1]) / (high - low)), np.nan)


def pchip_area(x: np.ndarray, y: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Integrals from `low` to `high`, (...), of the monotone cubics through points (..., n), n at least 3.

    Slopes are those of Fritsch and Butland (1984) with the ends of Fritsch and Carlson (1980), as SciPy's.
    """
    width, rise = np.diff(x, axis=-1), np.diff(y, axis=-1) / np.diff(x, axis=-1)
    first, second = 2 * width[..., 1:] + width[..., :-1], width[..., 1:] + 2 * width[..., :-1]
    inner = (first + second) / (first / rise[..., :-1] + second / rise[..., 1:])
    inner = np.where(rise[..., :-1] * rise[..., 1:] > 0, inner, 0.0)
    ends = [_end_slope(*(part[..., place] for part in (width, rise) for place in pair)) for pair in ((0, 1), (-1, -2))]
    slope = np.concatenate([ends[0][..., None], inner, ends[1][..., None]], axis=-1)
    before, after = slope[..., :-1], slope[..., 1:]
    square, cube = (3 * rise - 2 * before - after) / width, (before + after - 2 * rise) / width**2

    def below(end: np.ndarray) -> np.ndarray:
        s = np.clip(end[..., None] - x[..., :-1], 0, width)
        return (s * (y[..., :-1] + s * (before / 2 + s * (square / 3 + s * cube / 4)))).sum(axis=-1)

    return below(high) - below(low)


def _end_slope(width: np.ndarray, next_width: np.ndarray, rise: np.ndarray, next_rise: np.ndarray) -> np.ndarray:
    slope = ((2 * width + next_width) * rise - width * next_rise) / (width + next_width)
    bounded = np.where((np.sign(rise) != np.sign(next_rise)) & (abs(slope) > 3 * abs(rise)), 3 * rise, slope)
    return np.where(np.sign(slope) == np.sign(rise), bounded, 0.0)
