"""The selection against exact solvers, and what must hold for any table and budget."""

import hashlib
import itertools
import json
import math
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from harness.errors import ClicError
from harness.scores.aggregate import aggregate
from harness.selection import core
from harness.selection.exact import OBJECTIVES, Selection, select

DOCS = Path(__file__).parents[3] / "shared" / "docs"
COLUMNS = ["image", "width", "height", "point", "bytes", "msssim_competition", "msssim_paper", "mse"]
FIELD = {"competition": "msssim_competition", "paper": "msssim_paper", "psnr": "psnr_competition"}


def table(points: list[list[tuple[int, float]]], sides: list[int] | None = None) -> pd.DataFrame:
    """Candidates from (bytes, score) lists of the images; every third competition score of 0 becomes NaN."""
    rows = []
    for image, (options, side) in enumerate(zip(points, sides or [10] * len(points), strict=True)):
        for point, (size, score) in enumerate(options):
            rows.append(
                (
                    f"image{image:03}",
                    side,
                    7,
                    f"q{point}",
                    size,
                    math.nan if score == 0 and point % 3 == 0 else score,
                    score**2,
                    5000 * (1 - score),
                )
            )
    return pd.DataFrame(rows, columns=COLUMNS)


def realistic(images: int, points: int, seed: int) -> pd.DataFrame:
    """Noisy rate-distortion curves of images of different size and difficulty."""
    random = np.random.default_rng(seed)
    rates = np.sort(random.uniform(0.02, 0.8, (images, points)))
    sides = random.integers(800, 2100, images)
    falls = random.uniform(5, 9, (images, 1)) * np.sqrt(rates) + random.normal(1, 0.01, rates.shape)
    sizes = (rates * sides[:, None] * 7 / 8 * 200).astype(int) + 1
    scores = 1 - np.exp(-falls)
    return table(
        [list(zip(size.tolist(), score.tolist(), strict=True)) for size, score in zip(sizes, scores, strict=True)],
        sides.tolist(),
    )


def limits(candidates: pd.DataFrame) -> tuple[int, int]:
    """The bytes of all smallest and of all largest points."""
    sizes = candidates.groupby("image")["bytes"]
    return int(sizes.min().sum()), int(sizes.max().sum())


def chosen(candidates: pd.DataFrame, points: dict[str, str | int | float]) -> pd.DataFrame:
    """The candidates' rows that a selection names."""
    return candidates[candidates["point"] == candidates["image"].map(points)]


def check(candidates: pd.DataFrame, result: Selection) -> None:
    """A selection is a choice of one point per image, within its budget, with the score that it says."""
    rows = chosen(candidates, result.points)
    assert sorted(rows["image"]) == sorted(candidates["image"].unique()) == sorted(result.points)
    assert result.bytes == rows["bytes"].sum() <= result.budget
    assert result.score == pytest.approx(getattr(aggregate(rows), FIELD[result.objective]), rel=1e-12)
    assert result.bound >= result.score


def brute_force(candidates: pd.DataFrame, budget: int, objective: str) -> float:
    """The best score of all choices within the budget."""
    best = -math.inf
    for rows in itertools.product(*candidates.groupby("image").indices.values()):
        subset = candidates.iloc[list(rows)]
        if subset["bytes"].sum() <= budget:
            best = max(best, getattr(aggregate(subset), FIELD[objective]))
    return best


def integer_program(candidates: pd.DataFrame, budget: int) -> float:
    """The best competition score, by branch and cut."""
    pixels = candidates["width"] * candidates["height"]
    share = (pixels / pixels.groupby(candidates["image"]).first().sum()).to_numpy()
    value = candidates["msssim_competition"].fillna(0).to_numpy() * share
    one_each = pd.get_dummies(candidates["image"]).to_numpy(float).T
    result = milp(
        -1e6 * value,  # the solver stops at a gap of 1e-6, whatever the unit
        integrality=np.ones(len(value)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0},
        constraints=[
            LinearConstraint(one_each, 1, 1),
            LinearConstraint(candidates["bytes"].to_numpy(float)[None], -np.inf, budget),
        ],
    )
    return math.fsum(value[result.x > 0.5])


# few distinct values make ties, equal points and dominated ones; many do not. No floats, because the mean
# squared error of an image is no closer to 0 than one step in one sample
SCORE = st.one_of(
    st.integers(0, 4).map(lambda score: score / 4), st.integers(0, 10**6).map(lambda score: score / 10**6)
)
SIZE = st.one_of(st.integers(1, 6), st.integers(1, 1000))
POINTS = st.lists(st.tuples(SIZE, SCORE), min_size=1, max_size=5)


@st.composite
def tables(draw: st.DrawFn, most_images: int) -> pd.DataFrame:
    points = draw(st.lists(POINTS, min_size=1, max_size=most_images))
    return table(points, draw(st.lists(st.integers(1, 50), min_size=len(points), max_size=len(points))))


