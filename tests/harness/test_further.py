"""Points beyond those of a sweep: asked for after each selection, coded once, found by all that read candidates."""

import json
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest
from helpers import group_is_gone, swept, wait_until
from toy_codec import Adaptive, ToyCodec

from harness.challenge.pack import set_pixels
from harness.challenge.profiles import Target, load_profile
from harness.cli import main
from harness.codecs import protocol
from harness.codecs.contract import checked
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.images import list_images
from harness.rates import Rate
from harness.records import Candidate
from harness.selection.exact import select
from harness.store import open_store
from harness.sweep.further import ROUNDS, Goal, Swept, foretold_seconds, sweep_further
from harness.sweep.local import LocalProcesses
from harness.sweep.originals import record_originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep

ADAPTIVE = "toy_codec:Adaptive"
POINTS = list(ToyCodec().points())
RATES = (0.25, 0.5)


class Endless(Adaptive):
    """Has always one more point."""

    name = "endless"

    def further(
        self, chosen: Mapping[str, Sequence[str]], coded: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        return {image: [str(60 + len(points))] for image, points in coded.items()}


def adapted(
    folder: Path, out: Path, codecs: Sequence[str] = (ADAPTIVE,), rates: Sequence[float] = RATES
) -> pd.DataFrame:
    """The candidates of a folder by codecs, with what they add for the rates."""
    with open_store(out) as store:
        originals = record_originals(list_images(folder), store)
        both = [Swept(codec := open_codec(spec), Plan(originals, describe(codec, spec))) for spec in codecs]
        plain = pd.concat([sweep(one.plan, store, LocalProcesses(2)) for one in both])
        pixels = int(plain.groupby("image")[["width", "height"]].first().prod(axis=1).sum())
        goal = Goal([round(rate * pixels / 8) for rate in rates])
        return sweep_further(both, store, LocalProcesses(2), goal)


def without_time(table: pd.DataFrame) -> pd.DataFrame:
    return table.drop(columns="encode_seconds").reset_index(drop=True)


def test_a_selection_gains_by_further_points_and_ends_where_none_is_left(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    table = adapted(photographs, out)
    plain = table[table["point"].isin(POINTS)]
    budget = round(RATES[0] * set_pixels(table) / 8)
    assert select(table, budget).score > select(plain, budget).score
    for _, rows in table.groupby("image"):  # a codec's own points first, then the further ones by their bytes
        assert list(rows["point"][: len(POINTS)]) == POINTS and len(rows) > len(POINTS) + 2
        assert rows["bytes"][len(POINTS) :].is_monotonic_increasing
    for rate in RATES:  # neighbours of all that is chosen were asked for
        for image, point in select(table, round(rate * set_pixels(table) / 8)).points.items():
            known = set(table[table["image"] == image]["point"])
            assert int(str(point)) in (2, 60) or {str(int(str(point)) - 1), str(int(str(point)) + 1)} & known
    again = adapted(photographs, out)
    pd.testing.assert_frame_equal(again, table)


def test_all_that_reads_candidates_finds_them(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    rules = ["--profile", "clic2021"]
    assert main(["submit", str(photographs), "--out", str(out), "--codec", ADAPTIVE, "--rates", "0.25", *rules]) == 0
    point = {"point": str, "image": str}
    table, scores = (pd.read_csv(out / name, dtype=point) for name in ("candidates.csv", "scores.csv"))
    assert len(table) > 4 * len(POINTS) and set(scores["point"]) - set(POINTS)
    data = (out / "0.25/images.zip").read_bytes()
    budget = Target(load_profile("clic2021"), Rate.parse("0.25"), set_pixels(table)).budget
    assert len(data) <= budget
    capsys.readouterr()
    assert main(["select", str(out), "--budget", str(budget), "--json"]) == 0
    assert set(map(str, json.loads(capsys.readouterr().out)["points"].values())) - set(POINTS)
    assert main(["pack", str(out), "--rate", "0.25", "--out", str(tmp_path / "packed"), *rules]) == 0
    assert (tmp_path / "packed/0.25/images.zip").read_bytes() == data


def test_encoding_for_rates_codes_what_a_submission_would(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["encode", str(photographs), "--out", str(out), "--codec", ADAPTIVE, "--codec", "toy_codec:ToyCodec"]
    assert main([*arguments, "--rates", "0.25,0.5"]) == 0
    table = pd.read_csv(out / "candidates.csv", dtype=str)
    wanted = adapted(photographs, tmp_path / "submitted")
    columns = ["image", "point", "stream_sha256"]
    found = table[table["codec"] == "adaptive"][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, wanted[columns])


def test_killed_and_resumed_asks_the_same_again(
    photographs: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """Also where a killed run had got further than the selection of the next one's first round would lead."""
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = [
        "submit",
        photographs,
        "--codec",
        ADAPTIVE,
        "--rates",
        "0.25,0.5",
        "--workers",
        1,
        "--profile",
        "clic2021",
    ]
    for more in (3, 9):
        process = start_clic(*arguments, "--out", out, TOY_DELAY="0.05")
        wait_until(lambda more=more: coded(out) >= 4 * len(POINTS) + more)  # type: ignore[misc]
        process.kill()
        process.wait()
        wait_until(lambda process=process: group_is_gone(process))  # type: ignore[misc]
    for folder in (out, whole):
        assert main([*map(str, arguments), "--out", str(folder)]) == 0
    first, second = (pd.read_csv(folder / "candidates.csv", dtype=str) for folder in (out, whole))
    pd.testing.assert_frame_equal(without_time(first), without_time(second))
    for rate in ("0.25", "0.5"):
        assert (out / rate / "images.zip").read_bytes() == (whole / rate / "images.zip").read_bytes()


def coded(folder: Path) -> int:
    """The number of candidates that a run has so far."""
    if not (folder / "results.sqlite").exists():
        return 0
    with open_store(folder, write=False) as store:
        return len(store.rows(Candidate))


def test_several_codecs_are_asked_for_what_was_chosen_of_them(photographs: Path, tmp_path: Path) -> None:
    table = adapted(photographs, tmp_path / "out", [ADAPTIVE, "toy_codec:ToyCodec"])
    beyond = table[~table["point"].isin(POINTS)]
    assert set(table["codec"]) == {"adaptive", "toy"} and set(beyond["codec"]) == {"adaptive"}
    plain = adapted(photographs, tmp_path / "plain", ["toy_codec:ToyCodec"])
    assert set(plain["point"]) == set(POINTS)


def test_rounds_have_a_bound(photographs: Path, tmp_path: Path) -> None:
    table = adapted(photographs, tmp_path / "out", [f"{__name__}:Endless"])
    assert len(table) == 4 * (len(POINTS) + ROUNDS)


def test_names_of_one_file_share_further_points(photographs: Path, tmp_path: Path) -> None:
    (photographs / "again.png").write_bytes((photographs / "alps.png").read_bytes())
    table = adapted(photographs, tmp_path / "out")
    one, other = (table[table["image"] == name].drop(columns=["image"]) for name in ("again", "alps"))
    assert without_time(one).equals(without_time(other))


def test_points_that_cannot_be_coded_are_done_without(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """30 is chosen at a high rate, and one of its neighbours fails."""
    out = tmp_path / "out"
    table = adapted(photographs, out, rates=(0.25, 0.5, 0.6))
    assert "31" not in set(table["point"]) and len(table) > 4 * len(POINTS)
    said = capsys.readouterr().err
    assert "31: ValueError: not 31" in said and "could not be coded, see" in said
    assert set(pd.read_csv(out / "failures.csv", dtype=str)["point"]) == {"31"}


def test_long_rounds_are_announced(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOY_SECONDS", "30")
    adapted(photographs, tmp_path / "out")
    said = capsys.readouterr().err
    assert "of 4 images, about " in said and "minutes of one core: qualities between the others" in said


def test_what_further_points_take_is_foretold(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half-way from 10 and 30 to their neighbours until none is left, for four images by their pixels."""
    monkeypatch.setenv("TOY_SECONDS", "2")
    images = list_images(photographs)
    codec = open_codec(ADAPTIVE)
    assert isinstance(codec, protocol.Adaptive)
    pixels = [source.pixels for source in images]
    beyond = {6, 8, 9, 20, 15, 12, 11, 25, 27, 28, 29, 45, 37, 33, 31}
    found = foretold_seconds(codec, images, rates=2)
    assert found == pytest.approx(2 * len(beyond) * sum(pixels) / max(pixels))


def test_a_rate_that_cannot_be_reached_adds_nothing(photographs: Path, tmp_path: Path) -> None:
    table = adapted(photographs, tmp_path / "out", rates=(0.001,))
    assert set(table["point"]) == set(POINTS)


@pytest.mark.parametrize(
    ("member", "answer", "says"),
    [
        ("further", {"other": ["1"]}, "points of 'other', which is no image"),
        ("further", {"image": "1"}, r"a value of further\(\) is '1'"),
        ("further", {"image": [1]}, r"a point of further\(\) is 1 \(int\)"),
        ("further", ["1"], r"what further\(\) returns is"),
        ("seconds", [1.0, 2.0], r"what seconds\(\) returns is"),
        ("seconds", [float("nan")], r"what seconds\(\) returns is"),
        ("seconds", None, r"seconds\(\) failed \(TypeError"),
    ],
)
def test_wrong_answers_are_one_line(member: str, answer: object, says: str) -> None:
    toy = Adaptive()
    vars(toy)[member] = lambda *_: answer
    codec = checked(toy, "adaptive")
    with pytest.raises(ClicError, match=says):
        if member == "further":
            codec.further({"image": ["2"]}, {"image": POINTS})  # type: ignore[attr-defined]
        else:
            codec.seconds(None, ["2"])  # type: ignore[attr-defined]


def test_sweeping_again_leaves_further_points(photographs: Path, tmp_path: Path) -> None:
    table = adapted(photographs, tmp_path / "out")
    pd.testing.assert_frame_equal(swept(photographs, ADAPTIVE, tmp_path / "out"), table)
