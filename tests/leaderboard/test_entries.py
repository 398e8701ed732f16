"""A board over time: which entries stay, why others do not, and what stands beside them."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from helpers import photograph

from harness.errors import ClicError
from harness.files import sha256
from harness.images import list_images
from harness.records import Allocation, Entry, Image, ImageFile, Member
from harness.store import open_store
from leaderboard.board_store import add, entries, from_json, to_json
from leaderboard.columns import BOARD
from leaderboard.entries import (
    COLUMNS,
    best_over_time,
    checked,
    entries_table,
    judge,
    standing,
    with_archived,
)
from leaderboard.report.time_plot import time_plot
from leaderboard.tables import markdown

Clic = Callable[..., CompletedProcess[str]]
NOON = datetime(2027, 2, 1, 12, tzinfo=UTC)


def at(minutes: float) -> str:
    """A date, so many minutes after noon."""
    return (NOON + timedelta(minutes=minutes)).isoformat()


def entry(team: str = "us", minutes: int = 0, **changes: Any) -> Entry:
    base = Entry(
        id=None,
        allocation=None,
        team=team,
        date=at(minutes),
        profile="clic2027",
        track="cpu",
        variant=1,
        rate="0.15",
        data_bytes=990,
        data_sha224=f"data of {team} {minutes}",
        decoder_bytes=5,
        decoder_sha224=f"decoder of {team}",
        decode_seconds=10.0,
        msssim_competition=0.95,
        msssim_paper=0.96,
        psnr_competition=30.0,
        psnr_paper=31.0,
        elo=None,
        accepted=True,
        findings="[]",
        source="clic leaderboard",
        inputs_sha256="",
        verification="",
        image_set="CLIC 2027 validation",
        phase="validation",
        budget_bytes=1000,
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
    others = [replace(again, rate="0.3"), replace(again, image_set="mine"), replace(again, team="copycats")]
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
    entries = [
        entry(team, rate=rate) for team in "abcd" for rate in ("0.075", "0.15", "0.3") if (team, rate) != ("d", "0.3")
    ]
    seconds = {"a": 9, "b": 1, "c": 2, "d": 3}
    entries += [
        replace(one, phase="test", image_set="t", date=at(1440), decode_seconds=seconds[one.team]) for one in entries
    ]
    rows = standing(entries_table(entries)).query("phase == 'test' and rate == 0.15").set_index("team")["no_prize"]
    assert rows.to_dict() == {"a": "among the slowest 25 %", "b": "", "c": "", "d": "nothing at 0.3 bpp"}
    validation = standing(entries_table(entries)).query("phase == 'validation'")
    assert set(validation["no_prize"]) == {""}
    # rules that say nothing of the slowest, and rules of somebody's own
    for profile in ("clic2022", "mine"):
        others = standing(entries_table([replace(one, profile=profile) for one in entries]))
        assert set(others["no_prize"]) == {"", "nothing at 0.3 bpp"}


def test_best_over_time_are_the_steps_of_the_graph() -> None:
    scores = [0.90, 0.92, 0.91, 0.92, 0.95]
    entries = [entry("ab"[n % 2], n, msssim_competition=score) for n, score in enumerate(scores)]
    entries.append(entry("c", 9, msssim_competition=0.99, data_bytes=5000))
    entries.append(entry("d", 1, rate="0.3", msssim_competition=0.5))
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


def test_what_did_not_pass_is_no_row() -> None:
    assert reasons(entry(accepted=False), entry(minutes=1)) == ["it did not pass the checks", ""]


def test_entries_survive_as_json(tmp_path: Path) -> None:
    file = tmp_path / "entries.json"
    kept = [checked(entry("équipe", msssim_paper=float("nan"))), checked(entry("us", 3, rate="0.075", elo=1200.5))]
    file.write_text(to_json(kept))
    read = from_json(file)
    assert repr(read) == repr(kept)
    for damaged, said in (
        ("{", "not readable as JSON"),
        ("{}", "a list of entries is expected"),
        ("[1]", "entry 1: not an entry"),
        ('[{"team": "x"}]', "entry 1: not an entry"),
        (to_json(kept).replace('"rate"', '"speed"'), "entry 1: not an entry"),
        (to_json(kept).replace('"data_bytes": 990', '"data_bytes": "990"'), "entry 1: data_bytes is '990'"),
        (to_json(kept).replace("2027-02-01T12:03", "yesterday"), "of us at 0.075 bpp: date 'yesterday"),
    ):
        file.write_text(damaged)
        with pytest.raises(ClicError, match=said):
            from_json(file)


def test_a_board_keeps_each_entry_once(tmp_path: Path) -> None:
    board = tmp_path / "board"
    first = add(board, [entry(), entry("them", 1)])
    assert len(first) == 2 and add(board, [entry(minutes=0), entry("them", 2)]) != []
    assert [(one.team, one.date[11:16]) for one in entries(board)] == [
        ("us", "12:00"),
        ("them", "12:01"),
        ("them", "12:02"),
    ]
    assert add(board, [entry()]) == []
    with pytest.raises(ClicError, match=r"no results\.sqlite"):
        entries(tmp_path / "nothing")


def test_times_are_ordered_across_zones_and_without_one_are_utc() -> None:
    earlier = entry("east", date="2027-02-01T12:00+09:00")
    assert list(entries_table([entry(), earlier, entry("day", date="2027-02-01")])["team"]) == ["day", "east", "us"]
    assert list(entries_table([]).columns) == ["time", *COLUMNS] and standing(entries_table([])).empty
    assert best_over_time(entries_table([])).empty
    assert checked(entry(date="2027-02-01", rate="0.150")).date == "2027-02-01T00:00:00+00:00"
    assert checked(entry(rate="0.150")).rate == "0.15"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"team": ""}, "entry of nobody at 0.15 bpp: team and image set need names"),
        ({"image_set": ""}, "team and image set need names"),
        ({"phase": "practice"}, "phase 'practice'; expected validation or test"),
        ({"date": "soon"}, "date 'soon'; write 2027-03-01"),
        ({"rate": "fast"}, "fast"),
        ({"data_bytes": None, "decoder_sha224": ""}, "no data_bytes, decoder_sha224; add what 'clic submit' recorded"),
    ],
)
def test_what_is_no_entry(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ClicError, match=said):
        checked(entry(**changes))


def make_run(folder: Path, photographs: Path, passed: bool = True) -> Path:
    """A run's folder with what `clic submit` leaves there of submissions that passed, and of one that did not."""
    sources = list_images(photographs)
    with open_store(folder) as store:
        hashes = {source.name: sha256(source.path.read_bytes()) for source in sources}
        for source in sources:
            file, digest = source.path.stat(), hashes[source.name]
            store.put(
                ImageFile(str(source.path.resolve()), file.st_size, file.st_mtime_ns, digest),
                Image(digest, source.width, source.height, ""),
                Member("the set", source.name, digest),
            )
        number = store.allocate(Allocation(None, "the set", "competition", "x", 1000, 9, 990, 0.9, 0.9), {})
        measured = json.dumps({"budget_bytes": 1000, "pixels": 1})
        made = entry("my team", allocation=number, source="clic submit", image_set="", track="", budget_bytes=None)
        made = replace(made, verification=measured)
        for rate in ("0.075", "0.15"):
            store.append(replace(made, rate=rate, accepted=passed))
        store.append(replace(made, accepted=False, data_sha224="rejected"))
    return folder


