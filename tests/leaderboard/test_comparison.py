"""Several codecs side by side: the rows of `comparison.json`, from tables alone."""

import json
import math
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import ClicError
from harness.files import as_json
from harness.scores.aggregate import psnr
from harness.selection.exact import select
from leaderboard.bdrate import bd_rate
from leaderboard.columns import BD_RATES, COMPARISON
from leaderboard.comparison import Reached, Unreached, compare
from leaderboard.curves import MEASURES, measured_curves
from leaderboard.tables import as_csv, markdown

MEASURED = Path(__file__).parents[3] / "shared" / "docs"


def candidates(codec: str, saving: float = 1.0, images: int = 3) -> pd.DataFrame:
    """Candidates whose scores depend on the point alone, with `saving` times the bytes of a codec without saving."""
    rows = []
    for image in range(images):
        for point in range(5):
            quality = 0.3 * 0.5**point
            rows.append(
                {
                    "image": f"{image:03d}",
                    "width": 100 + 100 * image,
                    "height": 100,
                    "codec": codec,
                    "point": f"{point}",
                    "bytes": saving * (1 + image) * 100 * 2**point,
                    "msssim_competition": 1 - quality,
                    "msssim_paper": 1 - quality,
                    "mse": 1000 * quality,
                    "encode_seconds": 0.1,
                }
            )
    return pd.DataFrame(rows)


TWO = pd.concat([candidates("plain"), candidates("better", 0.8)], ignore_index=True)


def test_rows_are_the_selections_scores_with_the_containers_bytes() -> None:
    points = {"000": 1, "001": "2", "002": "1"}
    made = compare("mine", TWO, [Reached("plain", "0.15", points, 1300), Unreached("better", "0.15", "too small")])
    (row,) = made["codecs"]
    assert (row["codec"], row["rate"], row["bytes"]) == ("plain", "0.15", 1300)
    assert row["bpp"] == 8 * 1300 / 60_000
    qualities = {"000": 0.15, "001": 0.075, "002": 0.15}
    weighted = (10_000 * 0.15 + 20_000 * 0.075 + 30_000 * 0.15) / 60_000
    assert row["msssim_competition"] == pytest.approx(1 - weighted)
    assert row["msssim_paper"] == pytest.approx(1 - sum(qualities.values()) / 3)
    assert row["psnr_competition"] == pytest.approx(psnr(1000 * weighted))
    assert row["psnr_paper"] == pytest.approx(sum(psnr(1000 * q) for q in qualities.values()) / 3)
    assert made["unreached"] == [{"codec": "better", "rate": "0.15", "reason": "too small"}]
    assert made["set"] == "mine" and made["images"] == 3
    assert made["measures"]["psnr_paper"] == {"metric": "psnr", "definition": "rgb", "averaging": "mean of dB"}


def test_bd_rates_of_all_codecs_against_each_other_in_all_scores() -> None:
    seen: list[tuple[int, int]] = []
    made = compare("mine", TWO, [], lambda done, of: seen.append((done, of)))
    assert seen == [(step, 5) for step in range(1, 6)]
    assert {(row["codec"], row["anchor"]) for row in made["bd_rate"]} == {("plain", "better"), ("better", "plain")}
    assert len(made["bd_rate"]) == 2 * len(MEASURES)
    for row in made["bd_rate"]:
        assert row["percent"] == pytest.approx(-20 if row["codec"] == "better" else 25)
        assert row["overlap"] == 1 and row["points"] == [5, 5] and row["method"] == "pchip" and row["reason"] == ""
    (paired,) = made["paired"]
    assert (paired["first"], paired["second"], paired["pairs"], paired["images"]) == ("plain", "better", 15, 3)
    assert paired["geometric_mean"] == pytest.approx(1.25) and paired["better"] == 0
    assert paired["quantiles"]["0.5"] == pytest.approx(1.25) and "0.1 dB" in paired["rule"]


def test_a_score_that_is_undefined_has_a_reason_and_leaves_the_others() -> None:
    table = TWO.copy()
    table.loc[(table["image"] == "000") & (table["codec"] == "better"), "msssim_paper"] = math.nan
    rows = compare("mine", table, [])["bd_rate"]
    without = [row for row in rows if row["percent"] is None]
    assert {row["metric"] for row in without} == {"msssim_paper"} and len(without) == 2
    assert without[0]["reason"] == "better has no operating point at which every image has this score"


