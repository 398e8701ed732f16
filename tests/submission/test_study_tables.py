"""Tables of the study: a planted effect is found, nothing is made of nothing, and every printed digit is checked."""

import csv
import io
import json
import math
import random
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from study_runs import CLIC, KODAK, SEEDS, rising, simulated, write_gradients, write_study

from harness.errors import ClicError
from leaderboard.bdrate import bd_rate
from leaderboard.curves import MEASURED, MEASURES, Curve, Point
from submission.study.bins import PLACES, bits, distortion, expected_gradient, gradient_curves
from submission.study.bootstrap import bd_over_images, bd_rates
from submission.study.contrasts import contrast, control_of
from submission.study.gradients import read_gradients
from submission.study.gradients import write_gradients as save_gradients
from submission.study.identical import IDENTICAL
from submission.study.made import write_made
from submission.study.measured import Cell, Study, study_of
from submission.study.plan import read_study
from submission.study.questions import Answer, answers
from submission.study.risks import read_risks
from submission.study.runs import RunRow, read_runs, write_runs
from submission.study.stages import stage_rows
from submission.study.statistics import holm, percentiles, resampled, t_interval
from submission.study.tables import Findings, differences, findings_of, printed, write_tables

EFFECTS = {
    ("T1", "T1 c"): 5.0,
    ("T1", "T1 b"): 1.0,
    ("S", "H sua-a 0.25"): 1.5,
    ("S", "N sua-a 0.5"): 1.2,
    ("S2", "H straight-through"): -2.0,
    ("S2", "H soft-rounding 1-8"): -1.0,
    ("C", "H straight-through"): -2.0,
    ("S", "H straight-through"): -2.0,
    ("D", "H mixed bound 0.2"): -1.3,
}
GAP = {"noise": 3.0, "mixed": 0.5, "sua-a": 1.5}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with known effects, with all that is printed of it."""
    path = write_study(tmp_path_factory.mktemp("studies") / "planted", simulated(EFFECTS, gap=GAP))
    assert write_tables(path) == 0
    return path


@pytest.fixture(scope="module")
def planted(folder: Path) -> Findings:
    return findings_of(folder)


@pytest.fixture(scope="module")
def null(tmp_path_factory: pytest.TempPathFactory) -> Findings:
    """One in which nothing differs but by chance, and gradients do not differ by their surrogate.

    Of five questions about nothing one interval in twenty excludes 0; with these seeds of the numbers, none does.
    """
    path = write_study(tmp_path_factory.mktemp("studies") / "null", simulated(spread=0.4, noise_seed=4))
    write_gradients(path / "gradients.csv", lambda temperature: 0.7)
    return findings_of(path)


def by_name(found: Findings) -> dict[str, Answer]:
    return {answer.name: answer for answer in found.answers}


def cell(study: Study, row: str, name: str, image_set: str = KODAK) -> Cell:
    return next(one for one in study.of(row, image_set) if one.key.cell == name)


# Statistics.


def test_the_interval_of_three_seeds_is_2_48_deviations() -> None:
    values = [1.0, 2.0, 4.5]
    interval = t_interval(values)
    assert interval.half_width == pytest.approx(2.484 * np.std(values, ddof=1), rel=1e-3)
    assert interval.mean == pytest.approx(2.5) and interval.seeds == 3
    assert not t_interval([1.0]).known and math.isnan(t_interval([]).mean)


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    for seeds in (3, 5):
        covered = [t_interval(rng.normal(0.7, 2, seeds).tolist()) for _ in range(4000)]
        share = np.mean([one.low <= 0.7 <= one.high for one in covered])
        assert abs(share - 0.95) < 3 * math.sqrt(0.95 * 0.05 / 4000)


def test_intervals_agree_with_their_p_values() -> None:
    rng = np.random.default_rng(2)
    for _ in range(300):
        one = t_interval(rng.normal(1, 1, 3).tolist())
        assert (one.p < 0.05) == (one.above or one.below)


def test_the_bootstrap_is_that_of_a_mean_and_always_the_same() -> None:
    values = np.random.default_rng(3).normal(0, 1, 40)
    weights = resampled(40)
    assert (weights.sum(axis=1) == 40).all() and np.array_equal(weights, resampled(40))
    low, high = percentiles(weights @ values / 40)
    error = values.std() / math.sqrt(40)
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.08)
    assert low < values.mean() < high


def test_holm_is_holms() -> None:
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({"a": 0.02, "b": math.nan}) == {"a": 0.04, "b": 1.0}


# What is found, and what is not.


def test_a_schedule_is_named_as_one(planted: Findings) -> None:
    titles = {one.title for one in planted.study.cells}
    assert {"soft-rounding 1 to 8", "gumbel 1/2 to 0.1", "SUA-A t=1/4 (split, unit)"} <= titles


def test_a_whole_study_lacks_nothing(folder: Path) -> None:
    assert (folder / "tables/missing.csv").read_text() == "row,what\nall,nothing\n"


def test_tables_of_a_part_are_followed_by_those_of_the_whole(tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.csv", [row for row in simulated() if row.row == "S"])
    assert write_tables(tmp_path) == 0
    write_study(tmp_path, simulated())
    assert write_tables(tmp_path, check=True) == 1
    assert write_tables(tmp_path) == write_tables(tmp_path, check=True) == 0


def test_planted_effects_are_found(planted: Findings) -> None:
    found = by_name(planted)
    assert {name: answer.verdict for name, answer in found.items()} == dict.fromkeys(found, "yes")
    expected = {"P1": [-5.0], "P2": [100 * (0.95 / 0.99 - 1)], "P3": [100 * 0.02 / 1.02, 100 * 0.01 / 1.01]}
    for name, values in expected.items():
        for part, value in zip(found[name].parts, values, strict=True):
            assert part.interval.mean == pytest.approx(value, abs=0.3)
    assert all(answer.adjusted >= answer.p and not answer.further_seeds for answer in found.values())


def test_the_forms_that_win_are_named(planted: Findings) -> None:
    labels = [part.label for part in by_name(planted)["P5"].parts]
    assert "H: SUA-A t=1/4 (split, unit) against" in labels[0] and "N: SUA-A t=1/2 (split, unit)" in labels[1]
    trade = [part.label for part in by_name(planted)["P4"].parts]
    assert trade[-2:] == ["H: t=1/4 against t=1/2, dJ/R", "N: t=1/2 against t=1/4, dJ/R"]


def test_of_nothing_nothing_is_made(null: Findings) -> None:
    assert [answer.verdict for answer in null.answers].count("yes") == 0
    assert by_name(null)["P2"].verdict == by_name(null)["P3"].verdict == "undecided"
    assert "no difference to noise is shown" in " ".join(null.sentences)


@pytest.mark.parametrize(
    ("hard", "noise", "verdict"),
    [(1.0, 0.1, "no"), (-4.0, 0.1, "no"), (5.0, 3.0, "undecided"), (2.0, 3.0, "undecided")],
)
def test_a_gain_below_three_per_cent_is_a_no_where_the_interval_says_so(
    hard: float, noise: float, verdict: str, tmp_path: Path
) -> None:
    rows = [row for row in simulated({("T1", "T1 c"): hard}, spread=noise, noise_seed=5) if row.row == "T1"]
    found = answers(study_of(rows), read_risks(tmp_path / "none.csv"))[0]
    assert found.verdict == verdict, found


def test_a_yes_that_does_not_survive_the_correction_is_undecided(tmp_path: Path) -> None:
    """One question alone counts as one of five."""
    rows = [row for row in simulated({("T1", "T1 c"): 5.0}, spread=0.7, noise_seed=7) if row.row == "T1"]
    first = answers(study_of(rows), read_risks(tmp_path / "none.csv"))[0]
    assert first.parts[0].interval.below and 0.01 < first.p < 0.05
    assert first.verdict == "undecided" and "Holm" in first.reason


def test_seeds_4_and_5_are_called_for_by_the_rule(tmp_path: Path) -> None:
    rows = [row for row in simulated({("T1", "T1 c"): 2.5}, spread=1.5, noise_seed=1) if row.row == "T1"]
    risks = read_risks(tmp_path / "none.csv")
    second = answers(study_of(rows), risks)[1]
    assert second.verdict == "undecided" and abs(second.parts[0].interval.mean) > 0.5 and second.further_seeds
    more = simulated({("T1", "T1 c"): 2.5}, seeds=(1, 2, 3, 4, 5), spread=1.5, noise_seed=1)
    found = Findings(study_of([row for row in more if row.row == "T1"]), risks, {})
    assert by_name(found)["P2"].parts[0].interval.seeds == 5 and not by_name(found)["P2"].further_seeds
    said = [sentence for sentence in found.sentences if "Seeds 4, 5 were added to rows T1" in sentence]
    assert len(said) == 1 and said[0].endswith("as fixed beforehand.")


def test_seeds_that_no_rule_asked_for_are_called_so(tmp_path: Path) -> None:
    rows = [row for row in simulated({("T1", "T1 c"): 5.0}, seeds=(1, 2, 3, 4, 5)) if row.row == "T1"]
    found = Findings(study_of(rows), read_risks(tmp_path / "none.csv"), {})
    said = [sentence for sentence in found.sentences if "Seeds 4, 5" in sentence]
    assert len(said) == 1 and said[0].endswith("did not ask for it.")


def test_gradients_that_are_missing_are_named(tmp_path: Path) -> None:
    write_study(tmp_path, [row for row in simulated(seeds=(1, 2, 3)) if row.row == "S"])
    lines = (tmp_path / "gradients.csv").read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith(("N,", "F,3,", "H,3,sua-b,0.5,"))]
    (tmp_path / "gradients.csv").write_text("".join(kept))
    missing = next(table for table in findings_of(tmp_path).tables if table.name == "missing").frame
    several, *others = missing[missing["row"] == "G"]["what"]
    assert re.fullmatch(r"F noise and \d+ others: gradients of 2 of 3 seeds", several)
    assert others == [
        "H sua-b 0.5: gradients of 2 of 3 seeds",
        "N: gradients of all surrogates",
    ]


@pytest.mark.parametrize(
    ("effect", "said"), [(5.0, "each of the 3 points of stage hard (c) is better"), (-5.0, "0 of 3")]
)
def test_each_point_of_t1_is_told(effect: float, said: str, tmp_path: Path) -> None:
    rows = [row for row in simulated({("T1", "T1 c"): effect}) if row.row == "T1"]
    rows = [
        replace(row, msssim_paper=row.msssim_paper + 1e-3, msssim_competition=row.msssim_competition + 1e-3)  # type: ignore[operator]
        if row.stage == "hard"
        else row
        for row in rows
    ]
    found = Findings(study_of(rows), read_risks(tmp_path / "none.csv"), {})
    points = [sentence for sentence in found.sentences if "better than stage a's" in sentence]
    assert len(points) == 2 and all(said in sentence for sentence in points)
    control = cell(found.study, "T1", "T1 a").of("coded", 2)
    mean = np.mean([block.mean("bpp") for block in control.values()])
    assert f"lambda 10: {mean:.4f} to " in points[0] and points[0].startswith(f"On {KODAK}, trained for MS-SSIM: ")


def test_warm_starts_claim_more_only_where_the_signs_agree(planted: Findings) -> None:
    rows = [row for row in simulated({("C", "H mixed"): 3.0, ("S", "H mixed"): -3.0}) if row.row in "SC"]
    turned = Findings(study_of(rows), planted.risks, {})
    assert "no" in turned.agrees and any("another sign" in sentence for sentence in turned.sentences)
    assert planted.agrees[planted_place(planted, "straight-through")] == "yes"


def planted_place(found: Findings, label: str) -> int:
    return [one.label for one in found.contrasts["C"]].index(label)


# Gradients.


def test_row_g_has_a_curve_over_temperature_for_each_surrogate(planted: Findings) -> None:
    places: dict[tuple[str, str], list[float]] = {}
    for one in planted.risks.all:
        if one.temperature is not None:
            places.setdefault((one.network, one.surrogate), []).append(one.temperature)
    for network in "FHN":
        assert sorted(places[network, "sua-a"]) == [0.125, 0.25, 0.5, 0.75]  # noise and mixed are its ends
        for form in ("sua-b", "sua-c"):
            assert sorted(places[network, form]) == [0, 0.125, 0.25, 0.5, 0.75, 1]
        assert sorted(places[network, "soft-rounding"]) == [1, 2, 4, 8]
        assert sorted(places[network, "gumbel"]) == [0.1, 0.3, 0.5]
    assert all(len(one.risk) == 3 for one in planted.risks.all)
    titles = {one.title for one in planted.risks.all}
    assert {"soft-rounding at 8", "gumbel at 0.1", "SUA-B t=0.75 (split, unit)"} <= titles


def fourth(
    tmp_path: Path, effects: Mapping[tuple[str, str], float], bias_at: Callable[[float], float] = rising
) -> Answer:
    write_gradients(tmp_path / "gradients.csv", bias_at)
    return fourth_by(tmp_path / "gradients.csv", effects)


def fourth_by(gradients: Path, effects: Mapping[tuple[str, str], float]) -> Answer:
    rows = [row for row in simulated(effects) if row.row == "S"]
    return by_name(Findings(study_of(rows), read_risks(gradients), {}))["P4"]


BEST = {("S", "H sua-a 0.25"): 3.0, ("S", "N sua-a 0.5"): 3.0}


def test_p4_asks_for_order_over_all_four_temperatures(tmp_path: Path) -> None:
    assert len(fourth(tmp_path, BEST).parts) == 3 * 2 + 2
    found = fourth(tmp_path, BEST, lambda t: 1.05 if t == 0.5 else rising(t))
    assert found.verdict == "no" and "gradient risk at t=1/4 against t=1/2" in found.reason
    steps = [part for part in found.parts if "t=1/4 against t=1/2" in part.label]
    assert [part.label[0] for part in steps] == ["F", "H", "N"] and all(part.refuted for part in steps)
    found = fourth(tmp_path, BEST, lambda t: 0.8 if t in (0.25, 0.5) else rising(t))
    assert found.verdict != "yes"


def test_one_network_can_refute_p4(tmp_path: Path) -> None:
    """Whatever the others do, and wherever it stands among them."""
    path = tmp_path / "gradients.csv"
    write_gradients(path, lambda temperature: 0.7)
    undecided = [row for row in read_gradients(path) if row["network"] != "N"]
    write_gradients(path, lambda t: 1.05 if t == 0.5 else rising(t))
    against = [row for row in read_gradients(path) if row["network"] == "N"]
    save_gradients(path, undecided + against)
    found = fourth_by(path, BEST)
    assert found.verdict == "no" and found.reason == "on the other side of 0: N: gradient risk at t=1/4 against t=1/2"
    of_one_seed = [row for row in undecided if row["network"] == "H" or row["seed"] == "1"]
    save_gradients(path, of_one_seed + against)
    assert fourth_by(path, BEST).verdict == "no"


def test_p4_compares_best_temperatures_that_both_networks_have(tmp_path: Path) -> None:
    """F has no t = 1/4, where H is best: over what both have, F is best at 1/2 and H nowhere in particular."""
    found = fourth(tmp_path, {("S", "H sua-a 0.25"): 3.0, ("S", "F sua-a 0.5"): 3.0})
    assert found.parts[-1].interval.seeds == 3 and "fewer than two seeds" not in found.reason
    found = fourth(tmp_path, {("S", "H sua-a 0.25"): 3.0})
    assert found.verdict in ("undecided", "no") and all(part.interval.seeds == 3 for part in found.parts)
    found = fourth(tmp_path, {("S", f"{network} sua-a 0.5"): 3.0 for network in "FHJN"})
    assert found.verdict == "no" and "the same one is best in all networks, beyond their intervals" in found.reason


def test_the_bias_is_without_the_chance_of_few_draws(tmp_path: Path) -> None:
    """Means of 32 draws about the truth, and half of it too large: of no bias almost none is left, the other stays."""
    rng = np.random.default_rng(5)
    names = (
        "network,seed,surrogate,temperature,routing,slope,parameter,channel,mean,deviation,draws,truth,truths,mismatch"
    )
    lines = [names]
    for surrogate, bias in (("noise", 0.0), ("mixed", 0.5)):
        for channel in range(400):
            mean = 1 + bias + 3 * rng.normal() / math.sqrt(32)
            lines.append(f"H,1,{surrogate},,,,shift,{channel},{mean},3.0,32,1.0,0.9 1.0 1.2,0.0")
    (tmp_path / "gradients.csv").write_text("\n".join(lines))
    found = {one.surrogate: one for one in read_risks(tmp_path / "gradients.csv").all}
    assert found["noise"].bias[1] < 0.2 and found["mixed"].bias[1] == pytest.approx(0.5, abs=0.07)
    assert found["mixed"].risk[1] == pytest.approx(math.hypot(0.5, 3), rel=0.01)
    assert found["noise"].plateau[1] == pytest.approx(0.2)


# Every figure against another way to compute it.


def test_gains_are_those_of_the_definition(folder: Path, planted: Findings) -> None:
    frame = pd.read_csv(folder / "runs.csv")
    frame = frame[(frame["row"] == "S") & (frame["network"] == "N") & (frame["mode"] == "coded")]
    frame["R"] = frame["bits"] / (frame["width"] * frame["height"])
    frame["J"] = frame["R"] + frame["lambda"] * 255**2 * frame["mse"]
    means = frame.groupby(["cell", "seed", "level"])[["R", "J"]].mean()
    control, test = means.loc["N noise"], means.loc["N sua-a 0.5"]
    expected = (100 * (control["J"] - test["J"]) / control["R"]).groupby("seed").mean()
    found = contrast(cell(planted.study, "S", "N sua-a 0.5"), cell(planted.study, "S", "N noise"))
    assert found is not None and found.by_seed == pytest.approx(expected.to_dict(), rel=1e-9)
    low, high = found.gain.low, found.gain.high
    assert (low, high) == pytest.approx(expected.mean() + np.array([-1, 1]) * 4.302653 / 3**0.5 * expected.std())


def test_an_image_is_held_against_its_own_rate(folder: Path, planted: Findings) -> None:
    frame = pd.read_csv(folder / "runs.csv")
    frame = frame[(frame["row"] == "T1") & (frame["mode"] == "coded") & (frame["image_set"] == KODAK)]
    frame = frame[(frame["skip_uncoded"] == "off") & (frame["seed"] != 2)]
    frame["R"] = frame["bits"] / (frame["width"] * frame["height"])
    frame["J"] = frame["R"] + frame["lambda"] * (1 - frame["msssim_competition"])
    by = frame.set_index(["stage", "image", "seed", "level"])[["R", "J"]]
    control, test = by.loc["soft-continued"], by.loc["hard"]
    expected = (100 * (control["J"] - test["J"]) / control["R"]).groupby("image").mean()
    found = contrast(cell(planted.study, "T1", "T1 c"), cell(planted.study, "T1", "T1 a"))
    assert found is not None
    assert found.by_image([1, 3]).set_index("image")["mean"].to_dict() == pytest.approx(expected.to_dict())


def test_only_seeds_that_all_stages_have_are_shown_beside_each_other(tmp_path: Path) -> None:
    """Stage c lacks seed 3, and seed 3 is far better than the others: it moves no figure."""
    rows = [row for row in simulated(EFFECTS) if row.row == "T1"]
    rows = [replace(row, bits=row.bits / 2) if row.seed == 3 else row for row in rows]
    part, two = [], []
    for row in rows:
        part += [row] if row.seed != 3 or row.stage != "hard" else []
        two += [row] if row.seed != 3 else []
    shown = []
    for name, own in (("part", part), ("two", two)):
        (tmp_path / name).mkdir()
        write_runs(tmp_path / name / "runs.csv", own)
        assert write_tables(tmp_path / name) == 0
        found = findings_of(tmp_path / name)
        stages = next(table for table in found.tables if table.name == "stages").frame
        assert set(stages["seeds"]) == {2}
        figure = (tmp_path / name / "figures/4-rate-distortion.svg").read_text()
        gaps = [sentence for sentence in found.sentences if "gap of J" in sentence]
        shown.append([(tmp_path / name / "soft_then_hard.csv").read_text(), figure, gaps])
        assert len(gaps) == 2 and f"On {KODAK}, " in gaps[0] and f"On {CLIC}, " in gaps[1]
    assert shown[0] == shown[1]


def test_sentences_say_on_which_set(planted: Findings, folder: Path) -> None:
    first = [sentence for sentence in planted.sentences if "against equal further steps" in sentence]
    assert [sentence.split(",")[0] for sentence in first] == [f"On {KODAK}", "On CLIC 2025 validation", f"On {KODAK}"]
    assert len(set(planted.sentences)) == len(planted.sentences)
    answers = json.loads((folder / "study.json").read_text())["answers"]
    assert all(f"(on {KODAK}: " in answer for answer in answers)


def test_bd_rates_are_those_of_curves_that_are_known(planted: Findings) -> None:
    """The same quality at 5 % less rate, and at every level."""
    found = contrast(cell(planted.study, "T1", "T1 c"), cell(planted.study, "T1", "T1 a"))
    assert found is not None and len(found.levels) == 3 and found.bd.seeds == 3
    for seed in SEEDS:
        test, control = (found.curve(one, seed) for one in (found.test, found.control))
        ratio = np.array(test.bpp) / np.array(control.bpp)
        assert test.score == pytest.approx(control.score)
        assert found.bd_by_seed[seed] == pytest.approx(100 * (np.exp(np.log(ratio).mean()) - 1), abs=0.02)


def test_bd_rates_of_many_curves_at_once_are_those_of_one_after_the_other() -> None:
    """Of curves by chance, whose slopes turn, flatten and overlap in part."""
    rng = np.random.default_rng(8)
    log_rate, score = (np.cumsum(rng.gamma(0.7, 1.0, (2, 300, 4)) + 0.01, axis=-1) for _ in range(2))
    score[1] += rng.normal(0, 1, (300, 1))
    found = bd_rates(log_rate[0], score[0], log_rate[1], score[1])
    checked = 0
    for place, value in enumerate(found):
        curves = []
        for side in range(2):
            points = [
                Point(math.exp(rate), db) for rate, db in zip(log_rate[side, place], score[side, place], strict=True)
            ]
            curves.append(Curve(f"{side}", KODAK, MEASURES["psnr_paper"], MEASURED, points))
        percent = bd_rate(*curves).percent
        assert (percent is None) == math.isnan(value)
        if percent is not None:
            assert value == pytest.approx(percent, rel=1e-9, abs=1e-9)
            checked += 1
    assert checked > 100


def test_the_bootstrap_of_a_bd_rate_is_that_of_the_images(planted: Findings) -> None:
    """Each resample by hand: images as often as they were drawn, then the curves of the set."""
    found = contrast(cell(planted.study, "T1", "T1 c"), cell(planted.study, "T1", "T1 a"))
    assert found is not None
    low, high = bd_over_images(found)
    assert low < found.bd.mean < high and high - low < 1
    drawn = np.repeat(np.arange(6), resampled(6)[17].astype(int))
    by_hand = replace(found, images=tuple(found.images[place] for place in drawn))
    curves = [[one.figure(cell, "bpp") for cell in (one.test, one.control)] for one in (found, by_hand)]
    weights = resampled(6)[17] / 6
    assert np.einsum("sli,i->sl", curves[0][0], weights) == pytest.approx(curves[1][0].mean(axis=2))
    by_seed = np.mean(list(by_hand.bd_by_seed.values()))
    assert low - 0.5 < by_seed < high + 0.5
    frame = pd.read_csv(io.StringIO(next(table for table in planted.tables if table.name == "row-t1").csv()))
    assert frame["bd_images_low"].notna().all() and (frame["bd_images_low"] <= frame["bd_images_high"]).all()


def test_controls_are_those_of_the_run_table(planted: Findings) -> None:
    said = {
        (row, one.test.key.cell): (one.control.key.row, one.control.key.cell)
        for row, found in planted.contrasts.items()
        for one in found
        if one.test.key.image_set == KODAK and not one.test.key.skips and one.test.about.stage != "hard"
    }
    assert said["S", "H gumbel 0.5-0.1"] == ("S", "H noise") and ("S", "H noise") not in said
    assert said["C", "H mixed"] == ("C", "H noise") and ("C", "H noise") not in said
    assert said["D", "H mixed bound 0.04"] == ("S", "H mixed") and said["D", "H gumbel 0.5-0.1 psg-1"] == (
        "S",
        "H gumbel 0.5-0.1",
    )
    assert said["D", "J mixed zero-centre on"] == ("S", "J mixed") and said["D", "J mixed psg-3"] == ("S", "J mixed")
    assert said["X", "N-none noise"] == ("X", "N noise") and ("X", "N noise") not in said
    assert said["T1", "T1 b"] == ("T1", "T1 a")
    assert control_of(cell(planted.study, "S2", "N mixed"), planted.study.cells).key.cell == "N noise"


def test_controls_have_been_trained_as_long_and_on_the_same_batches(planted: Findings) -> None:
    """A branch draws its trunk's first batches again: what is trained from scratch is held against that alone."""
    trainings = {cell.key: (cell.training.steps, cell.parent is None) for cell in read_study("full").cells}
    for row, found in planted.contrasts.items():
        for one in found:
            own, other = (trainings[key.row, key.cell] for key in (one.test.key, one.control.key))
            if one.test.key.cell not in ("T1 soft", "T1m soft"):  # which stand there as what further steps are added to
                assert own == other, (row, one.test.key, one.control.key)


