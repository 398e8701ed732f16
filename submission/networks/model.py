"""All networks of our codec as they are trained, and one pass through them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from decoder.architecture import Architecture
from decoder.networks import STRIDE, Synthesis
from harness.codecs._compressai import without_transforms
from submission.networks.entropy import (
    ElementSteps,
    GroupParameters,
    HyperSynthesis,
    entropy_parameters,
    factorised_bits,
    gaussian_bits,
)
from submission.networks.interface import Networks, Output
from submission.networks.transforms import Analysis, HyperAnalysis
from submission.networks.walk import walk
from submission.quantization.quantizer import uniform_like
from submission.quantization.scale import coded
from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Scaled, Skipping

with without_transforms():
    from compressai.entropy_models import EntropyBottleneck

PRIOR_SCALE = 5  # of the factorised prior, at first
# In units of the orthonormal DCT of pixels in 0..1: quantisation steps from 1/2 down to 1/30.
FIRST_LOG_GAIN, LAST_LOG_GAIN = 0.7, 3.4


class CodecNetworks(Networks):
    """All networks of one codec, with a gain vector per level so that one model serves many rates
    (Cui et al., "Asymmetric Gained Deep Image Compression With Continuous Rate Adaptation", CVPR 2021).

    With `scaled`, a branch gives each element of the latent a quantisation step of its own, for training only.
    """

    encoder_side = ("analysis", "hyper_analysis", "log_gain")
    multiple = STRIDE

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

    @property
    def levels(self) -> int:
        """Rows of the gains."""
        return self.architecture.levels

    def describe(self) -> dict[str, Any]:
        """The architecture, and whether there is a branch for steps."""
        return {"architecture": self.architecture.to_json(), **({"scaled": True} if self.steps is not None else {})}

    def learning_factor(self, name: str) -> float:
        """Block transforms start well, entropy networks and gains are shallow."""
        if ".block." in name:
            return 0.1
        return 3.0 if name.startswith(("context.", "hyper_synthesis.", "prior.", "log_")) else 1.0

    def is_described_by(self, about: Mapping[str, Any]) -> bool:
        """Whether a checkpoint is of this architecture, with such a branch or without; older ones call it otherwise."""
        if not {"architecture", "shape"} & about.keys() or bool(about.get("scaled")) != (self.steps is not None):
            return False
        return Architecture.of(about) == self.architecture

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
        return factorised_bits(self.prior, hyper)