@settings(deadline=None, max_examples=60)
@given(tables(3), st.floats(0, 1.1), st.sampled_from(OBJECTIVES))
def test_as_good_as_trying_every_choice(candidates: pd.DataFrame, part: float, objective: str) -> None:
    low, high = limits(candidates)
    budget = low + int(part * (high - low))
    result = select(candidates, budget, objective)
    check(candidates, result)
    assert result.score == pytest.approx(brute_force(candidates, budget, objective), rel=1e-12, abs=1e-12)
    assert result.bound == result.score


@pytest.mark.parametrize("seed", range(15))
def test_as_good_as_an_integer_program(seed: int) -> None:
    random = np.random.default_rng(seed)
    images, points = random.integers(4, 15), random.integers(2, 9)
    candidates = (
        realistic(images, points, seed)
        if seed % 2
        else table(
            [
                [(int(size), float(score)) for size, score in random.uniform((1, 0), (500, 1), (points, 2))]
                for _ in range(images)
            ],
            random.integers(1, 40, images).tolist(),
        )
    )
    low, high = limits(candidates)
    for part in (0.03, 0.2, 0.6):
        budget = low + int(part * (high - low))
        result = select(candidates, budget)
        assert result.score >= integer_program(candidates, budget) - 1e-12
        assert result.bound == result.score


@settings(deadline=None, max_examples=300)
@given(tables(8), st.floats(0, 1.1), st.sampled_from(OBJECTIVES))
def test_one_point_each_and_never_over_budget(candidates: pd.DataFrame, part: float, objective: str) -> None:
    low, high = limits(candidates)
    check(candidates, select(candidates, low + int(part * (high - low)), objective))


@pytest.mark.slow
@settings(deadline=None, max_examples=5000)
@given(tables(12), st.floats(0, 1.1), st.sampled_from(OBJECTIVES))
def test_never_over_budget_on_thousands(candidates: pd.DataFrame, part: float, objective: str) -> None:
    low, high = limits(candidates)
    check(candidates, select(candidates, low + int(part * (high - low)), objective))


