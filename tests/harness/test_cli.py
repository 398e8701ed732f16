"""The command line: exit codes, what goes to standard output, and errors in one line."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from helpers import SIZES, TESTS, TOY, photograph, swept

from harness.cli import main
from harness.commands.options import cluster_address
from harness.errors import ClicError
from harness.images import list_images
from harness.locks import exclusive

Clic = Callable[..., subprocess.CompletedProcess[str]]


def test_from_photographs_to_leaderboard(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "out"
    done = clic("submit", photographs, "--out", out, "--codec", TOY, "--rates", "0.4,0.30", "--team", "Us")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Us") == 2 and "0.4 bpp" in done.stdout
    assert "Traceback" not in done.stderr and "SHA-224" in done.stderr
    assert {path.name for path in out.iterdir()} == {
        ".lock",
        "0.3",
        "0.4",
        "candidates.csv",
        "leaderboard.csv",
        "leaderboard.md",
        "report.html",
        "results.sqlite",
        "run.json",
        "scores.csv",
        "streams",
    }

    checked = clic("verify", out / "0.4", "--images", photographs, "--rate", "0.4", "--json")
    assert checked.returncode == 0 and json.loads(checked.stdout)["ok"] is True
    scored = json.loads(clic("score", photographs, out / "0.4/images", "--json").stdout)
    assert set(scored) == {"msssim_competition", "msssim_paper", "psnr_competition", "psnr_paper", "images"}
    assert scored["images"] == 4 and scored["msssim_paper"] is None  # one image is too small for it
    board = pd.read_csv(out / "leaderboard.csv").set_index("rate")
    assert scored["msssim_competition"] == pytest.approx(board.loc[0.4, "msssim_competition"])
    (out / "report.html").unlink()
    assert clic("report", out, "--images", photographs).returncode == 0
    assert (out / "report.html").exists()


def test_rejected_submission_exits_with_1(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "out"
    done = clic("submit", photographs, "--out", out, "--codec", "toy_codec:Broken", "--rates", "0.4")
    assert done.returncode == 1 and done.stdout == ""
    assert "no such model" in done.stderr and "0.4: would be rejected" in done.stderr
    assert not (out / "leaderboard.csv").exists()
    arguments = ["verify", out / "0.4", "--images", photographs, "--rate", "0.4"]
    checked = clic(*arguments)
    lines = checked.stdout.splitlines()  # of the decoder, and of each missing picture
    assert checked.returncode == 1 and len(lines) == 5 and all(line.startswith("- ") for line in lines)
    assert len(json.loads(clic(*arguments, "--json").stdout)["findings"]) == 5


def test_steps_one_by_one(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    run = tmp_path / "run"
    coded = clic("encode", photographs, "--out", run, "--codec", TOY, "--workers", 1)
    assert coded.returncode == 0 and coded.stdout == f"{run / 'candidates.csv'}\n"
    pack = tmp_path / "pack"
    packed = clic("pack", run / "candidates.csv", "--rate", "0.30", "--out", pack, "--codec", TOY)
    assert packed.returncode == 0 and packed.stdout == f"{pack / '0.3'}\n"
    assert clic("verify", pack / "0.3", "--images", photographs, "--rate", "0.3").returncode == 0


def test_select_keeps_the_type_of_points(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    swept(photographs, TOY, tmp_path / "run")
    table = tmp_path / "run/candidates.csv"
    assert main(["select", str(table), "--budget", "6000", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"points", "bytes", "score", "bound"}
    assert set(answer["points"]) == {"alps", "beach", "city 7", "007"}
    assert all(type(point) is int for point in answer["points"].values())
    assert answer["bytes"] <= 6000 and 0 < answer["score"] <= answer["bound"] < 1

    text = table.read_text().replace(",toy,", ",toy,q")
    (tmp_path / "named.csv").write_text(text)
    assert main(["select", str(tmp_path / "named.csv"), "--budget", "6000"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "".join(f"{image}\tq{point}\n" for image, point in answer["points"].items())
    assert f"{answer['bytes']} of 6000 bytes" in captured.err


def test_user_errors_are_one_line(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, missing = tmp_path / "run", tmp_path / "no\nsuch"
    swept(photographs, TOY, run)
    table = str(run / "candidates.csv")
    half = tmp_path / "half.csv"
    pd.read_csv(table).drop(columns="codec_sha256").to_csv(half, index=False)
    old = tmp_path / "old"
    old.mkdir()
    (old / "candidates.csv").touch()
    codec = ["--codec", TOY]
    out = ["--out", str(tmp_path / "out")]
    wrong: dict[str, list[str]] = {
        "no\\nsuch: no such folder": ["submit", str(missing), *out, *codec],
        "codec 'av3' is not installed": ["encode", str(photographs), *out, "--codec", "av3"],
        "codec 'toy_codec:f' cannot be loaded": ["encode", str(photographs), *out, "--codec", "toy_codec:f"],
        "codec 'no_such:f' cannot be loaded": ["encode", str(photographs), *out, "--codec", "no_such:f"],
        "profile 'clic1999'": ["submit", str(photographs), *out, *codec, "--profile", "clic1999"],
        "rate 'fast'": ["submit", str(photographs), *out, *codec, "--rates", "fast"],
        "codec 'toy_codec:ToyCodec,speed=3': no setting 'speed'": [
            "encode",
            str(photographs),
            *out,
            "--codec",
            TOY + ",speed=3",
        ],
        "old: holds a run of version 0.1.0": ["submit", str(photographs), "--out", str(old), *codec],
        "old: holds a run of version 0.1.0 (": ["select", str(old), "--budget", "100"],
        "no results.sqlite; give the folder of a run": ["select", str(photographs), "--budget", "100"],
        "no candidates of codec 'webp'; there are those of toy": [
            "select",
            str(run),
            "--budget",
            "9",
            "--codec",
            "webp",
        ],
        "the budget is 100": ["select", table, "--budget", "100"],
        "no\\nsuch: no table of candidates": ["select", str(missing), "--budget", "100"],
        "no column codec_sha256": ["pack", str(half), "--rate", "1", *out, *codec],
        "no such folder": ["verify", str(missing), "--images", str(photographs), "--rate", "1"],
        "decoded images missing": ["score", str(photographs), str(run)],
        "leaderboard.csv": ["report", str(run), "--images", str(photographs)],
    }
    for expected, arguments in wrong.items():
        assert main(arguments) == 2, arguments
        captured = capsys.readouterr()
        *_, line = captured.err.splitlines()
        assert line.startswith("clic: ") and expected in line and captured.out == ""


def test_a_rate_out_of_reach_is_a_finding(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "out"
    done = clic("submit", photographs, "--out", out, "--codec", TOY, "--rates", "0.075,0.5", "--team", "Us")
    assert done.returncode == 1 and "rate 0.075: the smallest data file" in done.stderr
    assert "0.075: would be rejected, 1 finding " in done.stderr and "0.5 bpp" in done.stdout
    assert (out / "0.5/decoder.zip").exists() and not (out / "0.075").exists()
    assert "0.075 bpp did not pass" in " ".join((out / "report.html").read_text().split())
    packed = clic("pack", out, "--rate", "0.075", "--out", tmp_path / "pack")
    assert packed.returncode == 1 and "rate 0.075: the smallest" in packed.stderr and not packed.stdout


def test_two_codecs_in_one_folder(
    photographs: Path, tmp_path: Path, clic: Clic, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each keeps its rows, and can be selected, packed and submitted from there."""
    run, other = tmp_path / "run", "toy_codec:Telling"
    for spec in (TOY, other):
        swept(photographs, spec, run)
    for source in (run, run / "candidates.csv"):
        for name, spec in (("toy", TOY), ("telling", other)):
            capsys.readouterr()
            assert main(["select", str(source), "--budget", "6000", "--codec", name, "--json"]) == 0
            assert set(json.loads(capsys.readouterr().out)["points"]) == set(SIZES)
            for codec in (name, spec):
                pack = ["pack", str(source), "--rate", "0.5", "--codec", codec, "--out", str(tmp_path / name)]
                assert main(pack) == 0
        assert main(["pack", str(source), "--rate", "0.5", "--out", str(tmp_path / "pack")]) == 2
        assert "of several codecs; name one or more of them with --codec: toy, telling" in capsys.readouterr().err
        assert main(["select", str(source), "--budget", "6000", "--json"]) == 0
        assert set(json.loads(capsys.readouterr().out)["codecs"]) == set(SIZES)
    for spec, name in ((TOY, "toy"), (other, "telling")):
        done = clic("submit", photographs, "--out", run, "--codec", spec, "--rates", "0.5")
        assert done.returncode == 0, done.stderr
        assert name in (run / "leaderboard.md").read_text()
    assert set(pd.read_csv(run / "candidates.csv")["codec"]) == {"toy", "telling"}


