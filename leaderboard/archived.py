"""Boards of past challenges, shipped as data in `boards/`; its README names where each came from."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from leaderboard.results import read_table

YEARS = (2021, 2022, 2024, 2025)
RATES = (0.075, 0.15, 0.3)
NOTE = "other image sets: not comparable in the last digits"

_FOLDER = Path(__file__).parent / "boards"
_NUMBERS: dict[str, type] = dict.fromkeys(
    ("bpp_target", "msssim", "psnr", "elo", "data_bytes", "decoder_bytes", "decode_time_s"), float
)
_PRINTED_ALWAYS = {"team": str, "bpp_target": float, "msssim": float}
_COLUMNS = ["image_set", "team", *_NUMBERS, "date", "decimals"]


def _read(name: str, columns: dict[str, type], image_set: str) -> pd.DataFrame:
    frame = read_table(_FOLDER / name, columns)
    # as printed in the source: MS-SSIM to five decimals in 2021, to three afterwards
    decimals = 5 if "2021" in image_set else 3
    frame = frame.assign(image_set=image_set, date=frame.get("date", ""), decimals=decimals)
    return frame.reindex(columns=_COLUMNS)


def archived_boards(year: int, rate: float) -> pd.DataFrame:
    """The test board of `year` at `rate` bits per pixel, rows in the order of the source.

    Columns: `image_set`, `team`, `bpp_target`, `msssim`, `psnr` (dB), `elo`, `data_bytes`, `decoder_bytes`,
    `decode_time_s`, `date`, `decimals` (of MS-SSIM, as printed); NaN where the source is empty.
    Raises ClicError for a board that is not shipped.
    """
    if year not in YEARS or rate not in RATES:
        raise ClicError(
            f"no archived board of {year} at {rate:g} bpp; there are {', '.join(map(str, YEARS))} "
            f"at {', '.join(map(str, RATES))} bpp"
        )
    name = f"clic{year}_image_{1000 * rate:03.0f}_test.csv"
    return _read(name, {"team": str, **_NUMBERS}, f"CLIC {year} test")


def validation_figures() -> pd.DataFrame:
    """The three figures of IMCL_IMG_MSSSIM on the 2021 validation set, columns as `archived_boards`.

    They were handed over as a paper's figures and stand on no board that was found.
    """
    return _read("clic2021_valid_imcl_img_msssim.csv", _PRINTED_ALWAYS, "CLIC 2021 validation")


def archived_rows(rates: Iterable[float]) -> pd.DataFrame:
    """Every archived row at `rates` (bits per pixel), columns as `archived_boards`; other rates have none."""
    shipped = [rate for rate in rates if rate in RATES]
    validation = validation_figures()
    boards = [archived_boards(year, rate) for rate in shipped for year in YEARS]
    return pd.concat([*boards, validation[validation["bpp_target"].isin(shipped)]], ignore_index=True)


def context_rows(rates: Iterable[float]) -> pd.DataFrame:
    """For each of `rates` the row of highest MS-SSIM on each image set, by rate and set, with `note` added.

    Rates without an archived board have no rows. The figures are of other image sets than one's own run.
    """
    rows = archived_rows(rates).sort_values("msssim", ascending=False, kind="stable")
    best = rows.drop_duplicates(["bpp_target", "image_set"]).sort_values(["bpp_target", "image_set"])
    return best.assign(note=NOTE).reset_index(drop=True)
