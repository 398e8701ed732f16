"""A comparison in one small table: a line for each codec, its score at each rate, and BD-rates against the first."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from leaderboard import units
from leaderboard.columns import has_own_column, score_column
from leaderboard.tables import Column, Columns

MEASURE = "msssim_competition"


def overview(comparison: Mapping[str, Any]) -> tuple[Columns, pd.DataFrame]:
    """Columns and rows for any of the tables' faces, of what `comparison.json` holds.

    A codec has MS-SSIM in dB (competition) at each rate, NaN where it does not reach it, the score of the objective
    that chose, where that is none of the usual, and by how many per cent more bytes it needs at equal MS-SSIM than
    the anchor.
    """
    reached = {(row["codec"], row["rate"]): row[MEASURE] for row in comparison["codecs"]}
    outcomes = [*comparison["codecs"], *comparison["unreached"]]
    rates = sorted({row["rate"] for row in outcomes}, key=float)
    codecs = named(comparison)
    first = anchor(comparison) if len(codecs) > 1 else ""
    bd_rates = {
        row["codec"]: row["percent"]
        for row in comparison["bd_rate"]
        if row["anchor"] == first and row["metric"] == MEASURE
    }
    rows = pd.DataFrame(
        [
            {"codec": codec, "bd_rate": units.or_nan(bd_rates.get(codec))}
            | {
                f"at{place}": units.decibels(units.or_nan(reached.get((codec, rate))))
                for place, rate in enumerate(rates)
            }
            for codec in codecs
        ]
    )
    columns = [Column("codec", "codec", "", lambda row: str(row.codec), is_number=False)]
    columns += [_at(place, rate) for place, rate in enumerate(rates)]
    chosen_by = objective(comparison)
    if has_own_column(chosen_by):
        scores = {(row["codec"], row["rate"]): row["selection_score"] for row in comparison["codecs"]}
        columns += [_chosen_at(chosen_by, rate, scores) for rate in rates]
    if first:
        columns.append(
            Column("bd_rate_percent", "bytes", f"than {first}", lambda row: _signed(row.bd_rate), value=_bd_rate)
        )
    return columns, rows


def named(comparison: Mapping[str, Any]) -> list[str]:
    """The codecs of a comparison as they were named, the report's subject first.

    Comparisons made before this order was recorded have their rows in it, as far as a codec reached the highest rate.
    """
    outcomes = [*comparison["codecs"], *comparison["unreached"]]
    found = sorted(outcomes, key=lambda row: -float(row["rate"]))
    return list(comparison["run"].get("order") or dict.fromkeys(row["codec"] for row in found))


def anchor(comparison: Mapping[str, Any]) -> str:
    """The codec that the others' BD-rates are told against: the first named that is no union, which has no curve."""
    codecs = named(comparison)
    return next((codec for codec in codecs if codec not in comparison.get("unions", ())), codecs[0])


def objective(comparison: Mapping[str, Any]) -> str:
    """What the operating points were chosen by."""
    return str(comparison.get("run", {}).get("objective", "competition"))


def _at(place: int, rate: str) -> Column:
    def value(row: Any) -> float:
        return float(getattr(row, f"at{place}"))

    return Column(f"{MEASURE}_db at {rate}", f"{rate} bpp", "dB", lambda row: units.fixed(value(row), 2), value=value)


def _bd_rate(row: Any) -> float:
    return float(row.bd_rate)


def _chosen_at(name: str, rate: str, scores: Mapping[tuple[str, str], float | None]) -> Column:
    column = score_column(name, lambda row: scores.get((row.codec, rate)), f"at {rate} bpp")
    return replace(column, name=f"{name} at {rate}")


def _signed(percent: float) -> str:
    return "–" if math.isnan(percent) else f"{percent:+.1f} %"
