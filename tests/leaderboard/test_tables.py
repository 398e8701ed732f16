"""One table, four faces: what a person reads and what a program reads of it."""

import csv
import io
import math
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from rich.cells import cell_len
from rich.console import Console

from leaderboard import columns as described
from leaderboard.columns import BD_RATES, LEADERBOARD, MSSSIM_CAPTION
from leaderboard.results import read_leaderboard
from leaderboard.tables import Columns, as_csv, latex, markdown, terminal, terminal_turned

BOARD = (
    "team,rate,budget_bytes,data_bytes,bpp,msssim_competition,msssim_paper,psnr_competition,psnr_paper,"
    "decoder_bytes,decode_seconds\n"
    "équipe|[red],0.075,1477209,1473187,0.0748,0.9,0.99,27.959,28.1,201134768,5456\n"
    "équipe|[red],0.3,5908833,5614782,0.2851,0.99011,0.99,31.938,32.25,999,\n"
)
BD = pd.DataFrame(
    {
        "codec": ["a_b&c", "a"],
        "anchor": "50% {x}",
        "metric": "msssim_paper",
        "percent": [-12.5, None],
        "overlap": [0.9, 0.1],
        "points": [(5, 4), (3, 3)],
        "method": "pchip",
        "note": "",
        "reason": ["", "too little overlap"],
    }
)


@pytest.fixture
def board(tmp_path: Path) -> Path:
    path = tmp_path / "leaderboard.csv"
    path.write_text(BOARD, encoding="utf-8")
    return path


def printed(table: object, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table)
    return console.export_text()


def test_terminal_table_fits_eighty_columns(board: Path) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal_turned(LEADERBOARD, read_leaderboard(board), MSSSIM_CAPTION))
    text = console.export_text()
    for shown in (
        "équipe|[red]",
        "1,473,187",
        "99.72 %",
        "0.99011 20.05 dB",
        "0.90000 10.00 dB",
        "201.1 MB",
        "999 B",
        "5,456.0",
        "MS-SSIM competition",
        "MS-SSIM paper",
        "32.250",
    ):
        assert shown in text
    assert max(map(cell_len, text.splitlines())) <= 80


def test_markdown_table_is_aligned(board: Path) -> None:
    lines = markdown(LEADERBOARD, read_leaderboard(board)).splitlines()
    assert len(lines) == 4
    assert len({cell_len(line) for line in lines}) == 1
    bars = [[at for at, mark in enumerate(line) if mark == "|" and line[at - 1] != "\\"] for line in lines]
    assert all(row == bars[0] for row in bars)
    assert "équipe\\|[red]" in lines[2] and "MS-SSIM (competition)" in lines[0]
    assert lines[3].rstrip(" |").endswith("–")


def test_csv_is_data_with_all_digits(board: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(LEADERBOARD, read_leaderboard(board)))))
    assert [row["team"] for row in rows] == ["équipe|[red]"] * 2
    assert rows[0]["data_bytes"] == "1473187" and rows[0]["rate"] == "0.075"
    assert float(rows[0]["budget_share"]) == 1473187 / 1477209
    assert rows[1]["decode_seconds"] == "" and rows[1]["msssim_competition"] == "0.99011"


def test_upright_terminal_table() -> None:
    text = printed(terminal(BD_RATES, BD, "per cent of the anchor's rate"), 120)
    assert "-12.50 %" in text and "a_b&c" in text and "too little overlap" in text and "per cent of" in text
    assert "–" in text and "pchip" in text


def test_latex_escapes_what_latex_reads() -> None:
    text = latex(BD_RATES, BD)
    assert r"a\_b\&c & 50\% \{x\} & msssim\_paper & -12.50 \% & 90\% & 5 & 4 & pchip &" in text
    body = text.splitlines()
    assert body[1] == r"\begin{tabular}{lllrrrrll}" and body[-1] == r"\end{tabular}"
    assert text.count(r"\\") == 4 and " -- &" in text


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX on this machine")
def test_latex_typesets(board: Path, tmp_path: Path) -> None:
    tables = latex(LEADERBOARD, read_leaderboard(board)) + latex(BD_RATES, BD)
    document = "\\documentclass{article}\\usepackage{booktabs}\\begin{document}" + tables + "\\end{document}"
    (tmp_path / "table.tex").write_text(document, encoding="utf-8")
    subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "table.tex"], cwd=tmp_path, check=True, timeout=60
    )


@pytest.mark.parametrize("columns", [described.LEADERBOARD, described.COMPARISON, described.BD_RATES, described.BOARD])
def test_names_of_columns_are_unique(columns: Columns) -> None:
    assert len({column.name for column in columns}) == len({column.heading for column in columns}) == len(columns)


def test_empty_tables_have_their_heads() -> None:
    nothing = BD.head(0)
    assert len(markdown(BD_RATES, nothing).splitlines()) == 2
    assert as_csv(BD_RATES, nothing).splitlines() == [",".join(column.name for column in BD_RATES)]
    assert latex(BD_RATES, nothing).count(r"\\") == 2
    assert "BD-rate" in printed(terminal(BD_RATES, nothing), 120)


def test_percent_without_a_figure() -> None:
    (cell,) = (column.text(next(BD.assign(percent=math.nan).itertuples())) for column in BD_RATES[3:4])
    assert cell == "–"