def test_bits_that_were_not_all_coded_are_the_networks_own(planted: Findings) -> None:
    """J codes bytes of some images: its contrasts take the bits of all, and say so."""
    joint, other = cell(planted.study, "S", "J mixed"), cell(planted.study, "S", "H mixed")
    assert not joint.is_coded and other.is_coded
    table = next(table for table in planted.tables if table.name == "row-s")
    modes = table.frame.groupby("network")["mode"].unique()
    assert list(modes["J"]) == ["stated as trained", "stated around the mean"] and list(modes["H"]) == ["coded"]


def test_what_was_trained_around_zero_is_compared_so_and_shown_as_it_is_coded_too(planted: Findings) -> None:
    """The simulated study has 2 % fewer bits around the means than as trained, of J and of H with zero-centre off."""
    off, on = cell(planted.study, "D", "H soft-rounding 1-8 zero-centre off"), cell(planted.study, "S", "H noise")
    assert not off.is_coded and off.mode == "hard"
    both = [one for one in planted.contrasts["D"] if one.test is off]
    assert [one.bits for one in both] == ["stated as trained", "stated around the mean"]
    assert both[1].gain.mean - both[0].gain.mean == pytest.approx(2, abs=0.1)
    alike = [one for one in planted.contrasts["S"] if one.label == "mixed" and one.test.about.network == "J"]
    assert [one.mode for one in alike] == ["hard", "hard-centred"]
    assert alike[0].gain.mean == pytest.approx(alike[1].gain.mean, abs=0.1)
    assert list(off.centring().values()) == pytest.approx([2, 2, 2], abs=0.01)
    assert list(on.centring().values()) == pytest.approx([300 / 103] * 3, abs=0.01)
    assert not cell(planted.study, "S", "H mixed").centring()
    table = next(table for table in planted.tables if table.name == "gap").frame
    joint = table[table["network"] == "J"]
    assert joint["over"].abs().max() < 0.1 and joint["centring"].notna().any()


