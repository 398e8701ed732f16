"""`clic bench decode`: every decoder measured in one run, what a decoder prints read, what is missing said."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers import photograph

from harness.cli import main

TOY = "toy_codec:ToyCodec"
RATE = 0.5
FORMATS = ["avif,speed=8", "heic,preset=ultrafast", "jxl,effort=5"]


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    """A folder of two small photographs, one of odd sides."""
    folder = tmp_path / "pair"
    folder.mkdir()
    photograph(1, 97, 131).save(folder / "a.png")
    photograph(2, 160, 120).save(folder / "b.png")
    return folder


def bench(pair: Path, *arguments: object) -> pd.DataFrame:
    """The figures, by decoder."""
    csv = pair.parent / "bench.csv"
    assert (
        main(["bench", "decode", "--images", str(pair), "--rate", str(RATE), "--csv", str(csv), *map(str, arguments)])
        == 0
    )
    return pd.read_csv(csv, index_col="decoder")


def test_all_decoders_in_one_run(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = bench(pair, "--codec", "toy_codec:Telling", "--codec", "toy_codec:Babbling")
    assert list(table.index) == ["telling", "[red]babbling", *FORMATS]
    assert (table[["images", "processes"]] == table[["images", "processes"]].iloc[0]).all(axis=None)
    assert (table["images"] == 2).all() and table["megapixels"].unique() == pytest.approx([0.031907])
    assert (table["bpp"] > 0.5 * RATE).all() and (table["bpp"] < 2 * RATE).all()
    assert (table["seconds"] > 0).all()
    assert table["seconds_per_megapixel"].to_numpy() == pytest.approx(table["seconds"] / table["megapixels"])

    parts = table[["entropy_seconds", "synthesis_seconds", "png_seconds"]]
    assert list(parts.loc["telling"]) == [4.5, 0.25, 1]  # what it printed last
    assert parts.drop("telling").isna().all(axis=None)

    out = capsys.readouterr().out.splitlines()
    assert max(map(len, out)) <= 80
    rows = [line for line in out if line.startswith(tuple(table.index))]
    assert len(rows) == len(table) and [len(row.split()) for row in rows[2:]] == [6, 5, 5]
    assert rows[0].split()[5:8] == ["4.5", "0.2", "1.0"] and rows[2].split()[4] == "1.0"
    assert "2 images, 0.0 megapixels, each coded near 0.5 bpp" in "\n".join(out)


def test_a_missing_plugin_is_said_and_the_others_are_measured(
    pair: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif.HeifImagePlugin", None)
    table = bench(pair, "--codec", TOY)
    assert list(table.index) == ["toy", "avif,speed=8", "jxl,effort=5"]
    [heic] = [line for line in capsys.readouterr().err.splitlines() if line.startswith("heic")]
    assert "left out" in heic and heic.endswith("pip install 'clic-harness[heic]'")


def test_a_failing_decoder_ends_the_run_in_one_line(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "decode", "--images", str(pair), "--codec", "toy_codec:Broken"]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert "'broken' ended with status 3: no such model" in last


def test_a_sweep_by_each_executor(pair: Path, capsys: pytest.CaptureFixture[str]) -> None:
    csv = pair.parent / "sweep.csv"
    assert main(["bench", "sweep", "--images", str(pair), "--codec", "toy_codec:ToyCodec", "--csv", str(csv)]) == 0
    table = pd.read_csv(csv)
    assert (table["candidates"] == 8).all() and (table["seconds"] > 0).all()
    assert table["times_bare"].to_numpy() == pytest.approx(table["seconds"] / table["seconds"][0])
    assert list(table["executor"][:2]) == ["none, nothing stored", "local"] and "dask" in set(table["executor"])
    assert "times" in capsys.readouterr().out
