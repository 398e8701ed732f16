"""Stochastic uniform annealing, in three forms of our own: SUA-A, SUA-B and SUA-C.

"On Uniform Scalar Quantization for Learned Image Compression" (Zhang, Li, Liu, arXiv 2309.17051) names the method: a
temperature trades the mismatch between training and coding for the risk of the gradient's estimate. Only its abstract
is known to us. All formulas here are our reconstructions, and never to be called the paper's.

In all of them t is the temperature from 0 to 1, and u is drawn evenly from -1/2 to 1/2, one an element. Routing "tied"
lets the rate see what the synthesis sees; "split" lets it see v + u, as in `mixed`, with the same u.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from submission.quantization.annealing import Temperature, check_temperature, temperature_at
from submission.quantization.quantizer import Quantizer, Seen, with_slope_one
from submission.quantization.surrogates import noisy


@dataclass(frozen=True)
class _UniformAnnealing(Quantizer):
    """What the forms share: temperature, routing, and a slope that is 1 or the form's own."""

    temperature: Temperature = 0.5
    routing: str = "split"
    slope: str = "unit"
    slopes: ClassVar[tuple[str, ...]] = ("unit",)

    def __post_init__(self) -> None:
        check_temperature("temperature", self.temperature, 0, 1)
        for name, known in (("routing", ("tied", "split")), ("slope", self.slopes)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(known)}")

    @property
    def unit_slope(self) -> bool:
        return self.slope == "unit"

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = self.sample(value, draw, temperature_at(self.temperature, progress))
        if self.unit_slope:
            seen = with_slope_one(seen, value)
        return Seen(seen, noisy(value, draw) if self.routing == "split" else seen)

    @abstractmethod
    def sample(self, value: Tensor, draw: Tensor, temperature: float) -> Tensor:
        """What the synthesis sees, with the form's own slope."""


@dataclass(frozen=True)
class UniformAnnealingA(_UniformAnnealing):
    """SUA-A, a reconstruction of ours, the shrinking box: the synthesis sees round(v) + t (v - round(v)) + t u.

    t = 1 is noise, t = 0 rounding. The slope is 1 ("unit") or its own, t ("true"). The latter is for tied routing
    alone: with split routing the encoder would minimise R + t lambda D while the decoder minimises R + lambda D.
    """

    slopes: ClassVar[tuple[str, ...]] = ("unit", "true")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slope == "true" and self.routing == "split":
            raise ValueError(
                'sua-a with slope "true" and routing "split" trains the encoder on R + t lambda D and the decoder on '
                'R + lambda D; give slope "unit" or routing "tied"'
            )

    def sample(self, value: Tensor, draw: Tensor, temperature: float) -> Tensor:
        rounded = value.detach().round()
        return rounded + temperature * (value - rounded) + temperature * draw - temperature * 0.5


@dataclass(frozen=True)
class UniformAnnealingB(_UniformAnnealing):
    """SUA-B, a reconstruction of ours, the ramp: the synthesis sees round(v + t u), an integer.

    It rounds up with probability clip(1/2 + (r - 1/2) / t, 0, 1), r = v - floor(v). The slope is 1 ("unit"), or that of
    this mean ("ramp"): 1 / t where both integers are possible, else 0.
    """

    slopes: ClassVar[tuple[str, ...]] = ("unit", "ramp")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.slope == "ramp" and temperature_at(self.temperature, 0) == 0:
            raise ValueError('sua-b with slope "ramp" needs a temperature above 0')

    def sample(self, value: Tensor, draw: Tensor, temperature: float) -> Tensor:
        seen = (value.detach() + temperature * (draw - 0.5)).round()
        if self.unit_slope:
            return seen
        ramp = (value.detach() - value.detach().floor() - 0.5).abs() < temperature / 2
        return seen + torch.where(ramp, (value - value.detach()) / temperature, 0.0)


@dataclass(frozen=True)
class UniformAnnealingC(_UniformAnnealing):
    """SUA-C, a reconstruction of ours, annealed dither: the synthesis sees round(v + t u) - t u, with slope 1.

    t = 1 is universal quantisation with a dither for each element.
    """

    def sample(self, value: Tensor, draw: Tensor, temperature: float) -> Tensor:
        dither = temperature * (draw - 0.5)
        return (value.detach() + dither).round() - dither
