"""The columns of our tables, described once for every face."""

import math
from collections.abc import Callable
from typing import Any

import pandas as pd

from leaderboard import units
from leaderboard.tables import Column, Columns

MSSSIM_CAPTION = "MS-SSIM in dB: -10 log10(1 - MS-SSIM)"


def _with_decibels(msssim: float) -> str:
    return f"{units.fixed(msssim, 5)} {units.fixed(units.decibels(msssim), 2)} dB"


def _budget_share(row: Any) -> float:
    return row.data_bytes / row.budget_bytes if row.budget_bytes > 0 else math.nan


_SCORES = (
    Column("msssim_competition", "MS-SSIM", "competition", lambda row: _with_decibels(row.msssim_competition)),
    Column("msssim_paper", "MS-SSIM", "paper", lambda row: _with_decibels(row.msssim_paper)),
    Column("psnr_competition", "PSNR dB", "competition", lambda row: units.fixed(row.psnr_competition, 3)),
    Column("psnr_paper", "PSNR dB", "paper", lambda row: units.fixed(row.psnr_paper, 3)),
)

LEADERBOARD: Columns = (
    Column("team", "team", "", lambda row: str(row.team), is_number=False),
    Column("rate", "rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("data_bytes", "data", "bytes", lambda row: units.integer(row.data_bytes)),
    Column(
        "budget_share",
        "budget",
        "used",
        lambda row: units.budget_used(row.data_bytes, row.budget_bytes),
        value=_budget_share,
    ),
    Column("bpp", "bpp", "", lambda row: units.fixed(row.bpp, 5)),
    *_SCORES,
    Column("decoder_bytes", "decoder", "size", lambda row: units.human_bytes(row.decoder_bytes)),
    Column("decode_seconds", "decode", "seconds", lambda row: units.fixed(row.decode_seconds, 1)),
)
"""A row of `leaderboard.csv`, as `read_leaderboard` gives it."""

COMPARISON: Columns = (
    Column("codec", "codec", "", lambda row: str(row.codec), is_number=False),
    Column("rate", "rate", "bpp", lambda row: str(row.rate), value=lambda row: float(row.rate)),
    Column("bytes", "data", "bytes", lambda row: units.integer(row.bytes)),
    Column("bpp", "bpp", "", lambda row: units.fixed(row.bpp, 5)),
    *_SCORES,
)
"""A row of `codecs` in `comparison.json`."""

_HAVE_COLUMNS = ("competition", "paper", "psnr", "msssim_competition", "msssim_paper")
"""Objectives whose score stands in the columns of every table."""


def comparison_columns(objective: str) -> Columns:
    """The columns of a comparison that was selected by `objective`, whose score has one of its own if need be."""
    if not has_own_column(objective):
        return COMPARISON
    return (*COMPARISON, score_column(objective, lambda row: row.selection_score))


def has_own_column(objective: str) -> bool:
    """Whether an objective's score is none of those that every table has."""
    return objective not in _HAVE_COLUMNS


def score_column(objective: str, value: Callable[[Any], float | None], detail: str = "chosen by") -> Column:
    """An objective's score of the set, under its name."""
    return Column(objective, objective, detail, lambda row: units.fixed(units.or_nan(value(row)), 4), value=value)


def _signed(percent: float | None) -> str:
    return "–" if percent is None or math.isnan(percent) else f"{percent:+.2f} %"


BD_RATES: Columns = (
    Column("codec", "codec", "", lambda row: str(row.codec), is_number=False),
    Column("anchor", "anchor", "", lambda row: str(row.anchor), is_number=False),
    Column("metric", "metric", "", lambda row: str(row.metric), is_number=False),
    Column("percent", "BD-rate", "less is better", lambda row: _signed(row.percent)),
    Column("overlap", "overlap", "of the shorter", lambda row: f"{row.overlap:.0%}"),
    Column("points", "points", "codec", lambda row: str(row.points[0]), value=lambda row: row.points[0]),
    Column("anchor_points", "points", "anchor", lambda row: str(row.points[1]), value=lambda row: row.points[1]),
    Column("method", "method", "", lambda row: str(row.method), is_number=False),
    Column("reason", "why not, or what was converted", "", lambda row: row.reason or row.note, is_number=False),
)
"""A row of `bd_rate` in `comparison.json`."""

BOARD: Columns = (
    Column("image_set", "image set", "", lambda row: str(row.image_set), is_number=False),
    Column("team", "team", "", lambda row: str(row.team), is_number=False),
    Column("rate", "rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("msssim", "MS-SSIM", "competition", lambda row: units.fixed(row.msssim, int(row.decimals))),
    Column("psnr", "PSNR dB", "competition", lambda row: units.fixed(row.psnr, 3)),
    Column("elo", "Elo", "human ratings", lambda row: units.integer(row.elo)),
    Column("data_bytes", "data", "bytes", lambda row: units.integer(row.data_bytes)),
    Column("decoder_bytes", "decoder", "size", lambda row: units.human_bytes(row.decoder_bytes)),
    Column("decode_seconds", "decode", "seconds", lambda row: units.fixed(row.decode_seconds, 1)),
    Column("date", "date", "", lambda row: str(row.date), is_number=False),
)
"""A row of a board: archived, or of entries over time."""

_OCCASION = (
    Column("phase", "phase", "", lambda row: _text(row.phase), is_number=False),
    Column("track", "track", "", lambda row: _text(row.track), is_number=False),
    Column("variant", "variant", "", lambda row: units.integer(row.variant)),
)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


STANDING: Columns = (
    BOARD[0],
    Column("relation", "measured on", "", lambda row: str(row.relation), is_number=False),
    *_OCCASION,
    *BOARD[1:],
)
"""A row of `entries.beside_boards`."""

STANDING_BRIEF: Columns = (
    Column(
        "relation",
        "measured on",
        "",
        lambda row: str(row.relation) + (f", {row.image_set}" if row.relation == "other images" else ""),
        is_number=False,
    ),
    BOARD[1],
    *_OCCASION,
    BOARD[2],
    Column("msssim", "MS-SSIM", "", lambda row: units.fixed(row.msssim, int(row.decimals))),
    Column("date", "date", "", lambda row: str(row.date), is_number=False),
)
"""The same for a terminal of 80 columns."""

DROPPED: Columns = (
    Column("time", "date", "UTC", lambda row: f"{row.time:%Y-%m-%d %H:%M}", is_number=False),
    Column("team", "team", "", lambda row: str(row.team), is_number=False),
    Column("image_set", "image set", "", lambda row: str(row.image_set), is_number=False),
    Column("phase", "phase", "", lambda row: str(row.phase), is_number=False),
    Column("rate", "rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("reason", "why it is no row", "", lambda row: str(row.reason), is_number=False),
)
"""An entry that does not stay, of `entries.judge`."""


def filled(columns: Columns, frame: pd.DataFrame) -> Columns:
    """Those of the columns in which some row has a value."""
    return [column for column in columns if column.name not in frame or not frame[column.name].isna().all()]