def test_it_is_json_and_the_tables_show_it() -> None:
    outcomes = [Reached("better", "0.3", {"000": "1", "001": "1", "002": "1"}, 999)]
    made = compare("Kodak", TWO, outcomes)
    again = json.loads(as_json(made))
    assert again["codecs"][0]["bytes"] == 999 and again["bd_rate"][0]["points"] == [5, 5]
    assert "| better |" in markdown(COMPARISON, pd.DataFrame(again["codecs"]))
    assert as_csv(COMPARISON, pd.DataFrame(again["codecs"])).splitlines()[1].startswith("better,0.3,999,0.1332,0.85,")
    assert "-20.00 %" in markdown(BD_RATES, pd.DataFrame(again["bd_rate"]))


def test_rates_are_in_order_of_their_numbers_and_codecs_as_given() -> None:
    points = {"000": "1", "001": "1", "002": "1"}
    outcomes = [Reached(codec, rate, points, 1000) for rate in ("1", "0.15", "0.075") for codec in ("better", "plain")]
    rows = compare("mine", TWO, outcomes)["codecs"]
    assert [(row["rate"], row["codec"]) for row in rows] == [
        (rate, codec) for rate in ("0.075", "0.15", "1") for codec in ("plain", "better")
    ]


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ([Reached("other", "0.3", {}, 1)], "other at 0.3 bpp: no candidates of that codec; there are plain, better"),
        ([Reached("plain", "0.3", {"000": "1"}, 1)], "plain at 0.3 bpp: no candidate was selected for 001"),
        ([Reached("plain", "0.3", dict.fromkeys(("000", "001", "002"), "9"), 1)], "was selected for 000"),
        (
            [Reached("plain", "0.3", dict.fromkeys(("000", "001", "002", "x"), "1"), 1)],
            "a point for x, of which there are no candidates",
        ),
        ([Unreached("plain", "0.3", "a"), Unreached("plain", "0.30", "b")], "plain at 0.30 bpp: two outcomes"),
    ],
)
def test_outcomes_that_do_not_fit(outcomes: list[Reached | Unreached], said: str) -> None:
    with pytest.raises(ClicError, match=said):
        compare("mine", TWO, outcomes)


def test_candidates_that_do_not_do() -> None:
    with pytest.raises(ClicError, match="candidates without column mse"):
        compare("mine", TWO.drop(columns="mse"), [])
    with pytest.raises(ClicError, match="no candidates to compare"):
        compare("mine", TWO.head(0), [])


@pytest.mark.skipif(not MEASURED.is_dir(), reason="the measured points are not beside this checkout, in ../shared/docs")
def test_measured_codecs_on_kodak_are_those_of_the_record() -> None:
    """Selections from the recorded points score no less than recorded; AVIF saves much of WebP's rate."""
    points = pd.read_csv(MEASURED / "measured_points.csv").rename(columns={"setting": "point"})
    kodak = points[(points["set"] == "kodak") & points["codec"].isin(["avif", "webp", "jpeg2000"])]
    outcomes: list[Reached | Unreached] = []
    for codec, rows in kodak.groupby("codec"):
        chosen = select(rows.reset_index(drop=True), math.ceil(0.15 * 9_437_184 / 8))
        outcomes.append(Reached(str(codec), "0.15", chosen.points, chosen.bytes))
    made = compare("Kodak", kodak, outcomes)
    recorded = pd.read_csv(MEASURED / "measured.csv").query(
        "set == 'kodak' and rate == 0.15 and objective == 'competition'"
    )
    for row in made["codecs"]:
        expected = recorded.set_index("codec").loc[row["codec"]]
        # the record was made by a simpler selection than ours, which is proven to be the best
        assert 0 <= row["msssim_competition"] - expected["msssim_competition"] + 1e-6 < 5e-4
        assert 0.999 * expected["bpp"] <= row["bpp"] <= 0.15
    curves = {c.codec: c for c in measured_curves(kodak, "Kodak", MEASURES["msssim_paper"])}
    direct = bd_rate(curves["avif"], curves["webp"])
    (listed,) = (
        row
        for row in made["bd_rate"]
        if (row["codec"], row["anchor"], row["metric"]) == ("avif", "webp", "msssim_paper")
    )
    assert listed["percent"] == direct.percent is not None and -60 < direct.percent < -20