def test_named_files_have_their_columns_and_means(folder: Path) -> None:
    frame = pd.read_csv(folder / "soft_then_hard.csv")
    assert list(frame.columns) == ["set", "stage", "lambda", "bpp", "msssim_competition", "msssim_paper"]
    assert set(frame["set"]) == {KODAK, CLIC} and len(frame) == 2 * 4 * 3
    assert set(frame["stage"]) == {"soft", "soft-continued", "decoder-only", "hard"}
    runs = pd.read_csv(folder / "runs.csv")
    hard = runs.query("row == 'T1' and stage == 'hard' and mode == 'coded' and level == 0 and skip_uncoded == 'off'")
    hard = hard[hard["image_set"] == KODAK]
    shown = frame[(frame["set"] == KODAK) & (frame["stage"] == "hard")].iloc[0]
    assert shown["bpp"] == pytest.approx((hard["bits"] / (hard["width"] * hard["height"])).mean(), rel=1e-8)
    surrogates = pd.read_csv(folder / "surrogates.csv")
    names = "network,surrogate,temperature,seed,rate_bpp,distortion,loss_hard,loss_training,gain_percent,low,high"
    assert ",".join(surrogates.columns) == names
    assert set(surrogates["temperature"].dropna()) == {"0.25", "0.5", "1 to 8", "0.5 to 0.1"}
    assert set(pd.read_csv(folder / "runs.csv")["temperature"].dropna()) == {"0.25", "0.5", "1 to 8", "0.5 to 0.1"}
    noise = surrogates[surrogates["surrogate"] == "noise"]
    assert noise["gain_percent"].isna().all() and len(surrogates) == 3 * (6 + 9 + 5 + 7)
    assert (noise["loss_training"] > noise["loss_hard"]).all()


