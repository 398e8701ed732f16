"""Selections under more than a budget, each against the integer program that says the same."""

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from harness.errors import ClicError
from harness.scores.aggregate import set_score
from harness.scores.objectives import objective
from harness.selection import core, timed
from harness.selection.exact import Constraints, Selection, chosen_rows, select, select_sets, select_within
from harness.selection.table import read_table


def candidates(images: int, points: int, seed: int, codecs: tuple[str, ...] = ("one",)) -> pd.DataFrame:
    """Noisy rate-distortion curves of images of several sizes, with seconds to decode; points are named alike."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for image in range(images):
        width = int(random.integers(100, 400))
        for codec in codecs:
            for point in range(points):
                rate = random.uniform(0.05, 1)
                rows.append(
                    {
                        "image": f"image{image:04}",
                        "width": width,
                        "height": 200,
                        "codec": codec,
                        "point": f"q{point}",
                        "bytes": int(width * 25 * rate) + 1,
                        "msssim_competition": 1 - math.exp(-random.uniform(2, 7) * math.sqrt(rate)),
                        "ssimulacra2": random.uniform(20, 90),
                        "lpips": random.uniform(0, 0.5),
                        "decode_seconds": random.uniform(0.1, 1),
                    }
                )
    return pd.DataFrame(rows)


def budget_of(table: pd.DataFrame, part: float) -> int:
    """Between the bytes of all smallest and of all largest points."""
    sizes = table.groupby("image")["bytes"]
    low, high = int(sizes.min().sum()), int(sizes.max().sum())
    return low + int(part * (high - low))


def oracle(table: pd.DataFrame, gains: np.ndarray, limits: dict[str, float]) -> float:
    """The best sum of gains with one row per image and the sums of these columns limited, by branch and cut."""
    one_each = pd.get_dummies(table["image"]).to_numpy(float).T
    sums = [LinearConstraint(table[name].to_numpy(float)[None], -np.inf, limit) for name, limit in limits.items()]
    result = milp(
        -1e6 * gains,  # the solver stops at a gap of 1e-6, whatever the unit
        integrality=np.ones(len(gains)),
        bounds=Bounds(0, 1),
        options={"mip_rel_gap": 0},
        constraints=[LinearConstraint(one_each, 1, 1), *sums],
    )
    return math.fsum(gains[result.x > 0.5]) if result.x is not None else -math.inf


def competition_gains(table: pd.DataFrame) -> np.ndarray:
    """Pixel shares times scores."""
    pixels = table["width"] * table["height"]
    return (pixels / pixels.groupby(table["image"]).first().sum() * table["msssim_competition"]).to_numpy()


def check(table: pd.DataFrame, result: Selection, name: str = "competition") -> pd.DataFrame:
    """The rows of a selection: one per image, with its bytes and its score."""
    rows = chosen_rows(table, result)
    assert sorted(rows["image"]) == sorted(table["image"].unique())
    assert result.score == pytest.approx(set_score(rows, objective(name)), rel=1e-12, abs=1e-12)
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("name", "sign", "column"),
    [("ssimulacra2", 1, "ssimulacra2"), ("lpips", -1, "lpips"), ("0.5*ssimulacra2 + 30*lpips", None, "")],
)
def test_any_column_and_sums_of_columns(name: str, sign: int | None, column: str, seed: int) -> None:
    table = candidates(9, 5, seed)
    budget = budget_of(table, 0.3)
    result = select(table.drop(columns="msssim_competition"), budget, name)
    mixed = 0.5 * table["ssimulacra2"] - 30 * table["lpips"]
    gains = (mixed if sign is None else sign * table[column]).to_numpy() / 9
    assert result.score == result.bound
    assert (sign or 1) * result.score == pytest.approx(oracle(table, gains, {"bytes": budget}), rel=1e-9)
    check(table, result, name)


@pytest.mark.parametrize("seed", range(4))
def test_a_cap_and_a_worst_score_for_each_image(seed: int) -> None:
    table = candidates(9, 6, seed)
    least_cap = int(table.groupby("image")["bytes"].min().max())
    check(table, select_within(table, 10**7, "competition", Constraints(cap=least_cap)))
    cap = least_cap + 500
    result = select_within(table, 10**7, "competition", Constraints(cap=cap))
    assert check(table, result)["bytes"].max() <= cap
    kept = table[table["bytes"] <= cap]
    assert result.score == pytest.approx(oracle(kept, competition_gains(kept), {}), rel=1e-12)
    worst = float(table.groupby("image")["ssimulacra2"].max().min())
    budget = budget_of(table, 0.9)
    least = select_within(table, budget, "ssimulacra2", Constraints(worst=worst))
    assert check(table, least, "ssimulacra2")["ssimulacra2"].min() >= worst
    most = select_within(table, budget, "lpips", Constraints(worst=0.45))
    assert check(table, most, "lpips")["lpips"].max() <= 0.45
    with pytest.raises(ClicError, match=r"image image000\d has no candidate of at most 1 bytes \(9 such images\)"):
        select_within(table, budget, "competition", Constraints(cap=1))
    with pytest.raises(ClicError, match="no candidate that scores at most 0 "):
        select_within(table, budget, "lpips", Constraints(worst=0))


def test_a_missing_score_counts_against_a_worst_one_as_the_objective_says() -> None:
    table = candidates(6, 5, 0)
    first = table["image"] == "image0000"
    table["lpips"] = table["lpips"].where(~first, math.nan)
    budget = budget_of(table, 0.9)
    kept = select_within(table, budget, "lpips:missing=0.25", Constraints(worst=0.3))
    chosen = check(table, kept, "lpips:missing=0.25")
    assert chosen["lpips"].max() <= 0.3 and chosen["lpips"].isna().sum() == 1
    at_bound = select_within(table, budget, "lpips:missing=0.3", Constraints(worst=0.3))
    assert at_bound.points.keys() == kept.points.keys()
    told = r"image image0000 has no candidate that scores at most 0\.3 \(1 such images\); add candidates or ask"
    with pytest.raises(ClicError, match=told):
        select_within(table, budget, "lpips:missing=0.31", Constraints(worst=0.3))


def test_what_is_asked_of_each_image_holds_together() -> None:
    table = candidates(6, 8, 3)
    groups = table.groupby("image")
    cap, worst = int(groups["bytes"].median().max()), float(groups["msssim_competition"].median().min())
    seconds = float(groups["decode_seconds"].median().max())
    kept = table[
        (table["bytes"] <= cap) & (table["msssim_competition"] >= worst) & (table["decode_seconds"] <= seconds)
    ]
    assert kept["image"].nunique() == 6 and len(kept) < len(table)
    result = select_within(table, 10**7, "competition", Constraints(cap=cap, worst=worst, image_seconds=seconds))
    assert result.points == select(kept, 10**7).points
    for nothing in ({"cap": 1}, {"worst": 1.0}, {"image_seconds": 0.0}):
        limits = {"cap": cap, "worst": worst, "image_seconds": seconds} | nothing
        told = (
            f"has no candidate of at most {limits['cap']} bytes and that scores at least {limits['worst']:g} and that "
            rf"decodes within {limits['image_seconds']:g} s \(6 such images\)"
        )
        with pytest.raises(ClicError, match=told):
            select_within(table, 10**7, "competition", Constraints(**limits))


def test_margin_and_overhead_are_left_free() -> None:
    table = candidates(9, 5, 0)
    budget = budget_of(table, 0.4)
    margin = select_within(table, budget, "competition", Constraints(margin=300, overhead=40))
    plain = select(table, budget - 340)
    assert margin.points == plain.points
    assert margin.bytes == plain.bytes + 40 <= budget - 300


@pytest.mark.parametrize("limits", [Constraints(margin=-5000), Constraints(overhead=-1)])
def test_bytes_below_0_do_not_widen_the_budget(limits: Constraints) -> None:
    table = candidates(9, 5, 0)
    with pytest.raises(ClicError, match=r"below 0 would go beyond the budget; raise the budget instead"):
        select_within(table, budget_of(table, 0.4), "competition", limits)


@settings(deadline=None, max_examples=40)
@given(st.integers(2, 9), st.integers(2, 6), st.integers(0, 99), st.floats(0.05, 1), st.floats(0, 1.1))
def test_a_limit_of_seconds_is_kept_and_the_bound_holds(
    images: int, points: int, seed: int, part: float, time: float
) -> None:
    table = candidates(images, points, seed)
    budget = budget_of(table, part)
    seconds = table.groupby("image")["decode_seconds"]
    limit = float(seconds.min().sum() + time * (seconds.max().sum() - seconds.min().sum()))
    best = oracle(table, competition_gains(table), {"bytes": budget, "decode_seconds": limit})
    try:
        result = select_within(table, budget, "competition", Constraints(seconds=limit))
    except ClicError as error:
        assert "to decode" in str(error)
        assert best == -math.inf or time < 0.01
        return
    rows = check(table, result)
    assert rows["decode_seconds"].sum() <= limit * (1 + 1e-9)
    assert result.bytes <= budget
    assert result.score == pytest.approx(best, abs=1e-9)
    assert result.bound == pytest.approx(best, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_a_limit_of_seconds_is_as_good_as_trying_every_choice(seed: int) -> None:
    table = candidates(4, 5, seed)
    budget, gains = budget_of(table, 0.4), competition_gains(table)
    seconds = table.groupby("image")["decode_seconds"]
    limit = float((seconds.min().sum() + seconds.mean().sum()) / 2)
    choices = (list(rows) for rows in itertools.product(*table.groupby("image").indices.values()))
    fitting = (
        math.fsum(gains[rows])
        for rows in choices
        if table["bytes"].iloc[rows].sum() <= budget and table["decode_seconds"].iloc[rows].sum() <= limit
    )
    result = select_within(table, budget, "competition", Constraints(seconds=limit))
    assert result.score == pytest.approx(max(fitting), abs=1e-12)


def test_too_many_candidates_for_an_integer_program_keep_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    table = candidates(40, 12, 2)
    budget = budget_of(table, 0.3)
    used = chosen_rows(table, select(table, budget))["decode_seconds"].sum()
    limits = Constraints(seconds=0.8 * used)
    best = select_within(table, budget, "competition", limits)
    monkeypatch.setattr(timed, "MAX_PROGRAM", 0)
    near = select_within(table, budget, "competition", limits)
    check(table, near)
    assert best.score == best.bound
    assert near.score <= best.score <= near.bound
    assert near.bound - near.score < 2e-3


def test_a_limit_of_seconds_costs_little_on_a_set_of_photographs() -> None:
    table = candidates(60, 20, 1)
    budget = budget_of(table, 0.3)
    free = select(table, budget)
    used = chosen_rows(table, free)["decode_seconds"].sum()
    assert select_within(table, budget, "competition", Constraints(seconds=used + 1)).points == free.points
    limited = select_within(table, budget, "competition", Constraints(seconds=0.8 * used))
    assert limited.score < free.score
    assert limited.bound - limited.score < 2e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_union_of_codecs_is_never_worse_and_one_codec_is_the_better_of_both(seed: int) -> None:
    table = candidates(9, 4, seed, ("one", "two"))
    budget = max(budget_of(table[table["codec"] == codec], 0.3) for codec in ("one", "two"))
    union = select(table, budget)
    alone = [select(table[table["codec"] == codec], budget) for codec in ("one", "two")]
    assert union.score >= max(one.score for one in alone)
    assert union.score == union.bound
    assert union.score == pytest.approx(oracle(table, competition_gains(table), {"bytes": budget}), rel=1e-12)
    assert set(union.codecs) == set(union.points)
    rows = check(table, union)
    assert dict(zip(rows["image"], rows["codec"], strict=True)) == union.codecs
    best = select_within(table, budget, "competition", Constraints(one_codec=True))
    assert best.score == max(one.score for one in alone) == best.bound
    assert len(set(best.codecs.values())) == 1


@pytest.mark.parametrize("absent", ["image0000", "image0004"])  # the first, and the last
def test_one_of_three_codecs_is_that_which_has_all_images(absent: str) -> None:
    table = candidates(5, 4, 0, ("one", "two", "three"))
    lacking = table[(table["codec"] == "two") | (table["image"] != absent)]
    best = select_within(lacking, 10**6, "competition", Constraints(one_codec=True))
    assert best.points == select(table[table["codec"] == "two"], 10**6).points
    assert set(best.codecs.values()) == {"two"}


def test_one_codec_passes_over_those_that_lack_an_image_or_do_not_fit() -> None:
    table = candidates(5, 4, 0, ("one", "two"))
    lacking = table[(table["codec"] == "two") | (table["image"] != "image0003")]
    best = select_within(lacking, 10**6, "competition", Constraints(one_codec=True))
    assert set(best.codecs.values()) == {"two"}
    large = table.assign(bytes=table["bytes"].where(table["codec"] == "two", 10**6))
    fitting = select_within(large, 10**5, "competition", Constraints(one_codec=True))
    assert set(fitting.codecs.values()) == {"two"}
    neither = lacking[(lacking["codec"] == "one") | (lacking["image"] != "image0001")]
    with pytest.raises(ClicError, match="none of one, two has candidates of every image"):
        select_within(neither, 10**6, "competition", Constraints(one_codec=True))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 9), st.integers(1, 6), st.integers(0, 99), st.floats(0, 1), st.floats(0.1, 1))
def test_more_candidates_never_score_less(images: int, points: int, seed: int, part: float, kept: float) -> None:
    table = candidates(images, points, seed)
    smallest = table.loc[table.groupby("image")["bytes"].idxmin()]
    fewer = pd.concat([smallest, table.sample(frac=kept, random_state=seed)]).drop_duplicates()
    budget = budget_of(table, part)
    assert select(table, budget).score >= select(fewer, budget).score - 1e-14


def test_several_sets_have_budgets_and_scores_of_their_own() -> None:
    parts = {"test": candidates(5, 4, 0), "valid": candidates(7, 4, 1)}
    table = pd.concat([part.assign(image_set=name) for name, part in parts.items()], ignore_index=True)
    budgets = {name: budget_of(part, 0.3) for name, part in parts.items()}
    found = select_sets(table, budgets)
    assert found == {name: select(part, budgets[name]) for name, part in parts.items()}
    with pytest.raises(ClicError, match="set valid: no budget"):
        select_sets(table, {"test": 10**6})
    with pytest.raises(ClicError, match="set train: no candidates"):
        select_sets(table, {**budgets, "train": 10**6})
    with pytest.raises(ClicError, match="set test: the smallest choice takes"):
        select_sets(table, {**budgets, "test": 1})
    with pytest.raises(ClicError, match="no column image_set"):
        select_sets(parts["test"], budgets)


def test_arrays_and_files_give_what_a_table_gives(tmp_path: Path) -> None:
    table = candidates(9, 5, 0)
    budget = budget_of(table, 0.3)
    expected = select(table, budget)
    assert select({name: table[name].to_numpy() for name in table}, budget) == expected
    table.to_csv(tmp_path / "candidates.csv", index=False)
    assert select(read_table(tmp_path / "candidates.csv", objective("competition")), budget) == expected
    pytest.importorskip("pyarrow")
    table.to_parquet(tmp_path / "candidates.parquet")
    assert select(read_table(tmp_path / "candidates.parquet", objective("competition")), budget) == expected


def test_a_csv_needs_the_columns_of_its_objective_alone_and_keeps_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    path.write_text("image,width,height,point,bytes,lpips\n007,9,9,nan,5,0.1\nnan,9,9,1.50,5,0.2\n")
    assert select(read_table(path, objective("lpips")), 10, "lpips").points == {"007": "nan", "nan": "1.50"}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,9,9,1,5,nan", None),
        ("a,9,9,1,5", "row 1, column msssim_competition is ''"),
        ("a,9,9,1,5,n/a", "row 1, column msssim_competition is 'n/a'; a number is wanted"),
        ("a,9,9,1,5,0.5\na,9,9,2,many,0.5", "row 2, column bytes is 'many'"),
        (
            "a,9,9,1,99999999999999999999,0.5",
            r"row 1: image a \(9x9\), point 1: bytes must be a whole number from 0 on",
        ),
        ("a,9,9,1,5,inf", "row 1: image a .*: msssim_competition is no number from 0 to 1"),
        ("a,9,9,1,5,97.5", "msssim_competition is no number from 0 to 1"),
        (",9,9,1,5,0.5", "row 1: .* column image is empty"),
        ("a,9,9,,5,0.5", "row 1: .* column point is empty"),
        ("a,9,9,1,5,0.5\na,0,9,2,5,0.5", "row 2: image a .* width must be a whole number from 1 on"),
        ("a,9,9.5,1,5,0.5", r"row 1: image a \(9x9.5\).* height must be a whole number from 1 on"),
        ("a,9,nan,1,5,0.5", "row 1, column height is 'nan'; a number is wanted"),
        ("a,9,9,1,5,0.5\n\na,9,9,2,5,0.5,6,7", "row 2 has 8 cells and the header 6"),
        ("a,b,9,9,1,5,0.5", "row 1 has 7 cells and the header 6; .* a name with a comma in quotes"),
    ],
)
def test_a_faulty_csv_is_refused_in_one_line(rows: str, message: str | None, tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    path.write_text(f"image,width,height,point,bytes,msssim_competition\n{rows}\n")
    if message is None:
        assert select(read_table(path, objective("competition")), 10).score == 0
        return
    with pytest.raises(ClicError, match=message) as caught:
        select(read_table(path, objective("competition")), 10)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["nan", "NaN"])
def test_a_missing_score_is_not_what_is_said_to_be_at_fault(missing: str, tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    path.write_text(f"msssim_competition,image,width,height,point,bytes\n{missing},a,9,9,1,5\n0.5,a,9,9,2,many\n")
    with pytest.raises(ClicError, match="row 2, column bytes is 'many'; a number is wanted"):
        read_table(path, objective("competition"))


def test_a_mark_at_the_start_of_a_csv_is_no_part_of_its_header(tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    header = 'image,width,height,point,bytes,"msssim_competition"'
    path.write_text(f"{header}\na,9,9,1,5,0.5\n", encoding="utf-8-sig")
    assert select(read_table(path, objective("competition")), 10).score == 0.5
    path.write_text(f"{header}\né,9,9,1,5,0.5,6\n", encoding="utf-8-sig")
    with pytest.raises(ClicError, match="row 1 has 7 cells and the header 6"):
        read_table(path, objective("competition"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("image;width;height;point;bytes;msssim_competition", "its columns are separated by ';'; separate them by"),
        ("image,width,height,point,size,score", "no column bytes, msssim_competition; its columns are image, .* size"),
        ("", "no table of candidates"),
    ],
)
def test_a_file_without_the_columns_says_what_it_has(header: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "candidates.csv"
    path.write_text(f"{header}\n")
    with pytest.raises(ClicError, match=f"{path}: {message}") as caught:
        read_table(path, objective("competition"))
    assert "\n" not in str(caught.value)


def test_a_row_without_a_set_is_refused() -> None:
    table = candidates(4, 3, 0).assign(image_set="test")
    for nothing in ("", None):
        faulty = table.assign(image_set=table["image_set"].where(table.index != 4, nothing))
        with pytest.raises(ClicError, match=r"row 5: image image0001 .* column image_set is empty; name the image's"):
            select_sets(faulty, {"test": 10**6})


def test_many_images_stay_within_a_millionth_of_the_bound() -> None:
    images, points = 20_000, 32
    random = np.random.default_rng(0)
    rates = random.uniform(0.02, 0.8, (images, points))
    scores = 1 - np.exp(-random.uniform(5, 9, (images, 1)) * np.sqrt(rates))
    result = select(
        {
            "image": np.repeat(np.arange(images), points),
            "width": np.full(images * points, 1000),
            "height": np.full(images * points, 1000),
            "point": np.tile(np.arange(points), images),
            "bytes": (rates.ravel() * 125_000).astype(int),
            "msssim_competition": scores.ravel(),
        },
        images * 18_750,
    )
    assert result.bytes <= images * 18_750
    assert 0 <= result.bound - result.score <= 1e-6 * result.score


# What a search that is cut short claims to have proved: never more than is true.
SHORT = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHORT
@given(
    seed=st.integers(0, 10_000), images=st.integers(2, 9), part=st.floats(0.05, 0.95), at=st.sampled_from([0, 1, 3, 10])
)
@pytest.mark.parametrize("limit", ["MAX_STATES", "MAX_CORE"])
def test_a_search_that_is_cut_short_claims_no_more_than_its_bound(
    limit: str, seed: int, images: int, part: float, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = candidates(images, 6, seed)
    budget = budget_of(table, part)
    best = oracle(table, competition_gains(table), {"bytes": budget})
    with monkeypatch.context() as patched:
        patched.setattr(core, limit, max(at, limit == "MAX_STATES"))
        cut = select(table, budget)
    assert cut.bytes <= budget and cut.score <= best + 1e-12
    assert cut.bound >= best - 1e-9
    whole = select(table, budget)
    assert whole.score == pytest.approx(best, abs=1e-9) and whole.bound == whole.score


def test_searches_were_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The test above would be none if these limits were out of reach."""
    table = candidates(30, 9, 3)
    budget = budget_of(table, 0.5)
    for limit in ("MAX_STATES", "MAX_CORE"):
        with monkeypatch.context() as patched:
            patched.setattr(core, limit, 1)
            cut = select(table, budget)
        assert cut.bound > cut.score, limit


