"""Tables and archived boards: what is printed, and what is said of files that are not as they should be."""

import math
from pathlib import Path

import pandas as pd
import pytest

from harness.errors import ClicError
from leaderboard.results import read_leaderboard, read_results
from leaderboard.units import budget_used, decibels, human_bytes

BOARD = (
    "team,rate,budget_bytes,data_bytes,bpp,msssim_competition,msssim_paper,psnr_competition,psnr_paper,"
    "decoder_bytes,decode_seconds\n"
    "équipe|[red],0.075,1477209,1473187,0.0748,0.9,0.99,27.959,28.1,201134768,5456\n"
    "équipe|[red],0.3,5908833,5614782,0.2851,0.99011,0.99,31.938,32.25,999,\n"
)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "leaderboard.csv"
    path.write_text(BOARD, encoding="utf-8")
    return path


def test_missing_column_is_named_with_its_file(board: Path) -> None:
    pd.read_csv(board).drop(columns=["psnr_paper"]).to_csv(board, index=False)
    with pytest.raises(ClicError, match=r"leaderboard\.csv: missing column psnr_paper; run `clic"):
        read_leaderboard(board)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        ("", "not a readable CSV"),
        (BOARD.splitlines()[0] + "\n", "no rows"),
        (BOARD.replace("1473187", "many"), "column data_bytes"),
    ],
)
def test_unusable_files(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "leaderboard.csv"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(ClicError, match=said):
        read_leaderboard(path)


def test_a_hint_is_one_that_the_folder_can_follow(tmp_path: Path) -> None:
    """`clic submit` writes a run's tables again, and nothing where nothing was submitted."""
    path = tmp_path / "leaderboard.csv"
    with pytest.raises(ClicError, match=r"no such file; give the folder of a run of 'clic submit'$"):
        read_leaderboard(path)
    (tmp_path / "results.sqlite").touch()
    with pytest.raises(ClicError, match=r"no such file; run `clic submit` again to write it$"):
        read_leaderboard(path)
    (tmp_path / "comparison.json").touch()
    with pytest.raises(ClicError, match=r"is a comparison; give the folder of a run of 'clic submit'$"):
        read_leaderboard(path)


def test_image_missing_at_a_rate(board: Path) -> None:
    (board.parent / "scores.csv").write_text(
        "rate,image,width,height,codec,point,bytes,bpp,msssim_competition,msssim_paper,mse,psnr\n"
        "0.075,a,8,8,c,1,9,1,0.9,0.9,1,48\n0.3,a,8,8,c,1,9,1,0.9,0.9,1,48\n0.3,nan,8,8,c,1,9,1,0.9,0.9,1,48\n"
    )
    (board.parent / "candidates.csv").write_text(
        "image,width,height,codec,point,bytes,msssim_competition,msssim_paper,mse\na,8,8,c,1,9,0.9,0.9,1\n"
    )
    with pytest.raises(ClicError, match=r"scores\.csv: no row at 0\.075 bpp for nan"):
        read_results(board.parent)


def test_budget_is_rounded_away_from_full() -> None:
    assert budget_used(999_999, 1_000_000) == "99.99 %"
    assert budget_used(1_000_000, 1_000_000) == "100.00 %"
    assert budget_used(1_000_001, 1_000_000) == "100.01 %"


def test_numbers_at_their_limits() -> None:
    assert decibels(1.0) == math.inf and math.isnan(decibels(math.nan))
    assert [human_bytes(n) for n in (0, 999, 1000, 999_960, 250_000_000, 4e9)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "1.0 MB",
        "250.0 MB",
        "4.00 GB",
    ]