def test_table_1_of_the_paper_stands_beside_ours_in_columns_of_its_own(folder: Path) -> None:
    stages = json.loads((folder / "study.json").read_text())["tables"]["stages"]
    hard = [
        row for row in stages if row["stage"] == "c" and row["image_set"] == KODAK and row["objective"] == "ms-ssim"
    ]
    hard = [row for row in hard if row["skips"] == "small elements coded"]
    assert [row["paper_bpp"] for row in hard] == [0.0920, 0.1726, 0.3117]
    assert [round(row["paper_percent"], 2) for row in hard] == [-3.87, -2.92, -2.04]
    assert all(row["paper_bpp"] is None for row in stages if row["objective"] == "mse" or row["stage"] == "b")


def test_what_leaving_small_elements_out_saves_is_a_further_column(planted: Findings) -> None:
    """The simulated study gains one per cent by it, in all stages alike."""
    frame = next(table for table in planted.tables if table.name == "stages").frame
    coded = frame[frame["skips"] == "small elements coded"]
    gains = coded[coded["objective"] == "ms-ssim"]["left_out"]
    assert len(gains) == 4 * 3 * 2 and gains.between(0.8, 1.2).all()
    assert coded[coded["objective"] == "mse"]["left_out"].isna().all()
    assert frame[frame["skips"] != "small elements coded"]["left_out"].isna().all()


