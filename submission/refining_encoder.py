"""The encoder with refinement: latents of an image at operating points, each refined gain once."""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from decoder.model import Model, synthesis_device
from submission.encoder import Analysed, EncoderNetworks, Latents, analyse, encode_latents, latents_at
from submission.networks.entropy import EntropyNetworks
from submission.refinement import Goal, local_tradeoff, refinable, refine, rescaled, schedule
from submission.refinement_plan import Cost, OperatingPoint

SPAN = 6  # sixteenths of a level to either side, over which the slope of rate over distortion is taken
TRIAL = 2  # iterations that an estimate of time is made from


@dataclass(frozen=True)
class Prepared:
    """What the operating points of one image share: image (1, 3, H, W) in 0..1, latent, latents refined so far."""

    image: Tensor
    analysed: Analysed
    refined: dict[int, Latents] = field(default_factory=dict)


class RefiningEncoder:
    """Refines at the gains that it is asked for. `networks` and `encoder` are those of `model`, whose number is
    `number`; the networks become this encoder's own."""

    def __init__(self, model: Model, number: int, encoder: EncoderNetworks, networks: EntropyNetworks) -> None:
        self.model, self.number, self.encoder = model, number, encoder
        self.device = synthesis_device()
        self.networks = networks.eval().requires_grad_(False).to(self.device)

    def prepare(self, pixels: np.ndarray) -> Prepared:
        """What the points of one image, uint8 (H, W, 3), share."""
        image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255
        return Prepared(image.to(self.device), analyse(self.encoder, pixels))

    def latents(self, prepared: Prepared, point: OperatingPoint, iterations: int) -> Latents:
        """The refined latents, or a scaled copy of those at `point.refined_at`, which are kept for further copies."""
        gain = point.refined_at
        if gain not in prepared.refined:
            prepared.refined[gain] = self.refined(prepared, gain, iterations)
        refined = prepared.refined[gain]
        return refined if point.gain == gain else rescaled(self.encoder, prepared.analysed, refined, point.gain)

    def refined(self, prepared: Prepared, gain: int, iterations: int) -> Latents:
        """The latents at a gain, refined with the image's own slope of rate over distortion there as lambda."""
        lower, own, higher = (
            latents_at(self.encoder, prepared.analysed, min(max(near, 0), self.model.gains - 1), self.number)
            for near in (gain - SPAN, gain, gain + SPAN)
        )
        if not refinable(own):
            return own
        tradeoff = local_tradeoff(self.networks, self.model, prepared.image, (lower, higher))
        return refine(self.networks, self.model, own, Goal(prepared.image, tradeoff), schedule(iterations))

    def cost(self, pixels: np.ndarray, gain: int) -> Cost:
        """What refinement takes on this machine, from a few iterations on one image."""
        prepared = self.prepare(pixels)

        def took(iterations: int) -> float:
            began = time.perf_counter()
            if iterations:
                self.refined(prepared, gain, iterations)
            else:
                encode_latents(self.model, latents_at(self.encoder, prepared.analysed, gain, self.number))
            return (time.perf_counter() - began) * 1e6 / (pixels.shape[0] * pixels.shape[1])

        took(1)  # the first run of a process is slower than the others
        candidate, one, more = took(0), took(1), took(1 + TRIAL)
        iteration = (more - one) / TRIAL
        return Cost(iteration, max(0.0, one - iteration), candidate)
