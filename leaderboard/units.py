"""Numbers as people read them; every table, plot and page formats through here."""

import math

from harness.rates import Rate
from harness.scores.aggregate import decibels as decibels


def rate_name(rate: float) -> str:
    """A rate in bits per pixel as its folder is named: 0.075, 0.15, 0.3."""
    return str(Rate.parse(rate))


def or_nan(value: float | None) -> float:
    """A number that may be missing, as NaN where it is."""
    return math.nan if value is None else float(value)


def fixed(value: float, digits: int) -> str:
    """`value` with thousands separators and `digits` decimals; a dash where nothing was measured (NaN)."""
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"


def integer(value: float) -> str:
    """A whole number with thousands separators; a dash for NaN."""
    return fixed(value, 0)


def human_bytes(count: float) -> str:
    """A size in powers of 1000, three or four digits: 999 B, 14.1 MB; a dash for NaN."""
    if math.isnan(count):
        return "–"
    for unit in ("B", "kB", "MB"):
        # 999.95 and more would round to 1000.0 of the smaller unit
        if count < 999.95:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.2f} GB"


def budget_used(data_bytes: float, budget_bytes: float) -> str:
    """Share of the budget in %, rounded away from 100: a set one byte over must not read as within."""
    if math.isnan(data_bytes) or not budget_bytes > 0:
        return "–"
    hundredths = 1e4 * data_bytes / budget_bytes
    within = data_bytes <= budget_bytes
    return f"{(math.floor(hundredths) if within else math.ceil(hundredths)) / 100:.2f} %"