def test_the_command_adds_shows_and_exports(clic: Clic, tmp_path: Path, photographs: Path) -> None:
    board, run = tmp_path / "board", make_run(tmp_path / "run", photographs)
    done = clic("leaderboard", "add", board, run, "--track", "cpu")
    assert done.returncode == 0 and f"{board}: 2 rows added, 0 there before" in done.stderr, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [(row[1], row[3], row[4]) for row in rows] == [
        ("my team", "0.075", "0.95000"),
        ("my team", "0.15", "0.95000"),
    ]
    label = rows[0][2]
    assert label.startswith("own set ") and label.endswith(", 4 images")
    assert "0 rows added, 2 there before" in clic("leaderboard", "add", board, run, "--track", "cpu").stderr
    # a test phase whose decoder is known, and another team by its JSON
    other = tmp_path / "others.json"
    other.write_text(to_json([entry("others", 30, image_set=label), entry("over", data_bytes=2000, image_set=label)]))
    assert clic("leaderboard", "add", board, other).returncode == 0
    shown = clic("leaderboard", "show", board, "--all", COLUMNS="160").stdout
    assert "my team" in shown and "others" in shown and "other images" in shown and "these images" in shown
    assert "1,000 bytes over the budget" in shown
    exported = list(csv.DictReader(io.StringIO(clic("leaderboard", "export", board, "--to", "csv").stdout)))
    own = [row for row in exported if row["relation"] == "these images"]
    assert {(row["team"], row["rate"]) for row in own} == {
        ("my team", "0.075"),
        ("my team", "0.15"),
        ("others", "0.15"),
    }
    assert {row["image_set"] for row in exported} - {label} and len(exported) > len(own)
    # JSON goes to another board as it is
    given = tmp_path / "given.json"
    assert clic("leaderboard", "export", board, "--to", "json", "--out", given).stdout == f"{given}\n"
    assert "4 rows added" in clic("leaderboard", "add", tmp_path / "copy", given).stderr
    page = clic("leaderboard", "export", board, "--to", "html").stdout
    assert page.count("<svg") == 2 and "others, 0.15 bpp, 2027-02-01 12:30: 0.95000, 13.01 dB" in page
    assert "Entries that are no row" in page and "<script" not in page and "://" not in page
    for face, said in (("markdown", "| image set"), ("latex", r"\toprule")):
        assert said in clic("leaderboard", "export", board, "--to", face).stdout


