"""Paired comparison: near pairs only, each encode once, and the same whichever codec comes first."""

import itertools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import ClicError
from leaderboard.pairs import Near, _assignment, pair_encodes

MEASURED = Path(__file__).parents[3] / "shared" / "docs" / "measured_points.csv"


def encodes(codec: str, rows: list[tuple[str, float, int]]) -> pd.DataFrame:
    """A codec's candidates from (image, MS-SSIM in dB, bytes)."""
    return pd.DataFrame(
        [
            {
                "image": image,
                "width": 100,
                "height": 100,
                "codec": codec,
                "point": f"{number}",
                "bytes": size,
                "msssim_competition": 1 - 10 ** (-score / 10),
                "msssim_paper": math.nan,
                "mse": 255**2 * 10 ** (-score / 10),
                "encode_seconds": 0.5 if codec == "a" else 1.0,
            }
            for number, (image, score, size) in enumerate(rows)
        ]
    )


def random_encodes(codec: str, seed: int, images: int = 3, points: int = 6) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    rows = []
    for image in range(images):
        sizes = np.sort(random.integers(100, 1000, points))
        rows += [(f"i{image}", 8 + 4 * math.log10(size) + random.normal(0, 0.2), int(size)) for size in sizes]
    return encodes(codec, rows)


def test_pairs_are_near_and_their_ratios_are_of_size() -> None:
    a = encodes("a", [("x", 12.00, 100), ("x", 14.00, 200), ("y", 12.0, 300), ("only here", 9, 9)])
    b = encodes("b", [("x", 12.05, 125), ("x", 14.30, 200), ("y", 12.0, 240), ("y", 12.01, 1)])
    found = pair_encodes(a, b)
    assert (found.first, found.second, found.images, found.images_in_both) == ("a", "b", 2, 2)
    assert found.pairs[["image", "first_bytes", "second_bytes"]].values.tolist() == [["x", 100, 125], ["y", 300, 240]]
    assert list(found.pairs["ratio"]) == [0.8, 1.25] and found.geometric_mean == pytest.approx(1)
    assert list(found.pairs["encode_ratio"]) == [0.5, 0.5] and found.better == 0.5
    assert found.quantiles()[0.0] == pytest.approx(0.8) and found.quantiles()[1.0] == pytest.approx(1.25)
    assert list(found.by_image()["image"]) == ["x", "y"]
    assert found.near.rule == "ms-ssim (competition) at most 0.1 dB apart; ratios of size"


def test_pairs_by_size_compare_distortion() -> None:
    a = encodes("a", [("x", 13.0, 100), ("x", 15.0, 200)])
    b = encodes("b", [("x", 10.0, 101), ("x", 15.0, 250)])
    found = pair_encodes(a, b, Near(by_size=True))
    assert len(found.pairs) == 1 and found.geometric_mean == pytest.approx(10**-0.3)
    assert "0.02 of the larger" in found.near.rule and "distortion" in found.near.rule
    assert len(pair_encodes(a, b, Near(by_size=True, within=0.2)).pairs) == 2


def test_no_pair_is_no_figure() -> None:
    found = pair_encodes(encodes("a", [("x", 10, 1)]), encodes("b", [("x", 11, 1)]))
    assert found.geometric_mean is None and found.better is None and found.quantiles() == {}
    assert found.images == 0 and found.images_in_both == 1 and found.by_image().empty
    undefined = pair_encodes(encodes("a", [("x", 10, 1)]), encodes("b", [("x", 10, 1)]), Near("psnr"))
    assert undefined.geometric_mean == 1


def test_copies_without_loss_are_pairs() -> None:
    found = pair_encodes(encodes("a", [("x", math.inf, 50)]), encodes("b", [("x", math.inf, 100), ("x", 30, 10)]))
    assert list(found.pairs["ratio"]) == [0.5] and list(found.pairs["apart"]) == [0]


@given(seed=st.integers(0, 10_000), by_size=st.booleans(), within=st.sampled_from([0.05, 0.2, 0.5]))
@settings(max_examples=60, deadline=None)
def test_symmetric_in_both_codecs(seed: int, by_size: bool, within: float) -> None:
    a, b = random_encodes("a", seed), random_encodes("b", seed + 1, points=5 + seed % 3)
    near = Near(by_size=by_size, within=within)
    there, back = pair_encodes(a, b, near), pair_encodes(b, a, near)
    names = ["image", "first_point", "second_point"]
    turned = back.pairs.rename(columns={"first_point": "second_point", "second_point": "first_point"})
    assert set(map(tuple, there.pairs[names].values)) == set(map(tuple, turned[names].values))
    if there.geometric_mean is None:
        assert back.geometric_mean is None
        return
    assert there.geometric_mean * back.geometric_mean == pytest.approx(1)
    for share, ratio in there.quantiles().items():
        assert ratio * back.quantiles([1 - share])[1 - share] == pytest.approx(1)
    assert there.better + back.better == pytest.approx(1)
    assert there.pairs["apart"].max() <= within
    for side in ("first_point", "second_point"):
        assert not there.pairs.duplicated(["image", side]).any()


@given(
    st.integers(1, 4).flatmap(
        lambda rows: st.lists(st.lists(st.floats(0, 2), min_size=4, max_size=4), min_size=rows, max_size=rows)
    )
)
@settings(max_examples=100, deadline=None)
def test_no_assignment_has_more_or_nearer_pairs(rows: list[list[float]]) -> None:
    apart, cutoff = np.array(rows), 1.0
    found = _assignment(apart, cutoff)
    best = (0, 0.0)
    for columns in itertools.permutations(range(4), len(rows)):
        allowed = [apart[pair] for pair in enumerate(columns) if apart[pair] <= cutoff]
        best = max(best, (len(allowed), -sum(value**2 for value in allowed)))
    assert len(found) == best[0]
    assert sum(apart[row, column] ** 2 for row, column in found) <= -best[1] + 1e-9


def test_what_cannot_be_paired() -> None:
    a, b = encodes("a", [("x", 10, 1)]), encodes("b", [("y", 10, 1)])
    with pytest.raises(ClicError, match="a and b have no image in common"):
        pair_encodes(a, b)
    with pytest.raises(ClicError, match="this one has a, b"):
        pair_encodes(pd.concat([a, b]), b)
    with pytest.raises(ClicError, match="no pairs by 'vmaf'; there are msssim_competition"):
        pair_encodes(a, a, Near("vmaf"))
    with pytest.raises(ClicError, match="a cut-off of -1 is none"):
        pair_encodes(a, a, Near(within=-1))


@pytest.mark.skipif(not MEASURED.exists(), reason="the measured points are not beside this checkout, in ../shared/docs")
def test_avif_against_jpeg_on_kodak() -> None:
    points = pd.read_csv(MEASURED).rename(columns={"setting": "point", "encode_s": "encode_seconds"})
    kodak = points[points["set"] == "kodak"]
    found = pair_encodes(kodak[kodak["codec"] == "avif"], kodak[kodak["codec"] == "jpeg"])
    assert 12 <= found.images <= found.images_in_both == 24
    assert found.geometric_mean is not None and 0.25 < found.geometric_mean < 0.5
    assert found.pairs["apart"].max() <= 0.1
