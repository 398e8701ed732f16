"""The encoder with refinement: latents of an image at operating points, each refined gain once."""

import time

import numpy as np
import torch
from torch import Tensor

from decoder.model import Model, synthesis_device
from submission.encoder import EncoderNetworks, Latents, Prepared, analyse, encode_latents, latents_at
from submission.networks.entropy import EntropyNetworks
from submission.refinement import Goal, refinable, refine, rescaled, schedule, slope_between, tradeoff_at
from submission.refinement_plan import Cost

SPAN = 6  # sixteenths of a level to either side, over which the slope of rate over distortion is taken
TRIAL = 2  # iterations that an estimate of time is made from
TRIAL_SIDE = 1024  # and the most pixels of a row or column of it


class RefiningEncoder:
    """Refines at the gains that it is asked for, in `iterations`. `encoder` and `networks` are those of `model`, whose
    number is `number`; the networks become this encoder's own."""

    def __init__(
        self, model: Model, number: int, encoder: EncoderNetworks, networks: EntropyNetworks, iterations: int
    ) -> None:
        self.model, self.number, self.encoder, self.iterations = model, number, encoder, iterations
        self.device = synthesis_device()
        self.networks = networks.eval().requires_grad_(False).to(self.device)

    def latents(self, prepared: Prepared, gain: int, refined_at: int) -> Latents:
        """The latents refined at a gain, which are kept for copies that may follow, scaled to another one."""
        if refined_at not in prepared.refined:
            prepared.refined[refined_at] = self.refined(prepared, refined_at, self.iterations)
        refined = prepared.refined[refined_at]
        return refined if gain == refined_at else rescaled(self.encoder, prepared.analysed, refined, gain)

    def refined(self, prepared: Prepared, gain: int, iterations: int) -> Latents:
        """The latents at a gain, refined with lambda from the image's own slope of rate over distortion."""
        own = latents_at(self.encoder, prepared.analysed, gain, self.number)
        if not refinable(own):
            return own
        image = torch.from_numpy(np.array(prepared.pixels)).permute(2, 0, 1)[None].float().to(self.device) / 255
        goal = Goal(image, self.tradeoff(prepared, image, gain))
        return refine(self.networks, self.model, own, goal, schedule(iterations))

    def tradeoff(self, prepared: Prepared, image: Tensor, gain: int) -> float:
        """Lambda at a gain, from the slope around the middle of all gains, which is measured once for an image: what
        was refined before, in this process or another, changes nothing."""
        middle = self.model.gains // 2
        if prepared.slope is None:
            lower, higher = (
                latents_at(self.encoder, prepared.analysed, near, self.number)
                for near in (middle - SPAN, middle + SPAN)
            )
            prepared.slope = slope_between(self.networks, self.model, image, (lower, higher))
        return tradeoff_at(prepared.slope, gain - middle)

    def prepared(self, pixels: np.ndarray) -> Prepared:
        """What the points of one image, uint8 (H, W, 3), share."""
        return Prepared(pixels, analyse(self.encoder, pixels))

    def cost(self, pixels: np.ndarray, gain: int) -> Cost:
        """What refinement takes on this machine, from a few iterations on the middle of one image."""
        top, left = (max(0, (side - TRIAL_SIDE) // 2) for side in pixels.shape[:2])
        part = pixels[top : top + TRIAL_SIDE, left : left + TRIAL_SIDE]
        prepared = self.prepared(part)
        megapixels = part.shape[0] * part.shape[1] / 1e6

        def took(iterations: int) -> float:
            began = time.perf_counter()
            if iterations:
                self.refined(prepared, gain, iterations)
            else:
                encode_latents(self.model, latents_at(self.encoder, prepared.analysed, gain, self.number))
            return (time.perf_counter() - began) / megapixels

        small = self.prepared(pixels[:256, :256])
        self.refined(small, gain, 1)  # the first run of a process is slower than the others
        candidate, first, one, more = took(0), took(1), took(1), took(1 + TRIAL)  # the first with the image's slope
        iteration = max(0.0, (more - one) / TRIAL)
        return Cost(iteration, max(0.0, one - iteration), max(0.0, first - one), candidate)
