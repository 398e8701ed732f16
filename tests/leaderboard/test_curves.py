"""Curves: what a point is, what is converted, and what is refused rather than mixed."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ClicError
from harness.scores.aggregate import aggregate
from leaderboard.curves import (
    MEASURED,
    MEASURES,
    NOT_STATED,
    Averaging,
    Curve,
    Measure,
    Point,
    Provenance,
    comparable,
    measured_curves,
    set_score,
)
from leaderboard.published import POINTS, published_curves, read_points
from leaderboard.units import decibels

PAPER_DB = Measure("ms-ssim", "paper", Averaging.DECIBELS)


def candidates(seed: int = 0, images: int = 5, codecs: tuple[str, ...] = ("ours",)) -> pd.DataFrame:
    """Random candidates of images of two sizes, better with each point."""
    random = np.random.default_rng(seed)
    rows = []
    for codec in codecs:
        for image in range(images):
            width = 100 * (1 + image % 2)
            quality = random.uniform(0.03, 0.3)
            for point in range(4):
                quality *= random.uniform(0.4, 0.8)
                rows.append(
                    {
                        "image": f"image {image}",
                        "width": width,
                        "height": 100,
                        "codec": codec,
                        "point": f"q{point}",
                        "bytes": int(random.integers(100, 200) * 2**point),
                        "msssim_competition": 1 - quality,
                        "msssim_paper": 1 - 1.1 * quality,
                        "mse": 1000 * quality,
                    }
                )
    return pd.DataFrame(rows)


def measured(name: str, table: pd.DataFrame | None = None, image_set: str = "Kodak") -> Curve:
    (curve,) = measured_curves(candidates() if table is None else table, image_set, MEASURES[name])
    return curve


def test_points_of_a_curve_weigh_by_pixels_and_skip_incomplete_points() -> None:
    table = pd.DataFrame(
        {
            "image": ["a", "b", "a", "b", "a"],
            "width": [10, 30, 10, 30, 10],
            "height": 10,
            "codec": "c",
            "point": ["2", "2", "1", "1", "3"],
            "bytes": [20, 40, 10, 20, 90],
            "msssim_competition": [0.9, 0.98, 0.8, 0.9, 0.99],
        }
    )
    (curve,) = measured_curves(table, "mine", MEASURES["msssim_competition"])
    assert [point.name for point in curve.points] == ["1", "2"]
    assert curve.bpp == pytest.approx([8 * 30 / 400, 8 * 60 / 400])
    assert curve.score == pytest.approx([decibels(0.875), decibels(0.96)])
    assert curve.at(math.sqrt(0.6 * 1.2)) == pytest.approx(sum(curve.score) / 2)
    assert curve.at(0.5) is None


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_set_scores_are_those_of_the_harness(seed: int) -> None:
    rows = candidates(seed).query("point == 'q2'")
    score = aggregate(rows)
    assert set_score(rows, MEASURES["msssim_competition"]) == pytest.approx(
        decibels(score.msssim_competition), abs=1e-9
    )
    assert set_score(rows, MEASURES["msssim_paper"]) == pytest.approx(decibels(score.msssim_paper), abs=1e-9)
    assert set_score(rows, MEASURES["psnr_competition"]) == pytest.approx(score.psnr_competition, abs=1e-9)
    assert set_score(rows, MEASURES["psnr_paper"]) == pytest.approx(score.psnr_paper, abs=1e-9)
    # Jensen: what the two averages of the papers may differ by has one sign
    assert set_score(rows, PAPER_DB) >= set_score(rows, MEASURES["msssim_paper"]) - 1e-12


def test_image_without_a_score() -> None:
    rows = candidates().query("point == 'q2'")
    rows.loc[rows.index[0], ["msssim_competition", "msssim_paper"]] = math.nan
    assert set_score(rows, MEASURES["msssim_competition"]) == pytest.approx(
        decibels(aggregate(rows).msssim_competition), abs=1e-9
    )
    assert math.isnan(set_score(rows, MEASURES["msssim_paper"]))
    table = candidates()
    table.loc[table["image"] == "image 0", "msssim_paper"] = math.nan
    assert measured_curves(table, "mine", MEASURES["msssim_paper"]) == []


def test_a_copy_without_loss_is_infinitely_good() -> None:
    table = candidates()
    table.loc[table["point"] == "q3", ["msssim_competition", "mse"]] = 1.0, 0.0
    assert measured("msssim_competition", table).score[-1] == math.inf
    assert measured("psnr_paper", table).score[-1] == math.inf


@pytest.mark.parametrize("point", [Point(0, 10), Point(math.nan, 10), Point(math.inf, 10), Point(0.1, math.nan)])
def test_what_is_no_point_is_refused(point: Point) -> None:
    with pytest.raises(ClicError, match=r"odd on Kodak: a point of .* is none; correct some/path"):
        Curve("odd", "Kodak", PAPER_DB, Provenance("somebody", "some/path"), [point])


def test_equal_measures_pass_as_they_are() -> None:
    test, anchor = measured("msssim_paper"), measured("msssim_paper", candidates(1))
    pair = comparable(test, anchor)
    assert pair.test is test and pair.anchor is anchor and pair.note == ""


def test_conversion_goes_to_the_anchors_measure() -> None:
    test = measured("msssim_competition")
    anchor = Curve("LALIC", "Kodak", PAPER_DB, Provenance("a paper"), [Point(0.1, 12.0), Point(0.2, 15.0)])
    for pair in (comparable(test, anchor), comparable(anchor, test)):
        converted = pair.test if pair.anchor is anchor else pair.anchor
        assert converted.measure == PAPER_DB and "converted to ms-ssim (paper, mean of dB)" in pair.note
        rows = candidates().query("point == 'q1'")
        assert converted.score[1] == pytest.approx(np.mean([decibels(m) for m in rows["msssim_paper"]]))
        assert converted.bpp[1] == pytest.approx((8 * rows["bytes"] / (rows["width"] * rows["height"])).mean())


def test_sets_that_overlap_are_compared_on_what_both_have() -> None:
    few = candidates().query("image != 'image 4'")
    pair = comparable(measured("psnr_paper", image_set="five"), measured("psnr_paper", few, "four"))
    assert pair.test == Curve("ours", "4 images of both five and four", pair.test.measure, MEASURED, pair.anchor.points)
    assert pair.note == "on 4 images of both five and four"


def test_images_are_told_apart_by_their_hashes() -> None:
    first, second = candidates(), candidates(1)
    first["image_sha256"] = first["image"]
    second["image_sha256"] = "another " + second["image"]
    with pytest.raises(ClicError, match="image set Kodak, and no images are known to be in both"):
        comparable(measured("psnr_paper", first), measured("psnr_paper", second))
    second["image_sha256"] = first["image_sha256"]
    second["image"] = "renamed " + second["image"]
    assert comparable(measured("psnr_paper", first), measured("psnr_paper", second)).note == ""


def test_one_set_under_two_names_is_one_set() -> None:
    measure = MEASURES["msssim_paper"]
    first = Curve("a", "CLIC 2025 test", measure, Provenance("x"), [Point(0.1, 12.0)])
    second = Curve("b", "CLIC 2027 validation", measure, Provenance("x"), [Point(0.1, 13.0)])
    assert comparable(first, second).note == ""


def published(codec: str, image_set: str, metric: str = "ms-ssim", trained_for: str = "ms-ssim") -> Curve:
    known = {(curve.codec, curve.trained_for): curve for curve in published_curves(image_set, metric)}
    return known[codec, trained_for]


@pytest.mark.parametrize(
    ("test", "anchor", "why"),
    [
        (
            lambda: published("HPCM-Base", "Kodak"),
            lambda: published("cheng2020-anchor", "Kodak"),
            r"HPCM-Base \(ms-ssim\) and cheng2020-anchor \(ms-ssim\) cannot be compared: "
            r"ms-ssim \(paper, mean of dB\) against ms-ssim \(paper, dB of the mean\)",
        ),
        (
            lambda: published("cheng2020-anchor", "Kodak"),
            lambda: published("cheng2020-anchor", "CLIC 2020 professional test"),
            "Kodak against CLIC 2020 professional test, and no images",
        ),
        (
            lambda: published("MLIC", "Kodak", "psnr", "mse"),
            lambda: published("CCA", "Kodak", "psnr", "mse"),
            r"psnr \(not stated, not stated\) against psnr \(not stated, not stated\)",
        ),
        (
            lambda: published("LALIC", "Kodak", "psnr"),
            lambda: published("LALIC", "Kodak"),
            "psnr against ms-ssim",
        ),
        (
            lambda: published("FTIC", NOT_STATED, "psnr", "mse"),
            lambda: published("FTIC", NOT_STATED, "psnr", "mse"),
            "image set not stated",
        ),
    ],
)
def test_shipped_anchors_are_not_mixed(test: Callable[[], Curve], anchor: Callable[[], Curve], why: str) -> None:
    with pytest.raises(ClicError, match=why) as refusal:
        comparable(test(), anchor())
    assert "\n" not in str(refusal.value)


def test_measured_curve_meets_either_kind_of_anchor() -> None:
    ours = measured("msssim_competition")
    for name in ("HPCM-Base", "cheng2020-anchor"):
        anchor = published(name, "Kodak")
        assert comparable(ours, anchor).test.measure == anchor.measure


def test_anchors_that_ship() -> None:
    table, curves = read_points(), published_curves()
    assert len(table) == 777 == sum(len(curve.points) for curve in curves)
    assert len(curves) == 105 and table["codec"].nunique() == 42
    for curve in curves:
        assert curve.score == sorted(set(curve.score)) and curve.provenance.source.count("/") == 1
        assert all(5 < score < 45 for score in curve.score)
    assert {curve.image_set for curve in published_curves("CLIC 2027 validation")} == {"CLIC 2025 test"}
    hpcm = published("HPCM-Base", "Kodak")
    assert hpcm.points[0] == Point(0.0974, 13.2883) and hpcm.provenance.commit.startswith("c271cfe")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.assign(averaging="mean"), "line 2: an averaging other than"),
        (lambda table: table.assign(bpp=table["bpp"].where(table.index != 3, 0)), "line 5: bits per pixel that are no"),
        (lambda table: table.assign(value=math.nan), "line 2: a score that is none"),
        (lambda table: table.assign(metric="vmaf"), "line 2: a metric other than ms-ssim, psnr"),
        (lambda table: table.assign(unit="1"), "line 2: MS-SSIM without dB above 1"),
        (lambda table: pd.concat([table, table.tail(1)]), "line 779: the same point twice"),
        (lambda table: table.assign(repository=""), "line 2: a codec, set, repository or path without a name"),
        (lambda table: table.drop(columns="set"), "missing column set"),
    ],
)
def test_damaged_anchors_are_refused(tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], said: str) -> None:
    change(pd.read_csv(POINTS, keep_default_na=False)).to_csv(tmp_path / "points.csv", index=False)
    with pytest.raises(ClicError, match=said):
        published_curves(path=tmp_path / "points.csv")
