"""All choices of one pass that concern quantisation, and those with which the codec really codes."""

from dataclasses import dataclass, field

from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer
from submission.quantization.scale import SCALE_MIN
from submission.quantization.surrogates import Hard, Mixed, Noise


@dataclass(frozen=True)
class Quantization:
    """What stands in for rounding in one pass through the networks.

    `latent`, `hyper` and `context` are the quantisers of latent, hyper-latent and of what the context model sees of the
    latent. With `skip_uncoded`, elements of the smallest scales are their mean and cost nothing, as in coding. With two
    `context_passes` the context model is asked again, with the latent rounded around the means of the first time, which
    is nearly what a decoder has. `scale_bound` is the least scale of a latent's distribution.
    """

    latent: Quantizer = field(default_factory=Mixed)
    hyper: Quantizer = field(default_factory=Noise)
    context: Quantizer = field(default_factory=Noise)
    centring: Centring = field(default_factory=Centring)
    scale_bound: float = SCALE_MIN
    skip_uncoded: bool = False
    context_passes: int = 1

    def __post_init__(self) -> None:
        if self.skip_uncoded and not self.centring.zero_centre:
            raise ValueError("skip_uncoded needs zero_centre: an element that is not coded is its mean")
        if self.scale_bound <= 0:
            raise ValueError(f"scale_bound is {self.scale_bound}; give a number above 0")
        if self.context_passes < 1:
            raise ValueError(f"context_passes is {self.context_passes}; give 1 or more")


CODED = Quantization(Hard(), Hard(), Hard(), skip_uncoded=True, context_passes=2)
"""As the codec codes: everything rounded, the latent around its mean, small elements left out."""
