"""Objectives: what their names mean, and that a set's score is a mean that anybody can take by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from harness.errors import ClicError
from harness.scores.aggregate import aggregate, set_score
from harness.scores.objectives import OBJECTIVES, Shares, objective

IMAGES = pd.DataFrame(
    {
        "width": [30, 10],
        "height": [10, 10],
        "msssim_competition": [0.9, 0.5],
        "msssim_paper": [0.8, 0.6],
        "mse": [100.0, 20.0],
        "ssimulacra2": [70.0, 50.0],
        "lpips": [0.1, math.nan],
    }
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("competition", 0.8),
        ("paper", 0.7),
        ("psnr", 10 * math.log10(255**2 / 80)),
        ("mse", 80),
        ("ssimulacra2", 60),
        ("ssimulacra2:pixels", 65),
        ("ssimulacra2:lower:images", 60),
        ("lpips", math.nan),
        ("lpips:missing=1", 0.55),
        ("lpips:pixels:missing=0.5", 0.2),
        ("competition + 0.01*ssimulacra2", 0.8 + 0.6),
        ("2*mse + 3*ssimulacra2", -2 * 80 + 3 * 60),
        ("0.5*lpips:missing=1 + competition", 0.8 - 0.275),
    ],
)
def test_a_sets_score_by_hand(text: str, expected: float) -> None:
    assert set_score(IMAGES, objective(text)) == pytest.approx(expected, nan_ok=True)


def test_the_built_in_ones_are_those_of_the_scores_of_sets() -> None:
    scores = aggregate(IMAGES)
    for name, expected in zip(
        OBJECTIVES, (scores.msssim_competition, scores.msssim_paper, scores.psnr_competition), strict=True
    ):
        assert set_score(IMAGES, objective(name)) == expected


@pytest.mark.parametrize(
    ("text", "worse", "better"),
    [
        ("competition", 0.90, 0.91),
        ("psnr", 30.0, 31.0),  # of a column of which less is better
        ("mse", 20.0, 10.0),
        ("lpips", 0.2, 0.1),
        ("vmaf:lower", 2.0, 1.0),
        ("0.5*mse + competition", -3.0, -2.0),
    ],
)
def test_the_rank_of_a_better_score_is_larger(text: str, worse: float, better: float) -> None:
    aim = objective(text)
    assert aim.rank(better) > aim.rank(worse)
    assert {abs(aim.rank(better)), abs(aim.rank(worse))} == {abs(better), abs(worse)}


def test_direction_and_columns() -> None:
    assert objective("ssimulacra2").higher_is_better
    assert not objective("lpips").higher_is_better
    assert objective("sharpness:higher").columns == ("sharpness",)
    assert objective("mse + 2*lpips").columns == ("mse", "lpips")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ssim2", "no objective 'ssim2'; choose one of competition, paper, psnr, .* sharpness:higher"),
        ("", "no objective ''"),
        ("a b:higher", "no objective"),
        ("ssimulacra2:up", "no option 'up'; there are higher, lower, pixels, images and missing=NUMBER"),
        ("lpips:missing=nan", "no option 'missing=nan'"),
        ("2*psnr + mse", "psnr is no mean over images, .* take the column mse"),
        ("much*mse", "'much' is no factor above 0"),
        ("-1*mse + competition", "'-1' is no factor above 0"),
        ("0*mse", "'0' is no factor above 0"),
        ("inf*mse", "'inf' is no factor above 0"),
        ("competition +", r"no objective 'competition \+'"),
        ("competition + ssim2", r"no objective 'competition \+ ssim2'"),
    ],
)
def test_what_is_no_objective_is_said_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ClicError, match=message) as caught:
        objective(text)
    assert "\n" not in str(caught.value)


def test_gains_are_oriented_so_that_more_is_better() -> None:
    table = {"lpips": np.array([0.1, 0.2]), "vmaf": np.array([10.0, 20.0])}
    shares = Shares(np.array([5, 5]), 10, 2)
    assert np.diff(objective("lpips").gains(table, shares)) < 0
    assert np.diff(objective("vmaf").gains(table, shares)) > 0