def test_parts_of_soft_then_hard_add_up(planted: Findings) -> None:
    frame = next(table for table in planted.tables if table.name == "parts").frame
    mean = frame[(frame["objective"] == "ms-ssim") & (frame["image_set"] == KODAK) & frame["lambda_"].isna()]
    gains = mean.set_index("part")["gain"]
    parts = gains[["further steps", "decoder side alone", "hardness", "small elements left out"]]
    assert gains["all together"] == pytest.approx(parts.sum(), abs=0.3)
    assert gains["hardness"] == pytest.approx(4.0, abs=0.3) and gains["small elements left out"] == pytest.approx(
        1, abs=0.3
    )


def test_a_question_costs_what_it_rests_on_and_what_that_goes_on_from(planted: Findings) -> None:
    cost = next(table for table in planted.tables if table.name == "cost").frame.set_index("of")
    of_a_seed = {"T1": 4, "P1": 3, "P2": 3, "P3": 7}  # P3: the trunk of H, three branches, and stage hard after each
    for name, trainings in of_a_seed.items():
        assert cost.loc[name, "trainings"] == len(SEEDS) * trainings
        assert cost.loc[name, "hours"] == pytest.approx(len(SEEDS) * trainings * 360 / 3600)
    assert cost.loc["P1", "steps"] == len(SEEDS) * (12_500 + 2 * 2_500)


