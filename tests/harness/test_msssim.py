"""MS-SSIM by both definitions: golden files, the papers' own code, and what holds for any pair of images."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_msssim import ms_ssim
from scipy.signal import fftconvolve

from harness.errors import ClicError
from harness.images import load_rgb
from harness.scores.msssim import Reference

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
WEIGHTS = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]


def pair(height: int, width: int, noise: float = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random original and a noisy copy."""
    random = np.random.default_rng(seed)
    original = np.cumsum(random.normal(0, 9, (height, width, 3)), axis=1) + random.uniform(0, 255, 3)
    decoded = original + random.normal(0, noise, original.shape)
    as_uint8 = [np.clip(image, 0, 255).astype(np.uint8) for image in (original, decoded)]
    return as_uint8[0], as_uint8[1]


def competition(original: np.ndarray, decoded: np.ndarray) -> float:
    """The competition's definition as it stands: a two-dimensional window, whole images, nothing shared."""
    x, y, product = original.astype(float), decoded.astype(float), 1.0
    for scale, weight in enumerate(WEIGHTS):
        size = min(11, *x.shape[:2])
        squares = (np.arange(size) - (size - 1) / 2) ** 2
        window = np.exp(-np.add.outer(squares, squares) / (2 * (1.5 * size / 11) ** 2))[:, :, None]
        window /= window.sum()
        maps = (x, y, x * x, y * y, x * y)
        mx, my, xx, yy, xy = (fftconvolve(m, window, "valid", axes=(0, 1)) for m in maps)
        term = (2 * (xy - mx * my) + 58.5225) / (xx - mx * mx + yy - my * my + 58.5225)
        if scale == 4:
            term = term * (2 * mx * my + 6.5025) / (mx * mx + my * my + 6.5025)
        product *= term.mean() ** weight if term.mean() >= 0 else math.nan
        x, y = (np.pad(m, [(0, m.shape[0] % 2), (0, m.shape[1] % 2), (0, 0)], mode="edge") for m in (x, y))
        x, y = ((m[0::2, 0::2] + m[1::2, 0::2] + m[0::2, 1::2] + m[1::2, 1::2]) / 4 for m in (x, y))
    return product


def paper(original: np.ndarray, decoded: np.ndarray) -> float:
    """pytorch-msssim in float64, with an exact window."""
    window = torch.exp(-((torch.arange(11, dtype=torch.float64) - 5) ** 2) / (2 * 1.5**2))
    window = (window / window.sum()).repeat(3, 1, 1, 1)
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in (original, decoded)]
    return float(ms_ssim(*tensors, data_range=255, win=window))


def test_golden_pairs() -> None:
    if not GOLDEN.is_dir():
        pytest.skip("the golden scores are not beside this checkout, in ../shared/golden")
    for row in pd.read_csv(GOLDEN / "msssim.csv").itertuples():
        original, decoded = (load_rgb(GOLDEN / "images" / f"{row.pair}_{which}.png") for which in "ab")
        score = Reference(original).score(decoded)
        for column in ("msssim_competition", "msssim_paper"):
            expected = pytest.approx(getattr(row, column), abs=1e-11, nan_ok=True)
            assert getattr(score, column) == expected, (row.pair, column)
        expected = 255**2 / 10 ** (row.psnr_competition / 10)
        assert score.mse == pytest.approx(expected, rel=1e-6), row.pair


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([2, 30, 200]), st.integers(0, 9))
def test_competition_as_written_down(height: int, width: int, noise: float, seed: int) -> None:
    original, decoded = pair(height, width, noise, seed)
    score = Reference(original).score(decoded)
    assert score.msssim_competition == pytest.approx(competition(original, decoded), abs=1e-9, nan_ok=True)
    assert math.isnan(score.msssim_paper)


@pytest.mark.parametrize("size", [(161, 161), (162, 200), (176, 324), (163, 181), (192, 177), (201, 176)])
def test_both_definitions_at_sizes_odd_at_any_scale(size: tuple[int, int]) -> None:
    original, decoded = pair(*size)
    score = Reference(original).score(decoded)
    assert score.msssim_competition == pytest.approx(competition(original, decoded), abs=1e-11)
    assert score.msssim_paper == pytest.approx(paper(original, decoded), abs=1e-11)


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 9))
def test_identical_images_score_exactly_one(height: int, width: int, seed: int) -> None:
    original = pair(height, width, seed=seed)[0]
    score = Reference(original).score(original.copy())
    assert (score.msssim_competition, score.mse) == (1, 0)
    assert score.msssim_paper == 1 if min(height, width) > 160 else math.isnan(score.msssim_paper)


def test_grey_images_of_even_sizes_score_alike_by_both() -> None:
    original, decoded = (np.repeat(image[:, :, :1], 3, axis=2) for image in pair(176, 256))
    score = Reference(original).score(decoded)
    assert score.msssim_competition == pytest.approx(score.msssim_paper, abs=1e-14)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 9))
def test_scores_do_not_depend_on_orientation_or_channel_order(height: int, width: int, seed: int) -> None:
    original, decoded = pair(height, width, seed=seed)
    score = Reference(original).score(decoded)
    for change in (lambda image: image.swapaxes(0, 1), lambda image: image[:, :, ::-1]):
        other = Reference(change(original)).score(change(decoded))
        assert other.msssim_competition == pytest.approx(score.msssim_competition, abs=1e-12, nan_ok=True)
        assert other.mse == score.mse


def test_squared_error_is_exact() -> None:
    original, decoded = pair(333, 517, noise=60)
    squares = (original.astype(int) - decoded.astype(int)) ** 2
    assert Reference(original).score(decoded).mse == squares.sum() / squares.size


def test_a_reference_scores_many_and_stays_as_it_was() -> None:
    original, decoded = pair(170, 181)
    reference = Reference(original)
    first = reference.score(decoded)
    assert reference.score(original).msssim_paper == 1
    assert reference.score(decoded) == first


@pytest.mark.parametrize(
    "decoded",
    [
        np.zeros((20, 31, 3), np.uint8),
        np.zeros((30, 20, 3), np.uint8),
        np.zeros((20, 30), np.uint8),
        np.zeros((20, 30, 4), np.uint8),
        np.zeros((20, 30, 3), np.float32),
        np.zeros((0, 30, 3), np.uint8),
    ],
)
def test_other_shapes_and_types_are_refused(decoded: np.ndarray) -> None:
    with pytest.raises(ClicError, match="decoded image is"):
        Reference(np.zeros((20, 30, 3), np.uint8)).score(decoded)


def test_an_original_that_is_no_image_is_refused() -> None:
    with pytest.raises(ClicError, match="the original is float64"):
        Reference(np.zeros((20, 30, 3)))
