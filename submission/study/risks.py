"""Gradient risk of each surrogate, from a study's `gradients.csv`: how far its gradient is from the true loss's.

For parameters that shift or scale a channel of the latent, the true gradient is a finite difference of the hard loss,
the estimate a mean over draws of the surrogate's. Bias, deviation of one draw, and risk (the root of bias squared plus
variance) are root mean squares over the parameters, in units of the true gradient's.

A mean of n draws misses its expectation by a variance of deviation squared over n. The square of the bias is estimated
without it, so that it is right on average; where less than nothing would be left, it is 0.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from harness.errors import ClicError
from submission.study.names import SHARPENED, SURROGATES, fraction
from submission.study.statistics import t_interval

NEEDED = (
    "network",
    "seed",
    "surrogate",
    "temperature",
    "routing",
    "slope",
    "parameter",
    "channel",
    "mean",
    "deviation",
    "draws",
    "truth",
    "truths",
    "mismatch",
)


@dataclass(frozen=True)
class Risk:
    """Of one surrogate on one network's trunk, by seed: mismatch E(seen - rounded)^2 in steps, and the others.

    `plateau` is by how much the true gradient changes with the width of its difference: the root mean square of the
    most that any width is from the middle one, in units of the gradient's. It is the same for all of a network.
    """

    network: str
    surrogate: str
    temperature: float | None
    routing: str
    slope: str
    mismatch: Mapping[int, float]
    bias: Mapping[int, float]
    deviation: Mapping[int, float]
    risk: Mapping[int, float]
    plateau: Mapping[int, float]

    def up_to(self, seed: int) -> "Risk":
        """The same of the first seeds alone."""

        def kept(values: Mapping[int, float]) -> dict[int, float]:
            return {at: value for at, value in values.items() if at <= seed}

        return replace(
            self,
            mismatch=kept(self.mismatch),
            bias=kept(self.bias),
            deviation=kept(self.deviation),
            risk=kept(self.risk),
            plateau=kept(self.plateau),
        )

    @property
    def family(self) -> str:
        """The curve in a plot over temperature that it is a point of."""
        choices = ", ".join(filter(None, (self.routing, self.slope)))
        name = SURROGATES.get(self.surrogate, self.surrogate)
        return f"{name} ({choices})" if choices else name

    @property
    def title(self) -> str:
        """Family and temperature."""
        if self.temperature is None:
            return self.family
        word = " at " if self.surrogate in SHARPENED else " t="
        name, _, choices = self.family.partition(" (")
        return f"{name}{word}{fraction(self.temperature)}" + (f" ({choices}" if choices else "")


@dataclass(frozen=True)
class Risks:
    """All of a study's."""

    all: Sequence[Risk] = ()

    @cached_property
    def networks(self) -> list[str]:
        """Whose gradients were measured."""
        return sorted({one.network for one in self.all})

    def up_to(self, seed: int) -> "Risks":
        """The same of the first seeds alone."""
        return Risks([one.up_to(seed) for one in self.all if min(one.risk) <= seed])

    def shrinking(self, network: str) -> dict[float, Risk]:
        """Those of SUA-A (split, unit) by temperature; its ends are noise (1) and mixed (0), bit for bit."""
        found = {}
        for one in self.all:
            if one.network == network and one.surrogate in ("noise", "mixed"):
                found[1.0 if one.surrogate == "noise" else 0.0] = one
            elif one.network == network and one.surrogate == "sua-a" and (one.routing, one.slope) == ("split", "unit"):
                found[one.temperature or 0.0] = one
        return found

    def rows(self) -> pd.DataFrame:
        """A row for each, means over seeds."""
        rows = []
        for one in self.all:
            risk = t_interval(list(one.risk.values()))
            rows.append(
                {
                    "network": one.network,
                    "surrogate": one.title,
                    "mismatch": float(np.mean(list(one.mismatch.values()))),
                    "bias": float(np.mean(list(one.bias.values()))),
                    "deviation": float(np.mean(list(one.deviation.values()))),
                    "risk": risk.mean,
                    "risk_low": risk.low,
                    "risk_high": risk.high,
                    "plateau": float(np.mean(list(one.plateau.values()))),
                    "seeds": risk.seeds,
                }
            )
        return pd.DataFrame(rows)


def read_risks(path: Path) -> Risks:
    """Those of a `gradients.csv`; none where there is no such file yet. Raises ClicError where it is another file."""
    if not path.exists():
        return Risks()
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values={"temperature": [""]})
    except (ValueError, csv.Error) as error:
        raise ClicError(f"{path}: cannot be read ({error}); make it anew with clic ablate") from error
    lacking = [name for name in NEEDED if name not in frame]
    if lacking:
        raise ClicError(f"{path}: without column {', '.join(lacking)}; make it anew with clic ablate")
    by = ["network", "surrogate", "temperature", "routing", "slope"]
    return Risks([_risk(key, rows) for key, rows in frame.groupby(by, dropna=False)])


def _risk(key: tuple[str, str, float, str, str], rows: pd.DataFrame) -> Risk:
    network, surrogate, temperature, routing, slope = key
    measured: dict[str, dict[int, float]] = {
        "mismatch": {},
        "bias": {},
        "deviation": {},
        "risk": {},
        "plateau": {},
    }
    for seed, part in rows.groupby("seed"):
        truth = math.sqrt(float(part["truth"].pow(2).mean()))
        of_chance = part["deviation"].pow(2) / part["draws"]
        square = float(((part["mean"] - part["truth"]).pow(2) - of_chance).mean())
        bias = math.sqrt(max(0.0, square)) / truth
        deviation = math.sqrt(float(part["deviation"].pow(2).mean())) / truth
        widths = np.array([[float(text) for text in truths.split()] for truths in part["truths"]])
        off = np.abs(widths - part["truth"].to_numpy()[:, None]).max(axis=1)
        plateau = math.sqrt(float(np.mean(off**2))) / truth
        figures = (float(part["mismatch"].mean()), bias, deviation, math.hypot(bias, deviation), plateau)
        for name, value in zip(measured, figures, strict=True):
            measured[name][int(seed)] = value
    return Risk(network, surrogate, None if math.isnan(temperature) else temperature, routing, slope, **measured)
