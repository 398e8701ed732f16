"""All networks of one codec as they are trained, and one pass through them."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from decoder.architecture import Architecture
from decoder.networks import Synthesis
from harness.codecs._compressai import without_transforms
from submission.networks.entropy import (
    MASS_MIN,
    ElementSteps,
    GroupParameters,
    HyperSynthesis,
    entropy_parameters,
    gaussian_bits,
)
from submission.networks.transforms import Analysis, HyperAnalysis
from submission.networks.walk import walk
from submission.quantization.quantizer import uniform_like
from submission.quantization.scale import coded, lower_bound
from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Scaled, Skipping

with without_transforms():
    from compressai.entropy_models import EntropyBottleneck

PRIOR_SCALE = 5  # of the factorised prior, at first
# In units of the orthonormal DCT of pixels in 0..1: quantisation steps from 1/2 down to 1/30.
FIRST_LOG_GAIN, LAST_LOG_GAIN = 0.7, 3.4


@dataclass
class Output:
    """What a training step needs: reconstruction (N, 3, H, W), bits of each image (N,) for latent and hyper-latent."""

    image: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


class CodecNetworks(nn.Module):
    """All networks of one codec, with a gain vector per level so that one model serves many rates
    (Cui et al., "Asymmetric Gained Deep Image Compression With Continuous Rate Adaptation", CVPR 2021).

    With `scaled`, a branch gives each element of the latent a quantisation step of its own, for training only.
    """

    def __init__(self, architecture: Architecture, scaled: bool = False) -> None:
        super().__init__()
        self.architecture = architecture
        self.analysis = Analysis(architecture)
        self.synthesis = Synthesis(architecture)
        self.hyper_analysis = HyperAnalysis(architecture)
        self.hyper_synthesis = HyperSynthesis(architecture)
        self.prior = EntropyBottleneck(architecture.hyper, init_scale=PRIOR_SCALE)
        self.context = nn.ModuleList(GroupParameters(architecture, index) for index in range(len(architecture.groups)))
        self.steps = ElementSteps(architecture) if scaled else None
        ramp = torch.linspace(FIRST_LOG_GAIN, LAST_LOG_GAIN, architecture.levels)
        ramp = ramp[:, None].expand(-1, architecture.latent)
        self.log_gain = nn.Parameter(ramp.clone())
        self.log_inverse_gain = nn.Parameter(-ramp.clone())

    def entropy_parameters(self, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Means and real-valued scale indices (N, C, h, w) of all groups, given the whole quantised latent."""
        return entropy_parameters(self.context, features, latent)

    def forward(
        self,
        image: Tensor,
        level: Tensor,
        quantization: Quantization,
        generator: torch.Generator | None = None,
        progress: float = 0.0,
    ) -> Output:
        """One pass over (N, 3, H, W) images in 0..1, H and W multiples of 64, at integer levels (N,).

        `quantization` says what stands in for rounding, `generator` gives its noise (torch's own by default), and
        `progress` is that of the stage, from 0 to 1.
        """
        gained = self.analysis(image).float() * self.log_gain[level].exp()[:, :, None, None]
        hyper = self.hyper_analysis(gained).float()
        hyper_seen = quantization.hyper(hyper, uniform_like(hyper, generator), progress)
        features = self.hyper_synthesis(hyper_seen.synthesis)[:, :, : gained.shape[2], : gained.shape[3]]
        steps = self.steps(features) if self.steps is not None else None
        noise = uniform_like(gained, generator)
        if quantization.context is None:
            known = walk(self, features, gained, steps, quantization.skip_uncoded)
        else:
            known = quantization.context(gained, noise, progress).synthesis
        mean, scale = self.entropy_parameters(features, quantization.centring.for_context(known))
        quantizer = quantization.latent if steps is None else Scaled(quantization.latent, steps)
        if quantization.skip_uncoded:
            quantizer = Skipping(quantizer, coded(scale))
        draw = uniform_like(gained, generator)
        seen = quantization.centring(quantizer, gained, mean, draw, progress)
        latent_bits = gaussian_bits(seen.rate, scale, quantization.scale_bound, seen.width)
        if quantization.skip_uncoded:
            latent_bits = latent_bits * coded(scale)
        reconstruction = self.synthesis(seen.synthesis * self.log_inverse_gain[level].exp()[:, :, None, None])
        return Output(
            reconstruction.float(),
            latent_bits.sum(dim=(1, 2, 3)),
            self.hyper_bits(hyper_seen.rate).sum(dim=(1, 2, 3)),
        )

    def hyper_bits(self, hyper: Tensor) -> Tensor:
        """-log2 of the factorised prior's mass in the unit bin around each hyper-latent, (N, Z, h', w')."""
        with torch.autocast(hyper.device.type, enabled=False):
            channels_first = hyper.transpose(0, 1)
            likelihood = self.prior._likelihood(channels_first.reshape(self.architecture.hyper, 1, -1))[0]
            return -lower_bound(likelihood, MASS_MIN).log2().reshape(channels_first.shape).transpose(0, 1)