def test_a_side_that_is_no_number_is_one_line(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    run = tmp_path / "run"
    assert clic("encode", photographs, "--out", run, "--codec", TOY).returncode == 0
    table = run / "candidates.csv"
    table.write_text(table.read_text().replace(",208,176,", ",2x8,176,"))
    done = clic("pack", table, "--rate", "0.4", "--out", tmp_path / "out", "--codec", TOY)
    assert done.returncode == 2 and "alps, point" in done.stderr and "must be whole numbers" in done.stderr


@pytest.mark.parametrize("place", [".", "0.4/images", "1.0", "streams/ab"])
def test_originals_where_the_run_writes_are_refused_before_anything_is_written(
    place: str, photographs: Path, tmp_path: Path, clic: Clic
) -> None:
    out = tmp_path / "out"
    shutil.copytree(photographs, out / place)
    before = sorted(out.rglob("*"))
    for command in ("encode", "submit"):
        done = clic(command, out / place, "--out", out, "--codec", TOY)
        assert done.returncode == 2 and "lies where the run" in done.stderr
    assert sorted(out.rglob("*")) == before


@pytest.mark.parametrize("name", ["report.html", "scores.csv", "candidates.csv", "run.json"])
def test_a_folder_with_files_of_others_is_refused(name: str, photographs: Path, tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / name).write_text("mine")
    (out / ".film.part").write_text("half")
    done = clic("encode", photographs, "--out", out, "--codec", TOY)
    assert done.returncode == 2 and name in done.stderr and "choose another --out" in done.stderr
    assert {path.name: path.read_text() for path in out.iterdir()} == {name: "mine", ".film.part": "half"}


@pytest.mark.parametrize("command", ["encode", "submit", "compare", "demo"])
def test_a_file_where_out_should_be_is_called_one(command: str, photographs: Path, tmp_path: Path, clic: Clic) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    first = [] if command == "demo" else [photographs]
    for out in (file, file / "run"):
        done = clic(command, *first, "--out", out)
        assert done.returncode == 2
        assert f"argument --out: {file}: a file, not a folder; name another folder" in done.stderr
        assert "room" not in done.stderr
    done = clic("encode", photographs, "--out", file, "--dry-run")
    assert done.returncode == 2 and file.read_text() == "mine"


@pytest.mark.parametrize("address", ["", " ", "garbage", "tcp://host", "tcp://:8786", "tcp://host:port"])
def test_no_address_of_a_cluster_is_refused(address: str, photographs: Path, tmp_path: Path, clic: Clic) -> None:
    """Also where nothing is left to code, so that nobody would be asked."""
    swept(photographs, TOY, tmp_path / "out")
    done = clic("encode", photographs, "--out", tmp_path / "out", "--codec", TOY, "--cluster", address)
    said = repr(address) if address.strip() else "it is empty"
    assert done.returncode == 2
    assert f"argument --cluster: {said}: give tcp://HOST:PORT, or local, or leave --cluster out" in done.stderr


@pytest.mark.parametrize("address", ["local", "tcp://10.0.0.1:8786", "tls://a-b.example.org:1", "[::1]:8786", "host:1"])
def test_addresses_of_clusters(address: str) -> None:
    assert cluster_address(address) == address


def test_an_empty_out_is_refused(photographs: Path, clic: Clic) -> None:
    done = clic("submit", photographs, "--out", "", "--codec", TOY)
    assert done.returncode == 2 and "--out: it is empty" in done.stderr


def test_locked_folder(photographs: Path, tmp_path: Path, clic: Clic) -> None:
    with exclusive(tmp_path / "out"):
        done = clic("submit", photographs, "--out", tmp_path / "out", "--codec", TOY)
    rules, *errors = done.stderr.splitlines()
    assert rules.startswith("rules: clic2027, the newest, as --profile names none")
    assert done.returncode == 2 and len(errors) == 1 and "another run" in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["submit"],
        ["select", "x", "--budget", "many"],
        ["demo", "--workers", "0"],
        ["demo", "--time-limit", "nan"],
    ],
)
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2 and "usage: clic" in capsys.readouterr().err


