"""Rounding, noise, and what is made of the two.

In all of them v is the value and u is drawn evenly from -1/2 to 1/2, one an element.
"""

from dataclasses import dataclass

from torch import Tensor

from submission.quantization.quantizer import Quantizer, Seen, with_slope_one


def noisy(value: Tensor, draw: Tensor) -> Tensor:
    """v + u, whose gradient is the identity."""
    return value + draw - 0.5


@dataclass(frozen=True)
class Hard(Quantizer):
    """Rounding, as in coding: both sides see round(v), and no gradient flows."""

    @property
    def unit_slope(self) -> bool:
        return False

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
class Universal(Quantizer):
    """Universal quantisation: both sides see round(v + u) - u, with slope 1 (Agustsson and Theis, NeurIPS 2020).

    One u serves a whole image, or each element has its own (`per_element`).
    """

    per_element: bool = False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        if not self.per_element:
            draw = draw.flatten(1)[:, :1].reshape(-1, *[1] * (draw.dim() - 1))
        dither = draw - 0.5
        seen = with_slope_one((value + dither).round() - dither, value)
        return Seen(seen, seen)


@dataclass(frozen=True)
class ScaledNoise(Noise):
    """Noise as wide as a step that a branch of the hyper-synthesis gives each element: both sides see v + step u.

    The rate is that of a bin so wide. Networks that are trained with it quantise in those steps (`Scaled`), which the
    decoder would have to know: the shipped one does not. By itself, with a step of 1, it is `Noise`. Follows the scaled
    uniform noise of "Soft then Hard" (Guo et al., ICML 2021), of which only the abstract is known to us.
    """

    @property
    def scaled(self) -> bool:
        return True


@dataclass(frozen=True)
class Skipping(Quantizer):
    """Another quantiser, with 0 for both sides and no gradient where `coded` (bool, the value's shape) is false."""

    inner: Quantizer
    coded: Tensor

    @property
    def unit_slope(self) -> bool:
        return False

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = self.inner.see(value, draw, progress)
        return Seen(seen.synthesis * self.coded, seen.rate * self.coded, seen.width)


@dataclass(frozen=True)
class Scaled(Quantizer):
    """Another quantiser q in steps of `step` (of the value's shape): the synthesis sees step q(v / step), and the rate
    that of bins so wide. The step gets its gradient, too."""

    inner: Quantizer
    step: Tensor

    @property
    def unit_slope(self) -> bool:
        return self.inner.unit_slope

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = self.inner.see(value / self.step, draw, progress)
        return Seen(seen.synthesis * self.step, seen.rate * self.step, self.step)
