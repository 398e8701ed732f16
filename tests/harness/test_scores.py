"""Scores of sets: the golden sets, and the two ways to take a mean."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import ClicError
from harness.images import load_rgb
from harness.scores.aggregate import aggregate, decibels, psnr, score_folders
from harness.scores.msssim import Reference

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"
SCORE = st.floats(0, 1)
IMAGE = st.tuples(st.integers(1, 3000), st.integers(1, 3000), SCORE, SCORE, st.floats(1e-3, 60000))


def table(*rows: tuple[float, ...]) -> pd.DataFrame:
    """Rows of width, height, the two MS-SSIM and the mean squared error."""
    return pd.DataFrame(rows, columns=["width", "height", "msssim_competition", "msssim_paper", "mse"])


def folders(root: Path, **sizes: tuple[int, int]) -> tuple[Path, Path]:
    """Originals and noisy decoded images of these names and sizes."""
    random = np.random.default_rng(0)
    for name, (width, height) in sizes.items():
        original = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for folder, image in (("originals", original), ("decoded", original ^ 1)):
            (root / folder).mkdir(exist_ok=True)
            Image.fromarray(image).save(root / folder / f"{name}.png")
    return root / "originals", root / "decoded"


def test_golden_sets() -> None:
    if not GOLDEN.is_dir():
        pytest.skip("the golden scores are not beside this checkout, in ../shared/golden")
    scores: dict[str, tuple[float, ...]] = {}
    for row in pd.read_csv(GOLDEN / "sets.csv").itertuples():
        pairs = row.pairs.split(";")
        for name in set(pairs) - set(scores):
            original, decoded = (load_rgb(GOLDEN / "images" / f"{name}_{which}.png") for which in "ab")
            score = Reference(original).score(decoded)
            scores[name] = (original.shape[1], original.shape[0], *vars(score).values())
        result = aggregate(table(*(scores[name] for name in pairs)))
        assert result.msssim_competition == pytest.approx(row.msssim_competition, abs=1e-11), row.set
        assert result.msssim_paper == pytest.approx(row.msssim_paper, abs=1e-11, nan_ok=True), row.set
        assert result.psnr_competition == pytest.approx(row.psnr_competition, abs=1e-5), row.set
        assert result.psnr_paper == pytest.approx(row.psnr_paper, abs=1e-9), row.set


def test_two_images_of_different_size() -> None:
    result = aggregate(table((30, 10, 0.9, 0.8, 255**2 / 10), (10, 10, 0.5, 0.6, 255**2 / 1000)))
    assert result.msssim_competition == pytest.approx(0.8)
    assert result.msssim_paper == pytest.approx(0.7)
    assert result.psnr_competition == pytest.approx(-10 * math.log10((3 / 10 + 1 / 1000) / 4))
    assert result.psnr_paper == pytest.approx(20)


def test_an_image_without_a_score_counts_as_nothing_in_one_and_undoes_the_other() -> None:
    result = aggregate(table((30, 10, math.nan, 0.8, 1), (10, 10, 0.5, math.nan, 1)))
    assert result.msssim_competition == pytest.approx(0.125)
    assert math.isnan(result.msssim_paper)


def test_an_image_without_error_is_infinite_in_the_papers_mean_only() -> None:
    result = aggregate(table((10, 10, 1, 1, 0), (10, 10, 1, 1, 2)))
    assert result.psnr_competition == pytest.approx(psnr(1))
    assert result.psnr_paper == math.inf
    assert aggregate(table((10, 10, 1, 1, 0))).psnr_competition == math.inf


@settings(deadline=None)
@given(st.lists(IMAGE, min_size=1, max_size=8))
def test_scores_lie_within_those_of_the_images(rows: list[tuple[float, ...]]) -> None:
    images = table(*rows)
    result = aggregate(images)
    for column in ("msssim_competition", "msssim_paper"):
        assert images[column].min() - 1e-12 <= getattr(result, column) <= images[column].max() + 1e-12
    for value in (result.psnr_competition, result.psnr_paper):
        assert psnr(images["mse"].max()) - 1e-9 <= value <= psnr(images["mse"].min()) + 1e-9
    # Jensen: with equal weights the mean of decibels is never below the decibels of the mean
    images["width"] = images["height"] = 1
    assert aggregate(images).psnr_paper >= aggregate(images).psnr_competition - 1e-9


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(ClicError, match="at least one image"):
        aggregate(table())


def test_decibels() -> None:
    assert decibels(0.99) == pytest.approx(20)
    assert decibels(1) == math.inf
    assert math.isnan(decibels(math.nan))
    assert psnr(255**2) == 0
    assert psnr(0) == math.inf


def test_folders(tmp_path: Path) -> None:
    originals, decoded = folders(tmp_path, b=(40, 30), a=(20, 50))
    Image.new("RGB", (9, 9)).save(decoded / "extra.png")
    steps: list[tuple[int, int]] = []
    scores = score_folders(originals, decoded, lambda *step: steps.append(step))
    assert ",".join(scores) == "image,width,height,msssim_competition,msssim_paper,mse,psnr"
    assert scores[["image", "width", "height"]].values.tolist() == [["a", 20, 50], ["b", 40, 30]]
    assert scores["mse"].tolist() == [1, 1]
    assert scores["psnr"].tolist() == [psnr(1)] * 2
    assert steps == [(1, 2), (2, 2)]
    assert aggregate(scores).psnr_competition == psnr(1)


def test_originals_of_other_formats_are_scored_by_name(tmp_path: Path) -> None:
    originals, decoded = folders(tmp_path, a=(40, 30))
    Image.open(originals / "a.png").save(originals / "a.bmp")
    (originals / "a.png").unlink()
    assert score_folders(originals, decoded)["mse"].tolist() == [1]


def test_a_missing_decoded_image_is_named_before_any_scoring(tmp_path: Path) -> None:
    originals, decoded = folders(tmp_path, a=(40, 30), b=(40, 30))
    (decoded / "sub").mkdir()
    (decoded / "b.png").rename(decoded / "sub" / "b.png")
    steps: list[tuple[int, int]] = []
    with pytest.raises(ClicError, match=r"1 of 2 .* b\.png"):
        score_folders(originals, decoded, lambda *step: steps.append(step))
    assert not steps


def test_a_decoded_image_of_another_size_is_named(tmp_path: Path) -> None:
    originals, decoded = folders(tmp_path, a=(40, 30))
    Image.new("RGB", (30, 40)).save(decoded / "a.png")
    with pytest.raises(ClicError, match=r"a\.png: 30x40, but a\.png is 40x30"):
        score_folders(originals, decoded)


def test_an_unreadable_decoded_image_is_named(tmp_path: Path) -> None:
    originals, decoded = folders(tmp_path, a=(40, 30))
    (decoded / "a.png").write_bytes((decoded / "a.png").read_bytes()[:200])
    with pytest.raises(ClicError, match=r"decoded/a\.png: not a readable image"):
        score_folders(originals, decoded)