# Partial studies.


PARTIAL: Mapping[str, Callable[[RunRow], bool]] = {
    "one seed": lambda row: row.seed == 1,
    "T1 alone": lambda row: row.row == "T1",
    "T1, its first seed": lambda row: row.row == "T1" and row.seed == 1 and row.skip_uncoded == "off",
    "no T1": lambda row: row.row not in ("T1", "T1m"),
    "S alone, one network": lambda row: row.row == "S" and row.network == "H",
    "no control": lambda row: row.surrogate != "noise",
    "a seed that is not yet whole": lambda row: row.seed != 3 or row.image < "kodim03",
    "a level that is not yet there": lambda row: row.level != 1,
    "nothing coded": lambda row: row.mode != "coded",
    "no training mode": lambda row: row.mode != "training",
    "one image": lambda row: row.image == "kodim02",
}


@pytest.mark.parametrize("part", list(PARTIAL))
def test_a_partial_study_gives_what_it_can_and_says_what_is_missing(
    part: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in simulated(EFFECTS) if PARTIAL[part](row)]
    write_runs(tmp_path / "runs.csv", rows)
    assert write_tables(tmp_path) == 0 and write_tables(tmp_path, check=True) == 0
    shown = capsys.readouterr().out
    assert "The five primary questions" in shown and "Not there yet" in shown
    missing = (tmp_path / "tables/missing.csv").read_text()
    assert "gradients.csv" in missing
    if part == "T1 alone":
        assert "T1," not in missing and "\nS,all of it\n" in missing and "\nX,all of it\n" in missing
    if part == "T1, its first seed":
        found_answers = by_name(findings_of(tmp_path))
        assert [one.verdict for one in found_answers.values()] == ["undecided"] * 2 + ["not run yet"] * 3
        assert not any(part.interval.known for one in found_answers.values() for part in one.parts)
        assert "T1 c, small elements left out: all seeds" in missing and "T1m,all of it" in missing
        page = (tmp_path / "study.html").read_text()
        assert page.count("Not run yet") == 3 and "no interval, 1 seed" in page
        assert findings_of(tmp_path).study.main_set == KODAK
        for row in csv.DictReader(io.StringIO((tmp_path / "tables/row-t1.csv").read_text())):
            assert row["gain"] and not row["gain_low"] and not row["bd_low"] and row["verdict"] == "no interval"
    if part == "no control":
        assert "\nS,H noise: all seeds\n" in missing
    if part == "one seed":
        assert "1 of 3 seeds" in missing and "fewer than two seeds" in shown
    if part == "a seed that is not yet whole":
        assert "seed 3 is not coded to its end" in missing
        found = contrast(*(cell(study_of(rows), "S", name) for name in ("H mixed", "H noise")))
        assert found is not None and found.seeds == (1, 2) and len(found.images) == 6


