"""A board over time: which entries stay, why others do not, and what stands beside them."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.errors import ClicError
from leaderboard.columns import BOARD
from leaderboard.entries import (
    COLUMNS,
    Entry,
    Occasion,
    best_over_time,
    entries_of_run,
    entries_table,
    from_json,
    judge,
    standing,
    to_json,
    with_archived,
)
from leaderboard.results import Results
from leaderboard.tables import markdown

NOON = datetime(2027, 2, 1, 12, tzinfo=UTC)


def entry(team: str = "us", minutes: int = 0, **changes: Any) -> Entry:
    base = Entry(
        team=team,
        time=NOON + timedelta(minutes=minutes),
        image_set="CLIC 2027 validation",
        phase="validation",
        track="cpu",
        rate=0.15,
        budget_bytes=1000,
        data_bytes=990,
        decoder_bytes=5,
        decode_seconds=10.0,
        msssim_competition=0.95,
        msssim_paper=0.96,
        psnr_competition=30.0,
        psnr_paper=31.0,
        decoder_sha224=f"decoder of {team}",
        data_sha224=f"data of {team} {minutes}",
    )
    return replace(base, **changes)


def reasons(*entries: Entry) -> list[str]:
    return list(judge(entries_table(entries))["reason"])


def test_every_accepted_submission_stays_also_a_worse_one() -> None:
    rows = standing(entries_table([entry(), entry(minutes=1, msssim_competition=0.9), entry("others", 2)]))
    assert list(rows["team"]) == ["us", "others", "us"] and list(rows["msssim_competition"]) == [0.95, 0.95, 0.9]


def test_the_budget_is_inclusive() -> None:
    assert reasons(entry(data_bytes=1000), entry(minutes=1, data_bytes=1002)) == ["", "2 bytes over the budget"]


def test_the_same_submission_again_is_one_row_and_the_first_stays() -> None:
    again = entry(minutes=5, data_sha224=entry().data_sha224, decode_seconds=1)
    assert reasons(again, entry()) == ["", "the same submission again"]
    assert standing(entries_table([again, entry()]))["decode_seconds"].tolist() == [10]
    # another rate, another set or another team is another submission
    others = [replace(again, rate=0.3), replace(again, image_set="mine"), replace(again, team="copycats")]
    assert reasons(entry(), *others) == [""] * 4


def test_a_test_decoder_must_be_of_the_validation_phase() -> None:
    test = entry(minutes=9, phase="test", image_set="CLIC 2027 test")
    said = "its decoder is none of the team's validation phase"
    assert reasons(entry(), test) == ["", ""]
    assert reasons(entry(), replace(test, decoder_sha224="one bit other")) == ["", said]
    assert reasons(entry("others", decoder_sha224=test.decoder_sha224), test) == ["", said]
    assert reasons(test, entry(minutes=10)) == [said, ""]  # too late
    assert reasons(entry(data_bytes=2000), test) == ["1,000 bytes over the budget", said]  # never accepted


def test_who_wins_no_prize() -> None:
    entries = [entry(team, rate=rate) for team in "abcd" for rate in (0.075, 0.15, 0.3) if (team, rate) != ("d", 0.3)]
    seconds = {"a": 9, "b": 1, "c": 2, "d": 3}
    entries += [
        replace(one, phase="test", image_set="t", time=NOON + timedelta(days=1), decode_seconds=seconds[one.team])
        for one in entries
    ]
    rows = standing(entries_table(entries)).query("phase == 'test' and rate == 0.15").set_index("team")["no_prize"]
    assert rows.to_dict() == {"a": "among the slowest quarter", "b": "", "c": "", "d": "nothing at 0.3 bpp"}
    validation = standing(entries_table(entries)).query("phase == 'validation'")
    assert set(validation["no_prize"]) == {""}


def test_best_over_time_are_the_steps_of_the_graph() -> None:
    scores = [0.90, 0.92, 0.91, 0.92, 0.95]
    entries = [entry("ab"[n % 2], n, msssim_competition=score) for n, score in enumerate(scores)]
    entries.append(entry("c", 9, msssim_competition=0.99, data_bytes=5000))
    entries.append(entry("d", 1, rate=0.3, msssim_competition=0.5))
    steps = best_over_time(entries_table(entries))
    assert steps.query("rate == 0.15")["msssim_competition"].tolist() == [0.90, 0.92, 0.95]
    assert steps.query("rate == 0.3")["team"].tolist() == ["d"]


def test_archived_rows_stand_beside_only_on_the_same_images() -> None:
    rows = with_archived(entries_table([entry(), entry(image_set="mine", minutes=1)]), "CLIC 2025 test")
    assert len(rows) == 1 + 17 + 16 + 17 and set(rows["image_set"]) == {"CLIC 2027 validation", "CLIC 2025 test"}
    us = rows[rows["team"] == "us"].iloc[0]
    assert us["date"] == "2027-02-01 12:00" and us["msssim"] == 0.95 and us["psnr"] == 30
    assert rows.groupby("rate")["msssim"].apply(lambda scores: scores.is_monotonic_decreasing).all()
    assert "| CLIC 2027 validation | us" in markdown(BOARD, rows)
    assert len(with_archived(entries_table([entry(image_set="mine")]), "mine")) == 1
    assert with_archived(entries_table([entry()]), "Kodak").empty


def test_entries_survive_as_lines_of_json() -> None:
    entries = [entry("équipe"), entry("us", 3, rate=0.075)]
    assert from_json(to_json(entries)) == entries
    for damaged in ("{", '{"team": "x"}', "[]", to_json(entries).replace('"rate"', '"speed"')):
        with pytest.raises(ClicError, match="line 1 of the entries: not an entry"):
            from_json(damaged)


def test_times_are_ordered_across_zones() -> None:
    earlier = entry("east", time=datetime(2027, 2, 1, 12, tzinfo=timezone(timedelta(hours=9))))
    assert list(entries_table([entry(), earlier])["team"]) == ["east", "us"]
    assert list(entries_table([]).columns) == list(COLUMNS) and standing(entries_table([])).empty
    assert best_over_time(entries_table([])).empty


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"team": ""}, "entry of nobody at 0.15 bpp: team and image set need names"),
        ({"image_set": ""}, "team and image set need names"),
        ({"phase": "practice"}, "phase 'practice'; expected validation or test"),
        ({"time": datetime(2027, 2, 1)}, "a time without its zone"),
    ],
)
def test_what_is_no_entry(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClicError, match=said):
        entry(**changes)


def test_entries_of_a_run_hold_its_hashes(tmp_path: Path) -> None:
    board = pd.DataFrame([{name: getattr(entry(), name) for name in COLUMNS if name not in ("time", "phase")}])
    results = Results(tmp_path, board, pd.DataFrame(), pd.DataFrame(), {"profile": {"data_file": "bs.zip"}})
    board = board.drop(columns=["image_set", "track", "decoder_sha224", "data_sha224"])
    results = replace(results, leaderboard=board)
    occasion = Occasion(NOON, "mine", "validation", "cpu")
    with pytest.raises(ClicError, match=r"decoder\.zip: no such file"):
        entries_of_run(results, occasion)
    (tmp_path / "0.15").mkdir()
    (tmp_path / "0.15" / "decoder.zip").write_bytes(b"decoder")
    (tmp_path / "0.15" / "bs.zip").write_bytes(b"data")
    (made,) = entries_of_run(results, occasion)
    hashes = [hashlib.sha224(content).hexdigest() for content in (b"decoder", b"data")]
    assert made == entry(image_set="mine", decoder_sha224=hashes[0], data_sha224=hashes[1])
    with pytest.raises(ClicError, match=r"run\.json: no name of the data file"):
        entries_of_run(replace(results, run={}), occasion)