@settings(deadline=None, max_examples=60)
@given(tables(8), st.lists(st.floats(0, 1.1), min_size=2, max_size=6), st.sampled_from(OBJECTIVES))
def test_a_larger_budget_scores_no_less(candidates: pd.DataFrame, parts: list[float], objective: str) -> None:
    low, high = limits(candidates)
    scores = [select(candidates, low + int(part * (high - low)), objective).score for part in sorted(parts)]
    assert all(more >= less - 1e-12 for less, more in itertools.pairwise(scores))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_larger_budget_scores_no_less_on_realistic_sets(objective: str) -> None:
    candidates = realistic(30, 16, seed=2)
    low, high = limits(candidates)
    budgets = range(low, high + 1000, (high - low) // 60)
    results = [select(candidates, budget, objective) for budget in budgets]
    assert all(result.bound == result.score for result in results)
    assert all(more.score >= less.score for less, more in itertools.pairwise(results))


@pytest.mark.parametrize("most_states", [1, 5, 20])
def test_a_search_cut_short_keeps_to_its_bound(most_states: int, monkeypatch: pytest.MonkeyPatch) -> None:
    candidates = realistic(30, 16, seed=3)
    low, high = limits(candidates)
    budgets = range(low, high, (high - low) // 25)
    best = [select(candidates, budget) for budget in budgets]
    monkeypatch.setattr(core, "MAX_STATES", most_states)
    cut = [select(candidates, budget) for budget in budgets]
    assert any(result.bound > result.score for result in cut)
    for exact, result in zip(best, cut, strict=True):
        check(candidates, result)
        assert result.score <= exact.score <= result.bound
        assert exact.score - result.score < 2e-4
    for less, more in itertools.combinations(cut, 2):
        assert more.score >= less.score - (more.bound - more.score)


@pytest.mark.parametrize(("images", "points"), [(26, 16), (41, 32), (60, 32)])
def test_realistic_sets_fill_their_budget_in_no_time(images: int, points: int) -> None:
    candidates = realistic(images, points, seed=images)
    low, high = limits(candidates)
    for part in (0.05, 0.2, 0.5, 0.9):
        budget = low + int(part * (high - low))
        begin = time.process_time()
        result = select(candidates, budget)
        assert time.process_time() - begin < 2
        check(candidates, result)
        assert result.bytes >= 0.999 * budget
        assert result.bound == result.score


def test_measured_codecs_score_no_less_than_before() -> None:
    if not (DOCS / "measured_points.csv").is_file():
        pytest.skip("the measured points are not beside this checkout, in ../shared/docs")
    measured = pd.read_csv(DOCS / "measured_points.csv").rename(columns={"setting": "point"})
    earlier = pd.read_csv(DOCS / "measured.csv", dtype={"rate": str})
    groups = dict(list(measured.groupby(["set", "codec"])))
    for row in earlier[earlier["budget_used"] <= 1].itertuples():
        candidates = groups[row.set, row.codec]
        first = candidates.drop_duplicates("image")
        budget = math.ceil(int((first["width"] * first["height"]).sum()) * Fraction(row.rate) / 8)
        result = select(candidates, budget, row.objective)
        assert result.bound == result.score >= getattr(row, FIELD[row.objective]) - 5e-7, row
        assert result.bytes <= budget


def test_the_same_choices_as_before_the_arrays() -> None:
    """Recorded with the search that walked over images one by one: not a byte and not a digit may differ."""
    recorded = pd.read_csv(Path(__file__).with_name("selection_recorded.csv"), float_precision="round_trip")
    for (images, points), rows in recorded.groupby(["images", "points"]):
        candidates = realistic(int(images), int(points), seed=int(images))
        for row in rows.itertuples():
            result = select(candidates, row.budget, row.objective)
            choice = hashlib.sha256(json.dumps(result.points).encode()).hexdigest()[:16]
            assert (result.bytes, result.score, choice) == (row.bytes, row.score, row.choice), row
            assert result.bound == result.score, row


def test_neither_the_order_of_the_rows_nor_chance_matters() -> None:
    candidates = realistic(26, 16, seed=0)
    results = [select(candidates.sample(frac=1, random_state=seed), 600_000) for seed in range(5)]
    assert all(result == results[0] for result in results)


def test_large_images_weigh_more_in_the_competition_only() -> None:
    points = [[(10, 0.5), (20, 0.6)], [(10, 0.5), (20, 0.7)]]
    candidates = table(points, sides=[50, 10])
    assert select(candidates, 30).points == {"image000": "q1", "image001": "q0"}
    assert select(candidates, 30, "paper").points == {"image000": "q0", "image001": "q1"}


def test_overhead_counts_towards_the_budget() -> None:
    candidates = table([[(10, 0.5), (20, 0.6)]])
    assert select(candidates, 25, overhead=5).bytes == 25
    assert select(candidates, 25, overhead=6).bytes == 16


def test_points_keep_their_type_and_no_error_is_infinite() -> None:
    candidates = table([[(10, 0.5), (20, 1)]]).assign(point=[4, 8])
    result = select(candidates, 20, "psnr")
    assert result.points == {"image000": 8}
    assert result.score == result.bound == math.inf


def test_the_smallest_reachable_size_is_named() -> None:
    candidates = table([[(10, 0.5), (20, 0.6)], [(30, 0.1)]], sides=[10, 6])
    assert select(candidates, 42, overhead=2).bytes == 42
    with pytest.raises(ClicError, match=r"42 bytes \(3\.0000 bits per pixel\), the budget is 41"):
        select(candidates, 41, overhead=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns=["mse", "bytes"]), "no column bytes "),
        (lambda table: table.iloc[:0], "no candidates"),
        (lambda table: pd.concat([table, table.iloc[1:2]]), r"image000 \(10x7\), point q1: .* twice"),
        (lambda table: table.assign(height=[7, 0, 7]), "point q1: height must be a whole number from 1 on"),
        (lambda table: table.assign(bytes=[10, -4, 30]), "point q1: bytes"),
        (lambda table: table.assign(bytes=[10, 1.5, 30]), "point q1: bytes"),
        (lambda table: table.assign(bytes=[10, math.nan, 30]), "point q1: bytes"),
        (lambda table: table.assign(bytes=["10", "many", "30"]), "point q1: bytes"),
        (lambda table: table.assign(width=[10, 11, 10]), "image000 .* differs"),
        (lambda table: table.assign(image=["a", None, "b"]), "empty"),
    ],
)
def test_a_faulty_table_is_refused(change: object, message: str) -> None:
    assert callable(change)
    with pytest.raises(ClicError, match=message):
        select(change(table([[(10, 0.5), (20, 0.6)], [(30, 0.1)]])), 1000)


def test_what_an_objective_needs_is_asked_for() -> None:
    candidates = table([[(10, 0.5)], [(20, 0.6)]])
    with pytest.raises(ClicError, match="no objective 'ssim'"):
        select(candidates, 100, "ssim")
    with pytest.raises(ClicError, match=r"image001 \(10x7\), point q0: too small for the paper's"):
        select(candidates.assign(msssim_paper=[0.5, math.nan]), 100, "paper")
    with pytest.raises(ClicError, match=r"image000 .*: mse is no number"):
        select(candidates.assign(mse=[math.nan, 5]), 100, "psnr")
    with pytest.raises(ClicError, match="1 images have no candidates, the first is missing"):
        select(candidates, 100, images=["image000", "image001", "missing"])


def test_an_empty_stream_is_as_good_as_any() -> None:
    candidates = table([[(0, 0.5), (20, 0.6)], [(0, 0.1)]])
    assert select(candidates, 0).points == {"image000": "q0", "image001": "q0"}
    assert select(candidates, 20).points == {"image000": "q1", "image001": "q0"}
