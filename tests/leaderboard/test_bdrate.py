"""BD-rate: equal to an independent implementation, and no figure where there can be none."""

import math
import warnings

import numpy as np
import pytest

from harness.errors import ClicError
from leaderboard.bdrate import bd_rate, frontier
from leaderboard.curves import MEASURED, MEASURES, Curve, Point
from leaderboard.published import published_curves


def curve(bpp: np.ndarray | list[float], score: np.ndarray | list[float], name: str = "codec") -> Curve:
    points = [Point(float(x), float(y)) for x, y in zip(bpp, score, strict=True)]
    return Curve(name, "Kodak", MEASURES["msssim_paper"], MEASURED, points)


def random_curve(random: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Strictly rising bits per pixel and scores in dB, as of a codec between 0.05 and 2 bpp."""
    bpp = 0.05 * np.exp(np.cumsum(random.uniform(0.1, 0.6, count)))
    return bpp, random.uniform(8, 11) + np.cumsum(random.uniform(0.3, 2.5, count))


@pytest.mark.parametrize("method", ["pchip", "akima", "cubic"])
def test_equals_the_package_bjontegaard_on_random_curves(method: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports matplotlib, and warns of small overlaps
        import bjontegaard

        random = np.random.default_rng(15)
        compared = 0
        while compared < 200:
            # a polynomial of third degree through fewer than four points is no one's
            counts = random.integers(4 if method == "cubic" else 3, 12, 2)
            (test_bpp, test_db), (anchor_bpp, anchor_db) = (random_curve(random, count) for count in counts)
            found = bd_rate(curve(test_bpp, test_db), curve(anchor_bpp, anchor_db), method, least_overlap=0)
            expected = bjontegaard.bd_rate(
                anchor_bpp, anchor_db, test_bpp, test_db, method, require_matching_points=False, min_overlap=0
            )
            if found.percent is None:
                assert math.isnan(expected)
                continue
            assert found.percent == pytest.approx(expected, abs=1e-9, rel=1e-9)
            assert found.points == tuple(counts) and found.left_out == (0, 0) and found.method == method
            compared += 1


def test_a_constant_saving_is_that_saving() -> None:
    bpp, score = random_curve(np.random.default_rng(1), 6)
    assert bd_rate(curve(0.8 * bpp, score), curve(bpp, score)).percent == pytest.approx(-20)
    both = bd_rate(curve(bpp, score), curve(bpp, score))
    assert both.percent == pytest.approx(0, abs=1e-9) and both.overlap == pytest.approx(1)
    assert (both.low, both.high) == (score[0], score[-1])


def test_exchanged_curves_give_the_reciprocal() -> None:
    random = np.random.default_rng(2)
    first, second = curve(*random_curve(random, 6), "first"), curve(*random_curve(random, 5), "second")
    there, back = bd_rate(first, second), bd_rate(second, first)
    assert there.percent is not None and back.percent is not None
    assert (1 + there.percent / 100) * (1 + back.percent / 100) == pytest.approx(1)
    assert (there.test, there.anchor) == ("first", "second")


def test_too_little_overlap_gives_the_reason_instead() -> None:
    low = curve([0.1, 0.2, 0.4, 0.8], [8, 10, 12, 14], "low")
    high = curve([0.1, 0.2, 0.4, 0.8], [13.2, 15, 17, 19], "high")
    none = bd_rate(low, high)
    assert none.percent is None and none.overlap == pytest.approx(0.8 / 5.8)
    assert none.reason == (
        "the curves share 14% of the shorter one's scores, and 50% is the least: "
        "low 8.00 to 14.00 dB and high 13.20 to 19.00 dB"
    )
    assert bd_rate(low, high, least_overlap=0.1).percent is not None
    apart = curve([0.1, 0.2, 0.4], [15, 16, 17])
    assert bd_rate(low, apart, least_overlap=0).percent is None and bd_rate(low, apart).overlap == 0


def test_a_short_curve_within_a_long_one_overlaps_whole() -> None:
    found = bd_rate(curve([0.1, 0.2, 0.4], [12, 14, 16]), curve([0.05, 0.2, 0.6, 2, 4], [6, 12, 18, 25, 29]))
    assert found.overlap == 1 and found.percent is not None


def test_points_that_others_beat_are_left_out_and_counted() -> None:
    better = curve([0.1, 0.2, 0.21, 0.4, 0.4, 0.8], [8, 10, 9.9, 12, 12.5, math.inf])
    kept = [Point(0.1, 8), Point(0.2, 10), Point(0.4, 12.5)]
    assert frontier(better.points) == kept
    found = bd_rate(better, curve([0.1, 0.2, 0.4], [8, 10, 12]))
    assert found.points == (3, 3) and found.left_out == (3, 0)


def test_too_few_points() -> None:
    found = bd_rate(curve([0.1, 0.2], [8, 10], "short"), curve([0.1, 0.2, 0.4], [8, 10, 12]))
    assert found.percent is None and found.reason == "short has 2 usable points, and 3 are the fewest"


def test_curves_that_may_not_be_mixed_have_no_bd_rate() -> None:
    known = {(c.codec, c.trained_for): c for c in published_curves("Kodak", "ms-ssim")}
    mixed = bd_rate(known["FTIC", "ms-ssim"], known["VTM", ""])
    assert mixed.percent is None and "mean of dB" in mixed.reason and "dB of the mean" in mixed.reason


def test_published_bd_rates_are_found_again() -> None:
    """The savings over VTM-9.1 that were computed independently from the same published points."""
    known = {
        (c.codec, c.trained_for): c for c in published_curves("Kodak", "ms-ssim") if c.measure.averaging == "mean of dB"
    }
    for codec, percent in {"HPCM-Large": -54.4, "HPCM-Base": -53.8, "FTIC": -51.6, "LALIC": -51.3}.items():
        found = bd_rate(known[codec, "ms-ssim"], known["VTM-9.1", ""])
        assert found.percent == pytest.approx(percent, abs=0.05)


def test_unknown_method() -> None:
    with pytest.raises(ClicError, match="no BD-rate by 'spline'; there are pchip, akima, cubic"):
        bd_rate(curve([1], [1]), curve([1], [1]), "spline")