def test_help_loads_nothing_heavy(clic: Clic) -> None:
    script = (
        "import sys\nfrom harness.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'pandas', 'scipy', 'rich', 'numpy'} & set(sys.modules)))"
    )
    assert clic("--help").stdout.startswith("usage: clic")
    assert clic("train", "--help").stdout.startswith("usage: clic train")
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def test_bare_clic_shows_the_commands(clic: Clic) -> None:
    done = clic()
    assert done.returncode == 0 and "submit" in done.stdout and "the whole way" in done.stdout


def test_versions(clic: Clic) -> None:
    done = clic("--version")
    assert done.returncode == 0 and done.stdout.startswith("clic-harness ") and "torch 2." in done.stdout


def test_options_are_not_abbreviated(clic: Clic, tmp_path: Path) -> None:
    assert clic("demo", "--ou", tmp_path / "x").returncode == 2
    assert not (tmp_path / "x").exists()


def test_codecs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["codecs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {"clic", "avif", "compressai"} <= {line.split()[0] for line in lines}
    assert "avif       speed=4 tune=default subsampling=4:2:0" in lines


def test_codecs_say_what_they_lack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif.HeifImagePlugin", None)
    assert main(["codecs"]) == 0
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("heic ")]
    assert line.endswith("pip install 'clic-harness[heic]')")


