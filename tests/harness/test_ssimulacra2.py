"""SSIMULACRA2 against the scores of libjxl's own tool, version 0.11.2, recorded for images that numpy makes."""

import math
from pathlib import Path

import numpy as np
import pytest
from helpers import photograph
from PIL import Image
from skimage import data_dir

from harness.scores.ssimulacra2 import ssimulacra2

# The tool approximates cube roots, which shows where hardly anything else differs, and most in a grey photograph.
TOLERANCE = {"camera.png": 0.6}
RECORDED = [  # photograph, cut at (100, 50) to this size or whole, how it was damaged, the tool's score
    ("chelsea.png", None, "levels", 40.1931),
    ("chelsea.png", None, "noise", 65.8897),
    ("chelsea.png", None, "shift", 25.5364),
    ("chelsea.png", None, "faint", 89.9092),
    ("chelsea.png", None, "columns", 54.0106),
    ("coffee.png", None, "levels", 40.7434),
    ("coffee.png", None, "noise", 65.1140),
    ("coffee.png", None, "shift", -12.0252),
    ("coffee.png", None, "faint", 81.9861),
    ("coffee.png", None, "columns", 48.0774),
    ("motorcycle_left.png", None, "levels", 44.9430),
    ("motorcycle_left.png", None, "noise", 65.6364),
    ("motorcycle_left.png", None, "shift", 4.6326),
    ("motorcycle_left.png", None, "faint", 87.6709),
    ("motorcycle_left.png", None, "columns", 36.7845),
    ("camera.png", None, "levels", 8.5628),
    ("camera.png", None, "noise", 55.1983),
    ("camera.png", None, "shift", -16.0759),
    ("camera.png", None, "faint", 89.8075),
    ("camera.png", None, "columns", 28.0489),
    ("coffee.png", (200, 200), "levels", 47.4277),
    ("coffee.png", (200, 200), "noise", 66.7060),
    ("coffee.png", (200, 200), "shift", 30.2461),
    ("coffee.png", (200, 200), "faint", 89.7363),
    ("coffee.png", (200, 200), "columns", 57.4287),
    ("coffee.png", (101, 60), "levels", 63.2968),
    ("coffee.png", (101, 60), "noise", 58.5118),
    ("coffee.png", (101, 60), "shift", 57.1759),
    ("coffee.png", (101, 60), "faint", 93.0846),
    ("coffee.png", (101, 60), "columns", 71.9162),
    ("chelsea.png", (31, 17), "levels", 77.6042),
    ("chelsea.png", (31, 17), "noise", 78.9484),
    ("chelsea.png", (31, 17), "shift", 84.8601),
    ("chelsea.png", (31, 17), "faint", 95.9765),
    ("chelsea.png", (31, 17), "columns", 90.5056),
    ("chelsea.png", (12, 9), "levels", 92.8760),
    ("chelsea.png", (12, 9), "noise", 91.0680),
    ("chelsea.png", (12, 9), "shift", 84.2435),
    ("chelsea.png", (12, 9), "faint", 95.9923),
    ("chelsea.png", (12, 9), "columns", 90.6407),
]


def original(name: str, cut: tuple[int, int] | None) -> np.ndarray:
    with Image.open(Path(data_dir) / name) as image:
        pixels = np.asarray(image.convert("RGB"))
    return pixels if cut is None else pixels[50 : 50 + cut[1], 100 : 100 + cut[0]]


def damaged(pixels: np.ndarray, how: str) -> np.ndarray:
    """Coarse levels, noise, a shift by a pixel, a little of each pixel's neighbour, or every other column left out."""
    values = pixels.astype(int)
    match how:
        case "levels":
            return (values // 24 * 24 + 12).clip(0, 255).astype(np.uint8)
        case "noise":
            noise = np.random.default_rng(1).integers(-12, 13, values.shape)
            return (values + noise).clip(0, 255).astype(np.uint8)
        case "shift":
            return np.roll(pixels, 1, axis=1)
        case "faint":
            return ((7 * values + np.roll(values, 1, axis=0) + 4) // 8).astype(np.uint8)
    return np.repeat(pixels[:, ::2], 2, axis=1)[:, : pixels.shape[1]]


@pytest.mark.parametrize(("name", "cut", "how", "score"), RECORDED)
def test_the_scores_of_the_reference(name: str, cut: tuple[int, int] | None, how: str, score: float) -> None:
    pixels = original(name, cut)
    assert ssimulacra2(pixels, damaged(pixels, how)) == pytest.approx(score, abs=TOLERANCE.get(name, 0.2))


def test_the_same_pixels_and_too_few() -> None:
    pixels = np.asarray(photograph(1, 65, 48))
    assert ssimulacra2(pixels, pixels) == pytest.approx(100, abs=1e-5)
    assert math.isnan(ssimulacra2(pixels[:7], pixels[:7]))
    assert math.isfinite(ssimulacra2(pixels[:8, :8], 255 - pixels[:8, :8]))


def test_more_damage_scores_less() -> None:
    pixels = np.asarray(photograph(2, 200, 160)).astype(int)
    noise = np.random.default_rng(3).normal(size=pixels.shape)
    noisy = [(pixels + strength * noise).clip(0, 255).astype(np.uint8) for strength in (1, 4, 16)]
    scores = [ssimulacra2(pixels.astype(np.uint8), one) for one in noisy]
    assert 100 > scores[0] > scores[1] > scores[2]
