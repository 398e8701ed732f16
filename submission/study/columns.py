"""The columns of the study's tables, described once for every face."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from leaderboard.tables import Column, Columns
from leaderboard.units import fixed, integer


def text(name: str, title: str, detail: str = "") -> Column:
    """A column of words."""
    return Column(name, title, detail, lambda row: str(getattr(row, name)), is_number=False)


def number(name: str, title: str, detail: str, show: Callable[[float], str]) -> Column:
    """A column of numbers; one that is missing is a dash."""
    return Column(name, title, detail, lambda row: show(float(getattr(row, name))))


def percent(value: float) -> str:
    """With its sign and two decimals; a dash where there is none."""
    return "–" if math.isnan(value) else f"{signed(value)} %"


def signed(value: float, digits: int = 2) -> str:
    """With its sign, unless it is 0 to so many decimals; a dash where there is none."""
    if math.isnan(value):
        return "–"
    return f"{value:+.{digits}f}" if abs(value) >= 0.5 * 10**-digits else f"{0:.{digits}f}"


def _range(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{signed(low)} to {signed(high)}"


def probability(p: float) -> str:
    """To four decimals; a dash where there is none."""
    return "–" if math.isnan(p) else "below 0.0001" if p < 1e-4 else f"{p:.4f}"


@dataclass(frozen=True)
class Ends(Column):
    """Both ends of an interval, fields NAME_low and NAME_high: one column to read, two in the data."""

    field: str = ""

    @property
    def apart(self) -> list[Column]:
        """The two columns of the data."""
        return [number(f"{self.field}_{end}", f"{self.title}, {end}", self.detail, percent) for end in ("low", "high")]


def interval(name: str, title: str, detail: str) -> Ends:
    """The column of an interval."""

    def show(row: Any) -> str:
        return _range(getattr(row, f"{name}_low"), getattr(row, f"{name}_high"))

    return Ends(f"{name}_interval", title, detail, show, value=show, field=name)


def as_data(columns: Columns) -> Columns:
    """The columns as data: both ends of an interval apart."""
    return [one for column in columns for one in (column.apart if isinstance(column, Ends) else [column])]


ANSWERS: Columns = (
    text("name", "name"),
    text("question", "question"),
    text("verdict", "answer"),
    text("part", "measured", "all must hold"),
    number("mean", "mean", "%", percent),
    interval("seeds", "interval", "over seeds"),
    number("seeds", "seeds", "", integer),
    number("p", "p", "of the question", probability),
    number("adjusted", "p", "after Holm, of five", probability),
    text("reason", "why"),
    text("further", "seeds 4, 5", "called for"),
)

CONTRASTS: Columns = (
    text("image_set", "images"),
    text("network", "network"),
    text("test", "test"),
    text("control", "against"),
    text("skips", "small elements"),
    text("mode", "bits"),
    number("gain", "dJ/R", "rate saved", percent),
    interval("gain", "interval", "over seeds"),
    interval("images", "interval", "over images"),
    number("bd", "BD-rate", "PCHIP", percent),
    interval("bd", "interval", "over seeds"),
    interval("bd_images", "interval", "over images"),
    number("rate", "rate", "at equal lambda", percent),
    number("quality", "quality", "at equal lambda, dB", lambda value: signed(value, 3)),
    number("seeds", "seeds", "", integer),
    number("levels", "levels", "", integer),
    number("images", "images", "", integer),
    text("verdict", "verdict"),
)

FROM_SCRATCH: Columns = (
    *CONTRASTS,
    number("warm", "dJ/R in row S", "as finishing surrogate, %", percent),
    text("agrees", "same sign"),
)

STAGES: Columns = (
    text("image_set", "images"),
    text("objective", "trained for"),
    text("stage", "stage"),
    text("skips", "small elements"),
    number("lambda_", "lambda", "", lambda value: f"{value:g}"),
    number("bpp", "bpp", "", lambda value: fixed(value, 4)),
    number("msssim_paper", "MS-SSIM", "paper", lambda value: fixed(value, 5)),
    number("msssim_competition", "MS-SSIM", "compet.", lambda value: fixed(value, 5)),
    number("psnr", "PSNR", "dB", lambda value: fixed(value, 3)),
    number("gain", "dJ/R", "against a", percent),
    interval("gain", "interval", "over seeds"),
    number("left_out", "left out", "dJ/R", percent),
    interval("left_out", "interval", "over seeds"),
    number("gap", "gap", "% of R", percent),
    number("seeds", "seeds", "", integer),
    text("mode", "bits"),
    number("paper_bpp", "A:", "bpp", lambda value: fixed(value, 4)),
    number("paper_msssim", "A:", "MS-SSIM", lambda value: fixed(value, 5)),
    number("paper_percent", "A:", "rate, %", percent),
)

PARTS: Columns = (
    text("image_set", "images"),
    text("objective", "trained for"),
    text("part", "part"),
    text("compared", "compared"),
    number("lambda_", "lambda", "", lambda value: f"{value:g}" if not math.isnan(value) else "mean"),
    number("gain", "dJ/R", "rate saved", percent),
    interval("gain", "interval", "over seeds"),
    number("share", "share", "of the whole, %", lambda value: "–" if math.isnan(value) else str(round(value))),
)

GAP: Columns = (
    text("row", "row"),
    text("network", "network"),
    text("cell", "cell"),
    text("image_set", "images"),
    number("training", "R", "in training, bpp", lambda value: fixed(value, 4)),
    number("hard", "R", "hard, bpp", lambda value: fixed(value, 4)),
    number("coded", "R", "coded, bpp", lambda value: fixed(value, 4)),
    number("over", "coded", "over stated, %", percent),
    number("centring", "around mean", "against around 0, dJ/R", percent),
    interval("centring", "interval", "over seeds"),
    number("gap", "gap", "J training less hard, % of R", percent),
    interval("gap", "interval", "over seeds"),
    number("seeds", "seeds", "", integer),
)

RISKS: Columns = (
    text("network", "network"),
    text("surrogate", "surrogate"),
    number("mismatch", "mismatch", "steps²", lambda value: fixed(value, 5)),
    number("bias", "bias", "", lambda value: fixed(value, 4)),
    number("deviation", "deviation", "", lambda value: fixed(value, 4)),
    number("risk", "risk", "", lambda value: fixed(value, 4)),
    interval("risk", "interval", "over seeds"),
    number("plateau", "truth", "change over widths", lambda value: fixed(value, 4)),
    number("seeds", "seeds", "", integer),
)

IDENTICAL: Columns = (
    text("what", "not run"),
    text("equals", "identical to"),
    text("why", "why"),
    text("test", "test"),
)

COST: Columns = (
    text("of", "row or question"),
    number("trainings", "trainings", "", integer),
    number("steps", "steps", "", integer),
    number("hours", "core-hours", "training", lambda value: fixed(value, 2)),
)

PUBLIC: Columns = (
    text("source", "source"),
    text("what", "what"),
    number("percent", "BD-rate", "as reported, %", lambda value: f"{value:+.1f} %"),
    text("known", "how we know"),
)

MISSING: Columns = (text("row", "row"), text("what", "missing"))

SURROGATES = (
    "network",
    "surrogate",
    "temperature",
    "seed",
    "rate_bpp",
    "distortion",
    "loss_hard",
    "loss_training",
    "gain_percent",
    "low",
    "high",
)
"""Columns of `surrogates.csv`, by network, surrogate and seed."""

SOFT_THEN_HARD = ("set", "stage", "lambda", "bpp", "msssim_competition", "msssim_paper")
"""Columns of `soft_then_hard.csv`: coded bytes, means of the seeds."""