def test_other_errors_of_ours_are_user_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error in (ClicError("board"), OSError(28, "No space left on device")):

        def fail(*_: object, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("harness.sweep.run.sweep", fail)
        photograph(1, 20, 20).save(tmp_path / "a.png")
        assert main(["encode", str(tmp_path), "--out", str(tmp_path / "out"), "--codec", TOY]) == 2
        assert str(error).rpartition("]")[2].strip() in capsys.readouterr().err


def test_a_fault_of_ours_is_no_finding(tmp_path: Path, clic: Clic) -> None:
    (tmp_path / "faulty.py").write_text(
        "import harness.sweep.run\n"
        "from toy_codec import ToyCodec as Codec\n"
        "harness.sweep.run.export_candidates = lambda *_: 1 / 0\n"
    )
    photograph(1, 20, 20).save(tmp_path / "a.png")
    done = clic(
        "encode", tmp_path, "--out", tmp_path / "out", "--codec", "faulty:Codec", PYTHONPATH=f"{tmp_path}:{TESTS}"
    )
    assert done.returncode == 2
    *_, line = done.stderr.splitlines()
    assert line.startswith("clic: a fault of clic: ZeroDivisionError: division by zero; the traceback is in ")
    kept = Path(line.rpartition(" ")[2])
    assert "Traceback" in kept.read_text()
    kept.unlink()


FLAT = """
import io

import numpy as np
from toy_codec import DECODE, ToyCodec
from harness.codecs.protocol import Encoding

GREY = b"b = io.BytesIO(); Image.new('RGB', (180, 170), (128, 128, 128)).save(b, 'PNG'); "


class Codec(ToyCodec):
    name = "flat"

    def points(self):
        return ["grey", "60"]

    def encode(self, pixels, point):
        return Encoding(b"") if point == "grey" else super().encode(pixels, point)

    def decode(self, stream):
        return super().decode(stream) if stream else np.full((170, 180, 3), 128, np.uint8)

    def decoder_files(self, data_file, payload):
        decode = super().decoder_files(data_file, payload)["decode"]
        return {"decode": decode.replace(b"body[:size])", b"body[:size] if size else grey())").replace(
            b"head, _", b"def grey(): " + GREY + b"return b.getvalue()\\nhead, _")}
"""


@pytest.mark.parametrize("rate", ["0.05", "3"])
def test_a_stream_of_no_bytes_is_a_stream(rate: str, tmp_path: Path, clic: Clic) -> None:
    folder, out = tmp_path / "photographs", tmp_path / "out"
    folder.mkdir()
    for seed in range(2):
        photograph(seed, 180, 170).save(folder / f"{seed}.png")
    (tmp_path / "flat.py").write_text(FLAT)
    arguments = ["submit", folder, "--out", out, "--codec", "flat:Codec", "--rates", rate]
    done = clic(*arguments, PYTHONPATH=f"{tmp_path}:{TESTS}")
    assert done.returncode == 0, done.stderr
    assert set(pd.read_csv(out / "candidates.csv").query("point == 'grey'")["bytes"]) == {0}
    assert set(pd.read_csv(out / "scores.csv", dtype=str)["point"]) == {"grey" if rate == "0.05" else "60"}


def test_demo_photographs(tmp_path: Path, clic: Clic) -> None:
    out = tmp_path / "demo"
    done = clic("demo", "--out", out, "--codec", TOY, "--rates", "0.5")
    assert done.returncode == 0, done.stderr
    assert len(list_images(out / "photographs")) >= 6
    assert "0.5 bpp" in done.stdout
