"""From a folder of photographs to a submission: what is written, what is refused, and what a kill costs."""

import json
import re
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from helpers import TOY, group_is_gone, swept, wait_until
from PIL import Image
from toy_codec import Liar, ToyCodec

from harness.challenge.archive import sha224
from harness.challenge.pack import RateUnreachable, pack, set_pixels
from harness.challenge.profiles import Profile, Target, load_profile
from harness.challenge.submit import Request, submit
from harness.challenge.verify import verify
from harness.cli import main
from harness.errors import ClicError
from harness.locks import exclusive
from harness.rates import Rate
from harness.records import Entry
from harness.scores.aggregate import aggregate, score_folders
from harness.selection.exact import Selection, select
from harness.store import open_store
from harness.streams import read_stream, stream_path

RATES = ("0.25", "0.4")
PROFILE = load_profile("clic2027")


def request(*rates: str, codec: str = TOY, team: str | None = "team") -> Request:
    return Request(codec, PROFILE, [Rate.parse(rate) for rate in rates or RATES], team=team)


def target(candidates: pd.DataFrame, rate: str, profile: Profile = PROFILE) -> Target:
    return Target(profile, Rate.parse(rate), set_pixels(candidates))


def files(folder: Path) -> dict[str, bytes]:
    """What goes to the challenge and what it decodes to."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for rate in RATES
        for path in sorted((folder / rate).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def run(photographs: Path, tmp_path: Path) -> tuple[pd.DataFrame, Path]:
    """Candidates, and the folder of the run."""
    return swept(photographs, TOY, tmp_path / "run"), tmp_path / "run"


class NoWeights(ToyCodec):
    """Its decoder cannot be put together."""

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        return {"decode": Path("weights.pt").read_bytes()}


def test_a_decoder_that_cannot_be_made_is_told_before_anything_is_coded(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ClicError, match=r"codec 'toy': decoder_files\(\) failed \(FileNotFoundError: .*weights.pt"):
        submit(photographs, tmp_path / "out", request("0.5", codec=f"{__name__}:NoWeights"))
    assert not (tmp_path / "out").exists()


def test_the_whole_way(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    result = submit(photographs, out, request(team="Team [1]"))
    assert tuple(map(str, result.passed)) == RATES and not result.rejected
    said = capsys.readouterr().err

    board = pd.read_csv(out / "leaderboard.csv", dtype={"rate": str})
    scores = pd.read_csv(out / "scores.csv", dtype={"rate": str, "image": str, "point": str})
    run = json.loads((out / "run.json").read_text())
    assert list(board["rate"]) == list(RATES) and set(board["team"]) == {"Team [1]"}
    for row in board.itertuples():
        folder = out / row.rate
        assert sha224(folder / "decoder.zip") in said
        assert f"{row.rate}: 4/4 images equal to the encoder's reconstruction (sha256 " in said
        again = verify(folder, photographs, PROFILE, row.rate)
        assert again.ok, again.findings
        assert (row.data_bytes, row.budget_bytes) == (again.data_bytes, again.budget_bytes)
        assert row.data_bytes == (folder / PROFILE.data_file).stat().st_size <= row.budget_bytes
        measured = score_folders(photographs, folder / "images")
        recorded = scores[scores["rate"] == row.rate].reset_index(drop=True)
        columns = ["image", "width", "height", "msssim_competition", "msssim_paper", "mse", "psnr"]
        pd.testing.assert_frame_equal(measured[columns], recorded[columns], check_dtype=False)
        assert row.msssim_competition == pytest.approx(aggregate(measured).msssim_competition, abs=1e-12)
        selection = run["rates"][row.rate]["selection"]
        assert selection["points"] == dict(zip(recorded["image"], recorded["point"], strict=True))
        assert selection["bytes"] == row.data_bytes
    assert board["msssim_competition"].is_monotonic_increasing
    assert str(tmp_path) not in (out / "run.json").read_text()
    assert main(["report", str(out), "--images", str(photographs)]) == 0
    assert (out / "leaderboard.md").read_text().count("\n") == 4
    assert "<html" in (out / "report.html").read_text()
    assert not list(out.glob("**/.*.part"))


def test_finished_steps_are_not_done_again(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    submit(photographs, out, request())
    before, board = files(out), (out / "leaderboard.csv").read_bytes()
    capsys.readouterr()
    submit(photographs, out, request())
    said = capsys.readouterr().err
    assert said.count("decoded and verified before") == 2 and "decoding in the sandbox" not in said
    assert (out / "leaderboard.csv").read_bytes() == board  # with the seconds that decoding took at first

    (out / "0.25/images/alps.png").write_bytes((out / "0.25/images/beach.png").read_bytes())
    (out / "0.25/images/stale.png").touch()
    (out / "0.4/decoder.zip").unlink()
    submit(photographs, out, request())
    said = capsys.readouterr().err
    assert "0.25: decoding in the sandbox" in said and "0.4: decoded and verified before" in said
    assert files(out) == before


def test_a_board_is_of_one_track_and_variant(photographs: Path, tmp_path: Path) -> None:
    out, asked = tmp_path / "out", request("0.25")
    submit(photographs, out, asked)
    for other, where in (
        (replace(asked, variant=2), ("cpu", 2)),
        (replace(asked, profile=PROFILE.on("gpu")), ("gpu", 1)),
    ):
        submit(photographs, out, replace(other, rates=[Rate.parse("0.4")]))
        assert list(pd.read_csv(out / "leaderboard.csv", dtype=str)["rate"]) == ["0.4"]
        run = json.loads((out / "run.json").read_text())
        assert (run["track"], run["variant"]) == where
    with open_store(out) as store:
        entries = store.rows(Entry)
    assert [(e.track, e.variant, e.rate) for e in entries] == [
        ("cpu", 1, "0.25"),
        ("cpu", 2, "0.4"),
        ("gpu", 1, "0.4"),
    ]
    times = [datetime.fromisoformat(entry.date) for entry in entries]  # of a day there may be several
    assert times == sorted(times) and all(time.tzinfo and "T" in e.date for time, e in zip(times, entries, strict=True))


@pytest.mark.parametrize("moment", ["streams/*/*.bin", "0.25/decoder.zip", "0.4/bs.zip"])
def test_killed_and_resumed_gives_the_same_bytes(
    photographs: Path, tmp_path: Path, moment: str, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    out = tmp_path / "out"
    arguments = ["submit", photographs, "--out", out, "--codec", TOY, "--rates", ",".join(RATES)]
    process = start_clic(*arguments, TOY_DELAY="0.02")
    wait_until(lambda: list(out.glob(moment)))
    process.kill()
    process.wait()
    wait_until(lambda: group_is_gone(process))
    assert not (out / "leaderboard.csv").exists()
    submit(photographs, out, request())
    submit(photographs, tmp_path / "unbroken", request())
    assert files(out) == files(tmp_path / "unbroken")
    assert not list(out.glob("**/.*.part"))


def test_other_pixels_than_announced(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ClicError, match=r"0\.4/images/007\.png: other pixels .* point .* 'liar'"):
        submit(photographs, tmp_path / "out", request("0.4", codec="toy_codec:Liar"))


def test_a_rate_out_of_reach_is_its_finding_and_names_one_that_works(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = submit(photographs, out, request("0.075", "0.4"))
    assert [str(rate) for rate in result.passed] == ["0.4"]
    [(rate, [finding])] = result.rejected.items()
    assert str(rate) == "0.075" and finding.startswith("rate 0.075: the smallest data file")
    recorded = json.loads((out / "run.json").read_text())["rates"]
    assert set(recorded) == {"0.075", "0.4"} and recorded["0.075"]["findings"] == [finding]
    assert list(pd.read_csv(out / "leaderboard.csv")["rate"]) == [0.4]

    table, codec = swept(photographs, TOY, out), ToyCodec()
    with pytest.raises(RateUnreachable) as caught:
        pack(table, codec, out, target(table, "0.075"))
    smallest = caught.value.smallest
    assert smallest is not None and f" {smallest} bits per pixel" in finding
    packed = pack(table, codec, out, Target(PROFILE, smallest, set_pixels(table)))
    assert set(packed.selection.points.values()) == {"2"} and packed.selection.bytes <= packed.selection.budget
    with pytest.raises(RateUnreachable):
        pack(table, codec, out, target(table, str(float(smallest) - 0.0002)[:8]))


@pytest.mark.parametrize("command", ["submit", "pack"])
def test_one_pixel_fits_no_rate_at_all(command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "photographs").mkdir()
    Image.new("RGB", (1, 1), "red").save(tmp_path / "photographs" / "dot.png")
    out = tmp_path / "out"
    arguments = [str(tmp_path / "photographs"), "--out", str(out), "--codec", "jpeg", "--rates", "3"]
    if command == "pack":
        assert main(["encode", *arguments]) == 0
        arguments = [str(out), "--rate", "3", "--out", str(tmp_path / "packed")]
    assert main([command, *arguments]) == 1
    found = re.search(
        r"rate 3: the smallest data file of these images by codec 'jpeg' takes (\d+) bytes, (\d+) bits per pixel, and "
        r"the budget is 1; 1000 is the most that can be asked for: give more or larger photographs",
        capsys.readouterr().err,
    )
    assert found and int(found[2]) == 8 * int(found[1]) > 1000


def board(out: Path) -> dict[str, str]:
    """The codec of each rate that is on the board, which run.json and scores.csv must agree with."""
    rates = list(pd.read_csv(out / "leaderboard.csv", dtype=str)["rate"])
    scores = pd.read_csv(out / "scores.csv", dtype=str)
    recorded = json.loads((out / "run.json").read_text())["rates"]
    codecs = {rate: scores.loc[scores["rate"] == rate, "codec"].unique().item() for rate in rates}
    assert codecs == {rate: recorded[rate]["codec"]["name"] for rate in recorded}
    return codecs


def test_what_was_verified_stays_on_the_board(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    submit(photographs, out, request("0.25"))
    assert board(out) == {"0.25": "toy"}
    before = pd.read_csv(out / "leaderboard.csv")
    submit(photographs, out, request("0.4", codec="toy_codec:Telling"))
    assert board(out) == {"0.25": "toy", "0.4": "telling"}
    pd.testing.assert_frame_equal(pd.read_csv(out / "leaderboard.csv").iloc[:1], before)
    submit(photographs, out, request("0.4"))
    assert board(out) == {"0.25": "toy", "0.4": "toy"}
    submit(photographs, out, request("0.4", codec="toy_codec:Telling"))
    assert board(out) == {"0.25": "toy", "0.4": "telling"}

    capsys.readouterr()
    (out / "0.25/images/alps.png").write_bytes((out / "0.25/images/beach.png").read_bytes())
    submit(photographs, out, request("0.5"))
    assert board(out) == {"0.4": "telling", "0.5": "toy"}
    assert "0.25: what was verified there before was lost or altered" in capsys.readouterr().err
    (photographs / "alps.png").unlink()  # another set: its scores are no company for these
    submit(photographs, out, request("0.5"))
    assert board(out) == {"0.5": "toy"}


def test_notes_on_conversion_reach_the_report(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for name, mode in (("alps", "RGBA"), ("beach", "L")):
        with Image.open(photographs / f"{name}.png") as image:
            converted = image.convert(mode)
        converted.save(photographs / f"{name}.png")
    arguments = ["submit", str(photographs), "--out", str(out), "--codec", TOY, "--rates", "0.5"]
    assert main(arguments) == 0
    html = (out / "report.html").read_text()
    assert html.count("alpha dropped") >= 1 and "greyscale copied to three channels" in html
    images = json.loads((out / "run.json").read_text())["images"]
    assert images["alps"]["note"] == "alpha dropped" and "note" not in images["007"]


def test_one_run_at_a_time(photographs: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"), pytest.raises(ClicError, match="another run is working"):
        submit(photographs, tmp_path / "out", request())


class Padded(ToyCodec):
    """Its container costs more for some choices than for others, by more than the streams differ."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        return super().pack(streams) + bytes(sum(len(stream) * 7 % 300 for stream in streams.values()))


