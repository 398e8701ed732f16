"""Boards of past challenges, shipped as data in `boards/` and listed, with their image sets, in `boards/index.toml`."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from harness.imagesets import canonical
from leaderboard.results import read_table

NOTE = "other image sets: not comparable in the last digits"
TRACK = "image"

_FOLDER = Path(__file__).parent / "boards"
_PRINTED_ALWAYS: dict[str, type] = {"team": str, "msssim": float}
_OPTIONAL = ("psnr", "elo", "mos", "data_bytes", "decoder_bytes", "decode_seconds")
COLUMNS = ("image_set", "track", "team", "rate", "msssim", *_OPTIONAL, "date", "decimals")


@dataclass(frozen=True)
class Board:
    """One archived board: its file and number of rows, the images it was measured on, and its source.

    `rate` is in bits per pixel, None where the file has a column of it; `decimals` is how many digits of MS-SSIM the
    source prints. `image_set` is as the challenge called it then: the 2024 test set is the 2025 validation set. Its
    `pixels` are 0 where they are not known.
    """

    file: str
    image_set: str
    track: str
    rows: int
    decimals: int
    repository: str
    commit: str
    path: str
    note: str
    rate: float | None = None
    pixels: int = 0


@cache
def boards() -> tuple[Board, ...]:
    """All boards of the index, oldest first."""
    with (_FOLDER / "index.toml").open("rb") as file:
        return tuple(Board(**entry) for entry in tomllib.load(file)["board"])


def read_board(board: Board) -> pd.DataFrame:
    """A board's rows in the order of the source, with `COLUMNS`: `rate` in bits per pixel, `psnr` in dB.

    `elo` and `mos` are human ratings; NaN where the source is empty. `date` is as printed, from 2021 on without a year.
    Raises ClicError for a file that is not as the index says.
    """
    path = _FOLDER / board.file
    columns = _PRINTED_ALWAYS if board.rate is not None else {**_PRINTED_ALWAYS, "bpp_target": float}
    table = read_table(path, columns)
    if len(table) != board.rows:
        raise ClicError(f"{path}: {len(table)} rows, but the index says {board.rows}; copy the board again")
    if "decode_time_s" in table:
        table["decode_seconds"] = table["decode_time_s"]
    elif "decode_time_ms" in table:
        table["decode_seconds"] = pd.to_numeric(table["decode_time_ms"]) / 1000
    table = table.rename(columns={"datetime": "date"}).assign(
        image_set=board.image_set,
        track=board.track,
        rate=table["bpp_target"] if board.rate is None else board.rate,
        decimals=board.decimals,
    )
    table = table.reindex(columns=list(COLUMNS))
    table[list(_OPTIONAL)] = table[list(_OPTIONAL)].apply(pd.to_numeric).astype(float)
    return table.assign(date=table["date"].fillna(""))


def archived_rows(
    rates: Iterable[float] | None = None, image_set: str | None = None, track: str | None = TRACK
) -> pd.DataFrame:
    """Archived rows with `COLUMNS`, at `rates` (bits per pixel), of one image set by any of its names, of one track.

    What is None does not choose. Empty where no board is of that kind.
    """
    chosen = [
        read_board(board)
        for board in boards()
        if track in (None, board.track) and (image_set is None or canonical(board.image_set) == canonical(image_set))
    ]
    rows = pd.concat(chosen, ignore_index=True) if chosen else pd.DataFrame(columns=list(COLUMNS))
    return rows if rates is None else rows[rows["rate"].isin(list(rates))].reset_index(drop=True)


def context_rows(rates: Iterable[float]) -> pd.DataFrame:
    """For each of `rates` the row of highest MS-SSIM on each image set, by rate and set, with `note` added.

    Rates without an archived board have no rows. The figures are of other image sets than one's own run.
    """
    rows = archived_rows(rates).sort_values("msssim", ascending=False, kind="stable")
    best = rows.drop_duplicates(["rate", "image_set"]).sort_values(["rate", "image_set"])
    return best.assign(note=NOTE).reset_index(drop=True)