def test_phase_track_and_variant_are_shown(clic: Clic, tmp_path: Path, photographs: Path) -> None:
    board, run = tmp_path / "board", make_run(tmp_path / "run", photographs)
    assert clic("leaderboard", "add", board, run, "--track", "cpu").returncode == 0
    label = entries(board)[0].image_set
    later = [entry("my team", 30, image_set=label, phase="test", variant=2, decoder_sha224="decoder of my team")]
    (tmp_path / "later.json").write_text(to_json(later))
    assert clic("leaderboard", "add", board, tmp_path / "later.json").returncode == 0
    shown = clic("leaderboard", "show", board, "--all", COLUMNS="160").stdout
    head = next(line for line in shown.splitlines() if "measured on" in line)
    assert all(title in head for title in ("phase", "track", "variant"))
    [line] = [line.split() for line in shown.splitlines() if "my team" in line and " test " in line]
    assert "cpu" in line and "2" in line
    exported = list(csv.DictReader(io.StringIO(clic("leaderboard", "export", board, "--to", "csv").stdout)))
    own = [(row["phase"], row["track"], row["variant"]) for row in exported if row["team"] == "my team"]
    assert sorted(own) == [("test", "cpu", "2"), ("validation", "cpu", "1"), ("validation", "cpu", "1")]


def test_the_same_files_are_not_put_into_the_other_phase(clic: Clic, tmp_path: Path, photographs: Path) -> None:
    board, run = tmp_path / "board", make_run(tmp_path / "run", photographs)
    assert clic("leaderboard", "add", board, run).returncode == 0
    done = clic("leaderboard", "add", board, run, "--phase", "test")
    assert done.returncode == 2
    said = "my team at 0.075 bpp is there as an entry of the validation phase, with the same files of the same images"
    assert said in done.stderr.splitlines()[-1]
    assert {one.phase for one in entries(board)} == {"validation"} and len(entries(board)) == 2
    assert "0 rows added, 2 there before" in clic("leaderboard", "add", board, run).stderr


def test_what_the_command_refuses(clic: Clic, tmp_path: Path, photographs: Path) -> None:
    def refused(*words: object) -> str:
        done = clic("leaderboard", *words)
        assert done.returncode == 2 and "Traceback" not in done.stderr
        return str(done.stderr.splitlines()[-1])

    board, run = tmp_path / "board", make_run(tmp_path / "run", photographs)
    assert refused("show", board).endswith(
        f"{board}: no results.sqlite, so no board; give the folder of one, or begin it with 'clic leaderboard add "
        f"{board} RUN'"
    )
    assert refused("add", board, photographs).endswith("no results.sqlite; give the folder of a run")
    assert "no submission that passed; run 'clic submit' there first" in refused(
        "add", board, make_run(tmp_path / "no", photographs, False)
    )
    moved = photographs.rename(tmp_path / "moved")
    assert "not where it was coded from, or changed since; give the photographs' folder" in refused("add", board, run)
    assert clic("leaderboard", "add", board, run, "--images", moved).returncode == 0
    next(moved.iterdir()).write_bytes(photograph_bytes())
    assert "not in that folder, or changed since" in refused("add", board, run, "--images", moved)
    assert "invalid choice: 'practice'" in refused("add", board, run, "--phase", "practice")


def photograph_bytes() -> bytes:
    buffer = io.BytesIO()
    photograph(77, 180, 170).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_graph_has_a_mark_for_each_entry_and_steps_that_rise() -> None:
    given = [entry("a", n, msssim_competition=s) for n, s in enumerate((0.9, 0.95, 0.93, 0.97))]
    given += [entry("b", 5, rate="0.3", msssim_competition=1.0)]
    table = entries_table(given)
    drawn = time_plot(standing(table), best_over_time(table), 980)
    assert drawn.count('class="mark"') == 5 and drawn.count('class="steps"') == 2
    path = re.findall(r'class="steps" d="([^"]*)"', drawn)[0]
    heights = [float(number) for number in re.findall(r"(?:V|,)([\d.]+)", path)]
    assert heights == sorted(heights, reverse=True) and len(heights) == 3
    assert time_plot(standing(entries_table([])), best_over_time(entries_table([])), 980) == ""
