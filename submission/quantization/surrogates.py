"""The quantisers of today's training: rounding, noise, and the two together.

In all of them v is the value and u is drawn evenly from -1/2 to 1/2, one an element.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from submission.quantization.quantizer import Quantizer, Seen, with_slope_one


def noisy(value: Tensor, draw: Tensor) -> Tensor:
    """v + u, whose gradient is the identity."""
    return value + draw - 0.5


@dataclass(frozen=True)
class Hard(Quantizer):
    """Rounding, as in coding: both sides see round(v), and no gradient flows."""

    unit_slope: ClassVar[bool] = False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        rounded = value.detach().round()
        return Seen(rounded, rounded)


@dataclass(frozen=True)
class Noise(Quantizer):
    """Additive uniform noise: both sides see v + u, with slope 1 (Ballé et al., ICLR 2017)."""

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = noisy(value, draw)
        return Seen(seen, seen)


@dataclass(frozen=True)
class StraightThrough(Quantizer):
    """Rounding whose gradient is taken for the identity: both sides see round(v), with slope 1."""

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        rounded = with_slope_one(value.round(), value)
        return Seen(rounded, rounded)


@dataclass(frozen=True)
class Mixed(Quantizer):
    """The synthesis sees round(v), the rate sees v + u, both with slope 1 (Minnen and Singh, ICIP 2020)."""

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = noisy(value, draw)
        return Seen(with_slope_one(value.round(), value), seen)


@dataclass(frozen=True)
class Skipping(Quantizer):
    """Another quantiser, with 0 for both sides and no gradient where `coded` (bool, the value's shape) is false."""

    inner: Quantizer
    coded: Tensor
    unit_slope: ClassVar[bool] = False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = self.inner.see(value, draw, progress)
        return Seen(seen.synthesis * self.coded, seen.rate * self.coded)
