"""Refinement in a submission, in real processes: never worse than without, the same bytes after a kill."""

import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from helpers import group_is_gone, wait_until
from PIL import Image
from skimage import data_dir

from harness.cli import main
from harness.selection.exact import select

RATE = "0.3"
CROPS = {"coffee.png": (100, 120), "chelsea.png": (60, 90), "rocket.jpg": (150, 200)}  # left and top


@pytest.fixture
def crops(tmp_path: Path) -> Path:
    """Three small photographs, of which the last is too small to be refined."""
    folder = tmp_path / "crops"
    folder.mkdir()
    for name, (left, top) in CROPS.items():
        width, height = (120, 200) if name == "rocket.jpg" else (208, 192)
        with Image.open(Path(data_dir) / name) as image:
            image.convert("RGB").crop((left, top, left + width, top + height)).save(folder / f"{name[:-4]}.png")
    return folder


def count(out: Path, table: str) -> int:
    """The rows of a table of the store that are of refined points."""
    if not (out / "results.sqlite").exists():
        return 0
    with closing(sqlite3.connect(out / "results.sqlite", timeout=60)) as database:
        try:
            return int(database.execute(f"SELECT count(*) FROM {table} WHERE point LIKE '%@%'").fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


@pytest.mark.slow
def test_killed_in_mid_refinement_and_resumed_gives_the_same_bytes(
    crops: Path, tmp_path: Path, start_clic: Callable[..., subprocess.Popen[str]]
) -> None:
    """And so do two runs; what is packed of them is no worse than it would be without refinement."""
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    coding = ("encode", crops, "--codec", "clic,effort=1", "--rates", RATE, "--workers", 1, "--out")
    for table in ("claim", "candidate"):  # while the first is being refined, then with some of them there
        process = start_clic(*coding, broken)
        wait_until(lambda table=table: count(broken, table), 900)  # type: ignore[misc]
        process.kill()
        process.wait()
        wait_until(lambda process=process: group_is_gone(process))  # type: ignore[misc]
    kept = count(broken, "candidate")
    for out in (broken, whole):
        process = start_clic(*coding, out)
        said = process.communicate()[1]
        assert process.returncode == 0, said
    first, second = (pd.read_csv(out / "candidates.csv", dtype={"point": str}) for out in (broken, whole))
    pd.testing.assert_frame_equal(first.drop(columns="encode_seconds"), second.drop(columns="encode_seconds"))
    assert 0 < kept < count(broken, "candidate")
    for out in (broken, whole):
        assert main(["pack", str(out), "--rate", RATE, "--profile", "clic2021", "--out", str(out / "packed")]) == 0
    files = [(out / "packed" / RATE / "images.zip").read_bytes() for out in (broken, whole)]
    assert files[0] == files[1]
    unrefined, budget = second[~second["point"].str.contains("@")], len(files[0])
    assert select(second, budget).score >= select(unrefined, budget).score
