"""`clic select` as a user runs it: limits, sets and objectives from the command line."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from helpers import TOY, photograph, swept

from harness.cli import main
from harness.store import open_store
from harness.sweep.sets import find_set


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        ("a", 10, 10, "one", "1", 10, 0.5, 0.4, 1, "x"),
        ("a", 10, 10, "two", "1", 20, 0.8, 0.3, 5, "x"),
        ("b", 10, 10, "one", "1", 10, 0.6, 0.2, 1, "y"),
        ("b", 10, 10, "two", "1", 30, 0.7, 0.1, 5, "y"),
    ]
    names = [
        "image",
        "width",
        "height",
        "codec",
        "point",
        "bytes",
        "msssim_competition",
        "lpips",
        "decode_seconds",
        "image_set",
    ]
    pd.DataFrame(rows, columns=names).to_csv(tmp_path / "candidates.csv", index=False)
    return tmp_path / "candidates.csv"


def test_two_codecs_are_named_and_the_proof_is_told(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["select", str(table), "--budget", "30"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "a\ttwo\t1\nb\tone\t1\n"
    assert captured.err == "30 of 30 bytes, competition 0.700000; no choice scores better\n"


@pytest.mark.parametrize(
    ("options", "codecs"),
    [
        (["--budget", "40", "--one-codec"], {"a": "one", "b": "one"}),
        (["--budget", "50", "--one-codec"], {"a": "two", "b": "two"}),
        (["--budget", "50", "--cap", "20"], {"a": "two", "b": "one"}),
        (["--budget", "50", "--margin", "15"], {"a": "two", "b": "one"}),
        (["--budget", "50", "--worst", "0.7"], {"a": "two", "b": "two"}),
        (["--budget", "50", "--seconds", "6"], {"a": "two", "b": "one"}),
        (["--budget", "40", "--objective", "lpips"], {"a": "one", "b": "two"}),
        (["--budget", "40", "--objective", "0.1*lpips + competition"], {"a": "two", "b": "one"}),
    ],
)
def test_limits_and_objectives(
    options: list[str], codecs: dict[str, str], table: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["select", str(table), "--json", *options]) == 0
    assert json.loads(capsys.readouterr().out)["codecs"] == codecs


def test_a_fault_names_the_file_and_its_row_there(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though rows of other codecs are left out. A time that is missing is none where no seconds are limited."""
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:4], rows[4].replace(",5,", ",nan,")]) + "\n")
    assert main(["select", str(table), "--budget", "50", "--codec", "two"]) == 0
    capsys.readouterr()
    assert main(["select", str(table), "--budget", "50", "--codec", "two", "--seconds", "9"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"clic: {table}: candidates, row 4: image b (10x10), point 1: decode_seconds is no number")


def test_parquet_without_its_library_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "candidates.parquet"
    path.write_bytes(b"PAR1")
    program = """
import sys
sys.modules |= dict.fromkeys(("pyarrow", "fastparquet"))  # as if they were not installed
from harness.cli import main
sys.exit(main(["select", sys.argv[1], "--budget", "9"]))
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    advice = "which is not installed; python -m pip install 'clic-harness[parquet]'"
    assert (done.returncode, done.stderr) == (2, f"clic: {path}: Parquet needs pyarrow, {advice}\n")


def test_a_budget_for_each_set(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["select", str(table), "--set-budget", "x=20", "--set-budget", "y=10"]) == 0
    captured = capsys.readouterr()
    assert captured.out == "x\ta\ttwo\t1\ny\tb\tone\t1\n"
    assert [line[:13] for line in captured.err.splitlines()] == ["x: 20 of 20 b", "y: 10 of 10 b"]


def test_the_sets_of_a_run_have_budgets_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two photographs, then one of them alone and another: three sets in one folder, each told from the others."""
    run, settled = tmp_path / "run", time.time() - 60  # a file's hash is remembered once it no longer changes
    pictures = {"both": ("a", "b"), "one": ("a",), "other": ("c",)}
    for folder, names in pictures.items():
        (tmp_path / folder).mkdir()
        for name in names:
            path = tmp_path / folder / f"{name}.png"
            photograph(ord(name), 80, 64).save(path)
            os.utime(path, (settled, settled))
        last = swept(tmp_path / folder, TOY, run, workers=1)
    with open_store(run, write=False) as store:
        digests = {name: find_set(store, name).id[:8] for name in ("both", "other")}
    assert main(["select", str(run), "--budget", "90000"]) == 0
    said = capsys.readouterr()
    assert said.out == "c\t60\n"
    first, _ = said.err.splitlines()
    assert f"candidates of the set swept last, {digests['other']} (1 image of other); left out: " in first
    assert f"{digests['both']} (2 images of both)" in first

    budgets = ["--set-budget", "both=90000", "--set-budget", f"{digests['other']}={last['bytes'].max() - 1}"]
    assert main(["select", str(run), *budgets]) == 0
    said = capsys.readouterr()
    chosen = [line.split("\t") for line in said.out.splitlines()]
    assert chosen[:2] == [["both", "a", "60"], ["both", "b", "60"]]
    assert chosen[2][:2] == [digests["other"], "c"] and chosen[2][2] != "60"
    assert [line.partition(":")[0] for line in said.err.splitlines()] == ["both", digests["other"]]

    assert main(["select", str(run), "--set-budget", "foo=100"]) == 2
    said_of_foo = capsys.readouterr().err
    assert said_of_foo.startswith(f"clic: {run}: no set is called 'foo'; name one of {digests['other']} (1 image of ")
    assert main(["select", str(run), "--set-budget", "both=9", "--set-budget", f"{digests['both']}=9"]) == 2
    assert "are not all different sets; name each once" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--budget", "9", "--set-budget", "x=1"],
        ["--set-budget", "x"],
        ["--budget", "9", "--objective", "sharpness"],
        ["--budget", "9", "--cap", "0"],
        ["--budget", "30", "--margin", "-10"],
        ["--budget", "-1"],
    ],
)
def test_wrong_usage_ends_before_anything_is_read(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["select", "nothing.csv", *options])
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