def test_what_is_no_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ClicError, match="cannot be read"):
        write_tables(tmp_path)
    write_runs(tmp_path / "runs.csv", [])
    with pytest.raises(ClicError, match="nothing to compare yet"):
        write_tables(tmp_path)
    row = simulated()[0]
    write_runs(tmp_path / "runs.csv", [row, row])
    with pytest.raises(ClicError, match=f"two measurements of {row.row} {row.cell}"):
        write_tables(tmp_path)
    write_runs(tmp_path / "runs.csv", [replace(row, stage="trunk")])
    with pytest.raises(ClicError, match="trunks alone"):
        write_tables(tmp_path)
    write_runs(tmp_path / "runs.csv", simulated(seeds=(1,)))
    (tmp_path / "gradients.csv").write_text("network,seed\nF,1\n")
    with pytest.raises(ClicError, match="without column surrogate"):
        write_tables(tmp_path)


# Checking.


def test_a_changed_digit_anywhere_is_found(folder: Path, planted: Findings, tmp_path: Path) -> None:
    """In each of the files that are printed, one digit by chance; and each file is looked at once unchanged."""
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    files = printed(planted)
    assert differences(copy, files) == [] and len(files) > 40
    rng = random.Random(1)
    for name, content in files.items():
        digits = [place for place, byte in enumerate(content) if chr(byte).isdigit()]
        if not digits and "/missing." in name:  # of a whole study it says that nothing is
            continue
        assert digits, name
        place = rng.choice(digits)
        other = b"%d" % ((int(chr(content[place])) + rng.randint(1, 9)) % 10)
        (copy / name).write_bytes(content[:place] + other + content[place + 1 :])
        said = differences(copy, files)
        assert len(said) == 1 and said[0].startswith(f"{name}: line "), said
        (copy / name).write_bytes(content)
    assert differences(copy, files) == []


