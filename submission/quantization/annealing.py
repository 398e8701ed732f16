"""Surrogates that a temperature turns from soft to hard: soft rounding and Gumbel annealing.

A temperature is a number, or two: from the first to the second over a stage, in even ratios.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from submission.quantization.quantizer import Quantizer, Seen
from submission.quantization.surrogates import noisy

Temperature = float | Sequence[float]
ALPHA_MIN = 1e-3  # below, soft rounding is the identity
ALPHA_MAX = 16.0  # above, float32 cannot hold the slope at a threshold
LOGIT_LIMIT = 1 - 1e-5  # of a distance, and of draws, so that logits stay finite
INVERSE_LIMIT = 1 - 2.0**-23  # the largest float32 below 1 but one: atanh stays finite, and beyond ALPHA_MAX / 2


def check_temperature(name: str, temperature: Temperature, low: float, high: float) -> None:
    """Raises ValueError unless it is one number, or two above 0, from `low` to `high`."""
    ends = [temperature] if isinstance(temperature, int | float) else list(temperature)
    right = len(ends) in (1, 2) and all(isinstance(end, int | float) and low <= end <= high for end in ends)
    if not right or (len(ends) == 2 and min(ends) <= 0):
        raise ValueError(f"{name} is {temperature!r}; give one number from {low:g} to {high:g}, or two above 0")


def temperature_at(temperature: Temperature, progress: float) -> float:
    """The temperature at a stage's progress from 0 to 1."""
    if isinstance(temperature, int | float):
        return float(temperature)
    first, last = temperature[0], temperature[-1]
    return float(first) if first == last else float(first * (last / first) ** progress)


def soft_round(value: Tensor, alpha: float) -> Tensor:
    """Rounding softened by `alpha`: the identity at 0, rounding at infinity; fixes integers and half-integers.

    s(v) = m + tanh(alpha (v - m)) / (2 tanh(alpha / 2)) with m = floor(v) + 1/2 (Agustsson and Theis, "Universally
    Quantized Neural Compression", NeurIPS 2020).
    """
    if alpha < ALPHA_MIN:
        return value
    middle = value.detach().floor() + 0.5
    return middle + torch.tanh(alpha * (value - middle)) / (2 * math.tanh(alpha / 2))


def soft_round_inverse(value: Tensor, alpha: float) -> Tensor:
    """The inverse of `soft_round`."""
    if alpha < ALPHA_MIN:
        return value
    middle = value.detach().floor() + 0.5
    inner = ((value - middle) * (2 * math.tanh(alpha / 2))).clamp(-INVERSE_LIMIT, INVERSE_LIMIT)
    return middle + (torch.atanh(inner) / alpha).clamp(-0.5, 0.5)


@dataclass(frozen=True)
class SoftRounding(Quantizer):
    """Soft rounding s with noise: the rate sees s(v) + u, the synthesis the mean of v given that, with their slopes.

    That mean is r(w) = s^-1(w - 1/2) + 1/2 for locally even v (Agustsson and Theis, NeurIPS 2020). `alpha` is the
    sharpness; it may rise over the stage.
    """

    alpha: Temperature = 5.0

    def __post_init__(self) -> None:
        check_temperature("alpha", self.alpha, 0, ALPHA_MAX)

    @property
    def unit_slope(self) -> bool:
        return False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        alpha = temperature_at(self.alpha, progress)
        seen = noisy(soft_round(value, alpha), draw)
        return Seen(soft_round_inverse(seen - 0.5, alpha) + 0.5, seen)


@dataclass(frozen=True)
class Gumbel(Quantizer):
    """Stochastic Gumbel annealing: both sides see a relaxed choice between floor and ceiling, with its slope.

    The logits are -atanh(r) / T of the floor and -atanh(1 - r) / T of the ceiling, r = v - floor(v), and the choice is
    a relaxed one-hot sample at the same T (Yang, Bamler and Mandt, NeurIPS 2020). Of two choices the difference of two
    Gumbel draws is one logistic draw.
    """

    temperature: Temperature = 0.5

    def __post_init__(self) -> None:
        check_temperature("temperature", self.temperature, 1e-3, 10)

    @property
    def unit_slope(self) -> bool:
        return False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        temperature = temperature_at(self.temperature, progress)
        floor, ceiling = value.detach().floor(), value.detach().ceil()
        part = value - floor
        down, up = (torch.atanh(distance.clamp(max=LOGIT_LIMIT)) for distance in (part, 1 - part))
        logistic = torch.logit(draw, eps=1 - LOGIT_LIMIT)
        seen = floor + torch.sigmoid(((down - up) / temperature + logistic) / temperature) * (ceiling - floor)
        return Seen(seen, seen)
