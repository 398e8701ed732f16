"""Archived boards: whole, with their image sets named, in one set of columns."""

from dataclasses import replace

import pytest

from harness.challenge.profiles import load_profile
from harness.errors import ClicError
from harness.imagesets import known_sets
from leaderboard.archived import COLUMNS, archived_rows, boards, context_rows, read_board


def test_every_board_is_as_the_index_says() -> None:
    assert len(boards()) == 17 and sum(board.rows for board in boards()) == 377
    for board in boards():
        rows = read_board(board)
        assert tuple(rows.columns) == COLUMNS and len(rows) == board.rows
        assert rows["msssim"].between(0, 1).all() and (rows["team"] != "").all()
        assert rows["rate"].isin([0.075, 0.15, 0.3]).all()
        assert rows["psnr"].dropna().between(5, 45).all() and (rows["decode_seconds"].dropna() > 0).all()
        assert board.note or board.repository == "clic-challenge/archive"


def test_milliseconds_of_the_first_years_are_seconds_here() -> None:
    bpg = archived_rows(image_set="CLIC 2018 test", track=None).set_index("team").loc["BPG"]
    assert bpg["decode_seconds"] == 333.725 and bpg["mos"] == 3.175066859 and bpg["date"] == "2018-04-16 12:25:36"


def test_a_set_is_found_by_any_of_its_names() -> None:
    old, new = archived_rows(image_set="CLIC 2024 test"), archived_rows(image_set="CLIC 2025 validation")
    assert len(old) == len(new) == 28 and set(new["image_set"]) == {"CLIC 2024 test"}
    assert len(archived_rows([0.15], "CLIC 2027 validation")) == 16
    assert archived_rows(image_set="Kodak").empty and list(archived_rows(image_set="Kodak").columns) == list(COLUMNS)
    known = {name for images in known_sets() for name in (images.title, *images.aliases)}
    named = {board.image_set for board in boards() if board.image_set in known}
    assert named == {"CLIC 2021 validation", "CLIC 2022 test", "CLIC 2024 test", "CLIC 2025 test"}


def test_no_entry_of_2022_is_over_the_budget_of_its_known_images() -> None:
    """The manifest's pixels, the profile's budget and the board agree, though each has another source."""
    (images,) = (images for images in known_sets() if images.title == "CLIC 2022 test")
    pixels = sum(image.pixels for image in images.images.values())
    rows = archived_rows(image_set="CLIC 2022 test")
    for rate, sizes in rows.groupby("rate")["data_bytes"]:
        budget = load_profile("clic2022").budget(pixels, f"{rate:g}")
        assert 0.999 * budget < sizes.max() <= budget


def test_context_is_the_best_row_of_each_set() -> None:
    rows = context_rows([0.15, 0.6])
    assert set(rows["rate"]) == {0.15} and len(rows) == 5
    everything = archived_rows([0.15])
    for row in rows.itertuples():
        assert row.msssim == everything.loc[everything["image_set"] == row.image_set, "msssim"].max()
        assert "not comparable" in row.note
    assert context_rows([0.6]).empty


def test_a_board_with_a_row_too_few_is_refused() -> None:
    with pytest.raises(ClicError, match=r"clic2018_lowrate_valid\.csv: 41 rows, but the index says 42"):
        read_board(replace(boards()[0], rows=42))