@SHORT
@given(
    seed=st.integers(0, 10_000),
    images=st.integers(2, 7),
    part=st.floats(0.3, 0.95),
    quick=st.floats(0.3, 0.9),
    at=st.sampled_from([0, 4, 5000]),
)
def test_a_limit_on_seconds_claims_no_more_than_its_bound(
    seed: int, images: int, part: float, quick: float, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = candidates(images, 5, seed)
    budget = budget_of(table, part)
    times = table.groupby("image")["decode_seconds"]
    seconds = times.min().sum() + quick * (times.max().sum() - times.min().sum())
    best = oracle(table, competition_gains(table), {"bytes": budget, "decode_seconds": seconds})
    with monkeypatch.context() as patched:
        patched.setattr(timed, "MAX_PROGRAM", at)
        try:
            found = select_within(table, budget, "competition", Constraints(seconds=seconds))
        except ClicError as error:
            assert best == -math.inf and "the fastest choice within the budget takes" in str(error)
            return
    assert found.bytes <= budget and found.score <= best + 1e-12
    assert found.bound >= best - 1e-9
    if at == 5000:
        assert found.score == pytest.approx(best, abs=1e-9)


def test_constraints_hold_in_every_set() -> None:
    one, two = candidates(5, 6, 1), candidates(4, 6, 2)
    two["image"] = "other " + two["image"]
    table = pd.concat([one.assign(image_set="one"), two.assign(image_set="two")])
    budgets = {"one": budget_of(one, 0.6), "two": budget_of(two, 0.6)}
    cap = int(max(table.groupby("image")["bytes"].min().max(), table["bytes"].quantile(0.5)))
    free, capped = (select_sets(table, budgets, "competition", Constraints(cap=at)) for at in (None, cap))
    assert set(capped) == {"one", "two"}
    for name, rows in table.groupby("image_set"):
        sizes = {(row.image, row.point): row.bytes for row in rows.itertuples()}
        assert max(sizes[each] for each in free[name].points.items()) > cap
        assert max(sizes[each] for each in capped[name].points.items()) <= cap


def test_a_csv_keeps_every_digit_and_the_kind_of_points(tmp_path: Path) -> None:
    table = candidates(3, 4, 5).assign(other="unused")
    table.loc[0, "msssim_competition"] = 0.1 + 0.2
    for points in (table["point"], pd.Series(np.arange(len(table)) % 4)):
        table.assign(point=points).to_csv(tmp_path / "table.csv", index=False)
        again = read_table(tmp_path / "table.csv", objective("competition"))
        assert "other" not in again and list(again["msssim_competition"]) == list(table["msssim_competition"])
        assert list(again["point"]) == list(points)