def packed_streams(candidates: pd.DataFrame, selection: Selection) -> int:
    """Bytes of the streams that a selection is made of."""
    return int(candidates.loc[candidates["image"].map(selection.points) == candidates["point"], "bytes"].sum())


@pytest.mark.parametrize("codec", [ToyCodec(), Padded()])
def test_packed_never_over_budget_and_close_to_it(
    run: tuple[pd.DataFrame, Path], tmp_path: Path, codec: ToyCodec
) -> None:
    candidates, folder = run
    most = len(codec.pack({image: b"" for image in candidates["image"]})) + 4 * 300 + 200
    for rate in [f"{0.25 + step / 50:.2f}" for step in range(25)]:
        written = pack(candidates, codec, folder, target(candidates, rate))
        written.write(tmp_path / rate)
        packed = written.selection
        assert written.overhead == packed.bytes - packed_streams(candidates, packed)
        size = (tmp_path / rate / PROFILE.data_file).stat().st_size
        assert size == packed.bytes <= packed.budget
        floor = candidates.groupby("image")["bytes"].min().sum()
        if packed.budget >= floor + most:
            assert packed.score >= select(candidates, packed.budget, overhead=most).score


def test_containers(run: tuple[pd.DataFrame, Path], photographs: Path, tmp_path: Path) -> None:
    candidates, folder = run
    packed = pack(candidates, ToyCodec(), folder, target(candidates, "0.5"))
    packed.write(tmp_path / "zip")
    with zipfile.ZipFile(tmp_path / "zip" / PROFILE.data_file) as archive:
        [member] = archive.infolist()
        assert (member.filename, member.compress_type) == (PROFILE.payload, zipfile.ZIP_STORED)

    rules = tmp_path / "raw.toml"
    rules.write_text('extends = "clic2021"\ncontainer = "raw"\ndata_file = "set.bin"\npayload = "set.bin"\n')
    raw: Profile = load_profile(str(rules))
    plain = pack(candidates, ToyCodec(), folder, target(candidates, "0.5", raw))
    plain.write(tmp_path / "raw")
    digests = candidates.set_index(["image", "point"])["stream_sha256"]
    assert (tmp_path / "raw/set.bin").read_bytes() == ToyCodec().pack(
        {image: read_stream(folder, digests[image, point]) for image, point in plain.selection.points.items()}
    )
    assert plain.selection.score >= packed.selection.score
    assert verify(tmp_path / "raw", photographs, raw, "0.5").ok


def test_pack_refuses_what_it_cannot_vouch_for(run: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    candidates, folder = run
    with pytest.raises(ClicError, match="not coded by codec 'liar'"):
        pack(candidates, Liar(), folder, target(candidates, "0.5"))
    for digest in candidates.loc[candidates["image"] == "alps", "stream_sha256"]:
        path = stream_path(folder, digest)
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(ClicError, match=r"\.bin: the stream is damaged, .* --rehash"):
        pack(candidates, ToyCodec(), folder, target(candidates, "0.5"))