def test_check_writes_nothing_and_finds_changed_measurements(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    assert write_tables(copy, check=True) == 0
    assert "follow from runs.csv, to the last digit" in capsys.readouterr().err
    text = (copy / "runs.csv").read_text()
    last = text.splitlines()[-1]
    steps = last.replace(",7500,", ",7501,")
    assert steps != last
    (copy / "runs.csv").write_text(text.replace(last, steps))
    (copy / "tables/old.csv").write_text("left from another run")
    (copy / "figures/2-gradient-in-a-bin.svg").unlink()
    before = {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()}
    assert write_tables(copy, check=True) == 1
    said = capsys.readouterr().err
    assert "study.json: line" in said and "tables/old.csv: not of this study" in said
    assert "2-gradient-in-a-bin.svg: missing" in said and "writes the files anew" in said
    assert {path: path.read_bytes() for path in copy.rglob("*") if path.is_file()} == before


# What is printed.


@pytest.mark.parametrize("width", [80, 100, 120])
def test_tables_can_be_read_in_a_terminal(width: int, planted: Findings) -> None:
    """No word and no number is cut, and each line begins with what it is of."""
    for name in ("stages", "row-t1", "row-s", "gap", "gradients"):
        table = next(table for table in planted.tables if table.name == name)
        text = io.StringIO()
        Console(file=text, width=width).print(table.terminal(width))
        shown = text.getvalue()
        assert "…" not in shown and max(map(len, shown.splitlines())) <= width
        for section in table.sections:
            for column, values in zip(section.columns, zip(*section.cells, strict=True), strict=True):
                if column.is_number:
                    assert all(value in shown for value in values)
        if name == "stages":
            lines = [line.split() for line in shown.splitlines()]
            stages = [line[:2] for line in lines if line[:1] in (["soft"], ["a"], ["b"], ["c"], ["d"])]
            assert len(stages) >= len(table.frame) and ["c", "10"] in stages


def test_no_reconstruction_is_named_without_its_letter(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name != "runs.csv":
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\bSUA\b(?!-[ABC])|\bsua\b(?!-[abc])|\bPSG\b(?!-[123])", text), path
            if path.suffix == ".md" and re.search(r"\b(SUA|PSG)-", text) and path.stem not in ("identical", "primary"):
                assert "our reconstructions" in text, path


def test_faces_hold_the_same_rows(folder: Path, planted: Findings) -> None:
    records = json.loads((folder / "study.json").read_text())["tables"]
    for table in planted.tables:
        rows = list(csv.DictReader(io.StringIO((folder / f"tables/{table.name}.csv").read_text())))
        assert len(rows) == len(table.frame) == len(records[table.name])
        assert list(rows[0]) == list(records[table.name][0]) or set(rows[0]) == set(records[table.name][0])
        lines = (folder / f"tables/{table.name}.md").read_text().splitlines()
        tabular = (folder / f"tables/{table.name}.tex").read_text()
        shown = [line for line in lines if line.startswith("|")]
        assert len(shown) == len(table.frame) + 2 * len(table.sections)
        assert tabular.count(r"\begin{tabular}") == len(table.sections) == tabular.count(r"\bottomrule")


def test_figures_are_well_formed_and_hold_their_style(folder: Path) -> None:
    figures = sorted((folder / "figures").glob("*.svg"))
    assert [path.stem[:1] for path in figures] == list("1234455")
    for path in figures:
        root = ElementTree.parse(path).getroot()
        text = path.read_text()
        assert root.tag.endswith("svg") and "prefers-color-scheme: dark" in text and ".c9 {" in text
        assert "nan" not in text.lower().replace("nano", "") and "inf" not in re.sub(r"[a-z]*inf[a-z]+", "", text)


def test_the_page_needs_no_other_file(folder: Path) -> None:
    page = (folder / "study.html").read_text()
    assert "http" not in re.sub(r"https?://www\.w3\.org/\S+", "", page) and "src=" not in page
    for word in ("P1. ", "P5. ", "Expected encoder gradient", "Not run, since identical", "Public figures, not ours"):
        assert word in page


def test_sentences_turn_with_the_numbers() -> None:
    def said(effect: float) -> str:
        rows = [row for row in simulated({("S", "H mixed"): effect}) if row.row == "S" and row.network == "H"]
        found = Findings(study_of(rows), read_risks(Path("none")), {})
        return next(sentence for sentence in found.sentences if sentence.startswith("H, mixed:"))

    assert re.match(r"H, mixed: saves [12]\.\d\d % of the rate of noise to first order \(95 % interval \+", said(2.0))
    assert re.match(r"H, mixed: costs [12]\.\d\d % more rate than noise to first order \(95 % interval -", said(-2.0))
    assert "no difference to noise is shown" in said(0.0)


def test_a_test_that_lies_elsewhere_on_the_curve_is_said_to() -> None:
    """A fifth of the rate less and a fifth of the error more at each lambda, whatever J makes of it."""
    rows = [row for row in simulated() if row.row == "S" and row.network == "N"]
    noise = {(row.seed, row.level, row.image, row.mode): row for row in rows if row.cell == "N noise"}
    moved = []
    for row in rows:
        if row.surrogate == "mixed":
            control = noise[row.seed, row.level, row.image, row.mode]
            row = replace(row, bits=0.8 * control.bits, mse=1.2 * control.mse)
        moved.append(row)
    found = Findings(study_of(moved), read_risks(Path("none")), {})
    one = next(one for one in found.contrasts["S"] if one.test.key.cell == "N mixed")
    assert one.moved == pytest.approx((-20, -10 * math.log10(1.2)))
    said = next(sentence for sentence in found.sentences if sentence.startswith("N, mixed:"))
    assert f"; -20.00 % of rate and -0.792 dB at equal lambda, BD-rate {one.bd.mean:+.2f} %; " in said
    table = next(table for table in found.tables if table.name == "row-s")
    shown = pd.read_csv(io.StringIO(table.csv())).set_index(["network", "test"]).loc["N", "mixed"]
    assert (shown["rate"], shown["quality"]) == pytest.approx(one.moved)


def test_what_is_called_identical_has_its_test() -> None:
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    for *_, name in IDENTICAL:
        if f"def {name}(" not in tests:
            assert name == "test_bounds_and_stops_change_nothing_in_f"  # of the networks of CompressAI's layers


def test_the_figure_of_one_bin_rests_on_what_is_proved() -> None:
    """The mean gradient of noise is the difference of the loss from half a step before to half a step after."""
    found = gradient_curves()
    curves = dict(found.curves)
    assert all(len(points) == PLACES for points in curves.values())
    import torch

    places = torch.linspace(-0.4, 0.4, 9)
    after, before = places + 0.5, places - 0.5
    expected = distortion(after) + bits(after) - distortion(before) - bits(before)
    assert torch.allclose(expected_gradient("noise", places), expected, atol=2e-3)
    straight = [slope for _, slope in curves["straight-through"]]
    assert max(straight) - min(straight) < 1e-4
    assert found.truth[0][1] == found.truth[1][1] != found.truth[2][1]


def test_how_a_study_was_made_is_printed_and_checked(folder: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    command = "clic ablate full --data crops --images kodak --out runs --jobs 2"
    write_made(copy, command, ["a" * 40])
    write_made(copy, f"{command} --seeds 4,5", ["a" * 40, "", "b" * 40, "a" * 40])
    write_made(copy, command, ["a" * 40, "b" * 40])
    assert write_tables(copy) == 0 and write_tables(copy, check=True) == 0
    said = f"{command}, then {command} --seeds 4,5 (commits aaaaaaaaaaaa, bbbbbbbbbbbb; Python"
    for name in ("study.html", "tables/cost.md", "study.json"):
        assert said in (copy / name).read_text()
    (copy / "made.json").write_text((copy / "made.json").read_text().replace("--jobs 2", "--jobs 1"))
    assert write_tables(copy, check=True) == 1
    (copy / "made.json").write_text("[]")
    with pytest.raises(ClicError, match=r"made\.json: does not say how"):
        write_tables(copy)


def test_what_is_read_is_what_was_written(folder: Path) -> None:
    assert read_runs(folder / "runs.csv") == simulated(EFFECTS, gap=GAP)


def test_the_results_that_are_committed_follow_from_their_measurements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = Path(__file__).parents[2] / "docs/results"
    assert write_tables(results, check=True) == 0
    copy = shutil.copytree(results, tmp_path / "results", ignore=shutil.ignore_patterns("checkpoints", "training"))
    table = copy / "tables/stages.csv"
    text = table.read_text()
    digit = next(place for place, letter in enumerate(text) if letter in "12345678")
    table.write_text(text[:digit] + "9" + text[digit + 1 :])
    capsys.readouterr()
    assert write_tables(copy, check=True) == 1
    assert "tables/stages.csv: line 2 is not what" in capsys.readouterr().err


def test_all_figures_of_a_stage_are_over_the_seeds_that_all_stages_have() -> None:
    rows = [row for row in simulated(seeds=(1, 2, 3)) if row.row == "T1"]
    rows = [row for row in rows if row.stage != "hard" or row.seed != 3]
    is_odd = [row.seed == 3 and row.mode == "training" for row in rows]
    rows = [replace(row, bits=3 * row.bits) if odd else row for row, odd in zip(rows, is_odd, strict=True)]
    both, fewer = (
        stage_rows(study_of(some)).set_index(["stage", "lambda_"])
        for some in (rows, [row for row in rows if row.seed != 3])
    )
    for name in ("bpp", "msssim_paper", "gap", "seeds"):
        pd.testing.assert_series_equal(both[name], fewer[name])
