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
    latent; where `context` is None it sees the very latent that is coded (`submission.networks.walk`). With
    `skip_uncoded`, elements of the smallest scales are their mean and cost nothing, as in coding. `scale_bound` is the
    least scale of a latent's distribution.
    """

    latent: Quantizer = field(default_factory=Mixed)
    hyper: Quantizer = field(default_factory=Noise)
    context: Quantizer | None = field(default_factory=Noise)
    centring: Centring = field(default_factory=Centring)
    scale_bound: float = SCALE_MIN
    skip_uncoded: bool = False

    def __post_init__(self) -> None:
        if self.skip_uncoded and not self.centring.zero_centre:
            raise ValueError("skip_uncoded needs zero_centre: an element that is not coded is its mean")
        if self.scale_bound <= 0:
            raise ValueError(f"scale_bound is {self.scale_bound}; give a number above 0")
        if self.context is None and not self.centring.zero_centre:
            raise ValueError('context_quantizer = "walk" needs zero_centre: the codec rounds around the mean')


CODED = Quantization(Hard(), Hard(), context=None, skip_uncoded=True)
"""As the codec codes: everything is rounded, the latent around its mean, and small elements are left out."""
