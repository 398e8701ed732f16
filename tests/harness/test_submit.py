"""From a folder of photographs to a submission: what is written, what is refused, and what a kill costs."""

import json
import subprocess
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
import pytest
from helpers import TOY, group_is_gone, wait_until
from toy_codec import Liar, ToyCodec

from harness.challenge.archive import sha224
from harness.challenge.profiles import Profile, load_profile
from harness.challenge.submit import pack, rate_names, submit
from harness.challenge.verify import verify
from harness.cli import main
from harness.errors import ClicError
from harness.images import list_images
from harness.scores.aggregate import aggregate, score_folders
from harness.selection.exact import select
from harness.sweep.local import exclusive, sweep

RATES = ("0.25", "0.4")
PROFILE = load_profile("clic2021")


def files(folder: Path) -> dict[str, bytes]:
    """What goes to the challenge and what it decodes to."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for rate in RATES
        for path in sorted((folder / rate).rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def swept(photographs: Path, tmp_path: Path) -> tuple[pd.DataFrame, Path]:
    """Candidates and the folder of their streams."""
    return sweep(list_images(photographs), TOY, tmp_path / "run"), tmp_path / "run/streams"


def test_the_whole_way(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    result = submit(photographs, out, PROFILE, RATES, TOY, "Team [1]")
    assert result.passed == RATES and not result.rejected
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
    submit(photographs, out, PROFILE, RATES, TOY, "team")
    before, board = files(out), (out / "leaderboard.csv").read_bytes()
    capsys.readouterr()
    submit(photographs, out, PROFILE, RATES, TOY, "team")
    said = capsys.readouterr().err
    assert said.count("decoded and verified before") == 2 and "decoding in the sandbox" not in said
    assert (out / "leaderboard.csv").read_bytes() == board  # with the seconds that decoding took at first

    (out / "0.25/images/alps.png").write_bytes((out / "0.25/images/beach.png").read_bytes())
    (out / "0.25/images/stale.png").touch()
    (out / "0.4/decoder.zip").unlink()
    submit(photographs, out, PROFILE, RATES, TOY, "team")
    said = capsys.readouterr().err
    assert "0.25: decoding in the sandbox" in said and "0.4: decoded and verified before" in said
    assert files(out) == before


@pytest.mark.parametrize("moment", ["streams/beach/2.bin", "0.25/decoder.zip", "0.4/images.zip"])
def test_killed_and_resumed_gives_the_same_bytes(
    photographs: Path, tmp_path: Path, moment: str, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    out = tmp_path / "out"
    arguments = ["submit", photographs, "--out", out, "--codec", TOY, "--rates", ",".join(RATES)]
    process = start_clic(*arguments, TOY_DELAY="0.02")
    wait_until((out / moment).exists)
    process.kill()
    process.wait()
    wait_until(lambda: group_is_gone(process))
    assert not (out / "leaderboard.csv").exists()
    submit(photographs, out, PROFILE, RATES, TOY, "team")
    submit(photographs, tmp_path / "unbroken", PROFILE, RATES, TOY, "team")
    assert files(out) == files(tmp_path / "unbroken")
    assert not list(out.glob("**/.*.part"))


def test_other_pixels_than_announced(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(ClicError, match=r"0\.4/images/007\.png: other pixels .* point .* 'liar'"):
        submit(photographs, tmp_path / "out", PROFILE, ["0.4"], "toy_codec:Liar", "team")


def test_budget_too_small_names_a_rate_that_works(photographs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ClicError, match=r"rate 0\.075: .* bits per pixel") as caught:
        submit(photographs, out, PROFILE, ["0.075"], TOY, "team")
    rate = str(caught.value).partition(" bits per pixel")[0].split()[-1]
    table, codec = pd.read_csv(out / "candidates.csv", dtype={"image": str, "point": str}), ToyCodec()
    packed = pack(table, codec, out / "streams", PROFILE, rate, tmp_path / "pack")
    assert set(packed.points.values()) == {"2"} and packed.bytes <= packed.budget
    with pytest.raises(ClicError):
        pack(table, codec, out / "streams", PROFILE, f"{float(rate) - 0.0002:.4f}", tmp_path / "pack")


def test_one_run_at_a_time(photographs: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"), pytest.raises(ClicError, match="another run is working"):
        submit(photographs, tmp_path / "out", PROFILE, RATES, TOY, "team")


def test_each_rate_has_one_folder() -> None:
    assert rate_names(["0.30", ".075", "3e-1", "1/8", "2"]) == ["0.3", "0.075", "0.125", "2"]
    with pytest.raises(ClicError, match="not a positive number"):
        rate_names(["fast"])


class Padded(ToyCodec):
    """Its container costs more for some choices than for others, by more than the streams differ."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        return super().pack(streams) + bytes(sum(len(stream) * 7 % 300 for stream in streams.values()))


@pytest.mark.parametrize("codec", [ToyCodec(), Padded()])
def test_packed_never_over_budget_and_close_to_it(
    swept: tuple[pd.DataFrame, Path], tmp_path: Path, codec: ToyCodec
) -> None:
    candidates, streams = swept
    most = len(codec.pack({image: b"" for image in candidates["image"]})) + 4 * 300 + 200
    for rate in [f"{0.25 + step / 50:.2f}" for step in range(25)]:
        packed = pack(candidates, codec, streams, PROFILE, rate, tmp_path / rate)
        size = (tmp_path / rate / PROFILE.data_file).stat().st_size
        assert size == packed.bytes <= packed.budget
        floor = candidates.groupby("image")["bytes"].min().sum()
        if packed.budget >= floor + most:
            assert packed.score >= select(candidates, packed.budget, overhead=most).score


def test_containers(swept: tuple[pd.DataFrame, Path], photographs: Path, tmp_path: Path) -> None:
    candidates, streams = swept
    packed = pack(candidates, ToyCodec(), streams, PROFILE, "0.5", tmp_path / "zip")
    with zipfile.ZipFile(tmp_path / "zip" / PROFILE.data_file) as archive:
        [member] = archive.infolist()
        assert (member.filename, member.compress_type) == (PROFILE.payload, zipfile.ZIP_STORED)

    rules = tmp_path / "raw.toml"
    rules.write_text('extends = "clic2021"\ncontainer = "raw"\ndata_file = "set.bin"\npayload = "set.bin"\n')
    raw: Profile = load_profile(str(rules))
    plain = pack(candidates, ToyCodec(), streams, raw, "0.5", tmp_path / "raw")
    assert (tmp_path / "raw/set.bin").read_bytes() == ToyCodec().pack(
        {image: (streams / image / f"{point}.bin").read_bytes() for image, point in plain.points.items()}
    )
    assert plain.score >= packed.score
    assert verify(tmp_path / "raw", photographs, raw, "0.5").ok


def test_pack_refuses_what_it_cannot_vouch_for(swept: tuple[pd.DataFrame, Path], tmp_path: Path) -> None:
    candidates, streams = swept
    with pytest.raises(ClicError, match="not coded by codec 'liar'"):
        pack(candidates, Liar(), streams, PROFILE, "0.5", tmp_path / "pack")
    for stream in streams.glob("alps/*.bin"):
        stream.write_bytes(stream.read_bytes()[:-1])
    with pytest.raises(ClicError, match=r"alps/.*\.bin: not the stream that candidates\.csv describes"):
        pack(candidates, ToyCodec(), streams, PROFILE, "0.5", tmp_path / "pack")
    assert not (tmp_path / "pack").exists()
