"""Around what a latent is quantised, and which gradients reach its mean."""

from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor

from submission.quantization.quantizer import Quantizer, Seen

StopGradient = Literal["none", "psg-1", "psg-3"]
MeanGradient = Literal["through", "true"]


@dataclass(frozen=True)
class Centring:
    """How a quantiser q is applied to a latent y whose predicted mean is m.

    With `zero_centre` the synthesis sees m + q(y - m) and the rate q(y - m), as in coding; without it they see q(y) and
    q(y) - m.

    `stop_gradient` is a partial stop-gradient. That of "On Uniform Scalar Quantization for Learned Image Compression"
    (Zhang, Li, Liu) is not described in its abstract, which is all that we know; these are our reconstructions:
    "none" stops nothing; "psg-1" keeps the distortion's gradient from the mean, which the rate alone then trains;
    "psg-3" is psg-1, and in addition no gradient flows through what the context model sees.

    `mean_gradient` is for stages whose encoder is frozen. "through" takes the derivative of m + q(y - m) with respect
    to m as q's slope says: with slope 1 it is 0, so that psg-1 is then the same as "none". "true" is the derivative
    with the symbol held, which is 1; the distortion's gradient then reaches the mean but not y. The rate's gradient is
    the same in both.
    """

    zero_centre: bool = True
    stop_gradient: StopGradient = "none"
    mean_gradient: MeanGradient = "through"

    def __post_init__(self) -> None:
        for name, kind in (("stop_gradient", StopGradient), ("mean_gradient", MeanGradient)):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"{name} is {getattr(self, name)!r}; give one of {', '.join(get_args(kind))}")
        if self.mean_gradient == "true" and not self.zero_centre:
            raise ValueError('mean_gradient = "true" needs zero_centre: without it the synthesis sees no mean')

    def __call__(self, quantizer: Quantizer, latent: Tensor, mean: Tensor, draw: Tensor, progress: float) -> Seen:
        """The quantised latent for the synthesis, and its residual around the mean for the rate, both (N, C, h, w)."""
        if not self.zero_centre:
            seen = quantizer(latent, draw, progress)
            return Seen(seen.synthesis, seen.rate - mean, seen.width)
        seen = quantizer(latent - mean, draw, progress)
        if self.mean_gradient == "true":
            return Seen(seen.synthesis.detach() + mean, seen.rate, seen.width)
        if self.stop_gradient == "none" or quantizer.unit_slope:
            return Seen(seen.synthesis + mean, seen.rate, seen.width)
        still = mean.detach()
        return Seen(quantizer(latent - still, draw, progress).synthesis + still, seen.rate, seen.width)

    def for_context(self, known: Tensor) -> Tensor:
        """What the context model sees of a latent: the same numbers, without their gradient under psg-3."""
        return known.detach() if self.stop_gradient == "psg-3" else known
