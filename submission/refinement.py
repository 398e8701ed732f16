"""Per-image refinement of the latent by stochastic Gumbel annealing; the decoder knows nothing of it.

The analysis transform gives every image the latent that suits images on average. Refinement goes on from there and
minimises bits + lambda (1 - MS-SSIM) of this one image over its latent alone, after Yang, Bamler and Mandt, "Improving
Inference for Neural Image Compression", NeurIPS 2020: the synthesis sees a relaxed sample between the two integers
around each element, at a temperature that falls. Two things differ. The rate is its expectation over the two integers
and not that of the sample, and Adam's epsilon is of the order of a relevant gradient: most elements cannot change
their symbol, and normalising their tiny gradients would move them all the same.

The hyper-latent stays that of the unrefined latent: the hyper-analysis has never seen refined ones.
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from decoder.fixed import ONE
from decoder.latent import SCALES
from decoder.model import Model, interpolate
from decoder.rans import PRECISION, Tables
from submission.encoder import Analysed, EncoderNetworks, Latents, latents_at, quantise
from submission.networks.entropy import EntropyNetworks, gaussian_bits
from submission.quantization.scale import coded
from submission.training.loss import LEAST_SIDE, msssim

SEED = 20
EPSILON = 3.0  # Adam's, in bits a quantisation step
TRADEOFFS = (0.25, 200.0)  # in which a slope is believed; training used 0.5 to 100
GROWTH = 200 ** (1 / 7)  # of lambda from one level to the next: that of training
ESCAPED_BITS = 16  # that a hyper-latent outside its table is taken to cost beside its escape
EDGE = 1e-4  # log odds are taken this far inside the interval between two integers


@dataclass(frozen=True)
class Schedule:
    """How one latent is refined: Adam's `iterations`, learning rate in quantisation steps (a cosine to 0.3 of it) and
    momentum, and the temperature, geometric from its first to its last value."""

    iterations: int
    temperature: tuple[float, float] = (0.4, 0.1)
    learning_rate: float = 0.03
    momentum: float = 0.9

    def at(self, iteration: int) -> tuple[float, float]:
        """Temperature and learning rate of one of 0 ... iterations - 1."""
        progress = iteration / max(1, self.iterations - 1)
        first, last = self.temperature
        cosine = 0.5 + 0.5 * math.cos(math.pi * progress)
        return first * (last / first) ** progress, self.learning_rate * (0.3 + 0.7 * cosine)


def schedule(iterations: int) -> Schedule:
    """The schedule for a number of iterations; short ones begin colder and stop warmer, with less momentum and smaller
    steps."""
    return Schedule(iterations) if iterations > 20 else Schedule(iterations, (0.3, 0.15), 0.018, momentum=0.8)


def refinable(latents: Latents) -> bool:
    """Whether the image is large enough for MS-SSIM as a loss."""
    return min(latents.header.width, latents.header.height) >= LEAST_SIDE


@dataclass(frozen=True)
class Goal:
    """What to refine for: the image (1, 3, H, W) in 0..1, and lambda in bits a pixel for 1 of MS-SSIM."""

    image: Tensor
    tradeoff: float


def narrow_arithmetic(device: torch.device) -> bool:
    """Whether bfloat16 is this device's quicker arithmetic for convolutions."""
    return device.type == "cuda" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


class RateDistortion:
    """Bits and MS-SSIM of one image as differentiable functions of its latent, at one hyper-latent and one gain."""

    def __init__(self, networks: EntropyNetworks, model: Model, image: Tensor, latents: Latents) -> None:
        self.networks, self.synthesis, self.image = networks, model.synthesis, image
        self.grey = latents.header.grey
        hyper = torch.from_numpy(latents.hyper)[None].float().to(image.device)
        height, width = latents.latent.shape[2:]
        with torch.no_grad():
            self.features = networks.hyper_synthesis(hyper)[:, :, :height, :width]
        self.hyper_bits = hyper_bits(model.tables, latents.hyper)
        inverse_gain = interpolate(model.log_inverse_gain, latents.header.gain).exp()
        self.inverse_gain = inverse_gain[:, None, None].to(image.device)

    def parameters(self, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means (1, C, h, w), then the places of coded elements in the flattened latent and these elements' scale
        indices, given the quantised latent as the context sees it."""
        mean, index = self.networks.entropy_parameters(self.features, known)
        index = index.flatten()
        places = torch.nonzero(coded(index)).flatten()
        return mean, places, index.index_select(0, places)

    def similarity(self, quantised: Tensor) -> Tensor:
        """MS-SSIM of the reconstruction, a scalar. Linear blocks in float32, the other layers where it is quicker in
        bfloat16: its gradient has a cosine of 0.9997 with float32's."""
        scaled = (quantised * self.inverse_gain).contiguous(memory_format=torch.channels_last)
        layers = self.synthesis.layers
        with torch.autocast(scaled.device.type, torch.bfloat16, enabled=narrow_arithmetic(scaled.device)):
            inner = layers(scaled.to(next(layers.parameters()).dtype))  # of the codec's precision
        height, width = self.image.shape[2:]
        image = (inner.float() + self.synthesis.blocks(scaled))[:, :, :height, :width]
        image = (image.mean(1, keepdim=True).expand_as(image) if self.grey else image).clamp(0, 1)
        return msssim(self.image, image)[0]

    @torch.no_grad()
    def measure(self, quantised: Tensor) -> tuple[float, float]:
        """Bits, those of the hyper-latent among them, and 1 - MS-SSIM of a latent that the walk has quantised."""
        mean, places, index = self.parameters(quantised)
        symbols = (quantised - mean).flatten().index_select(0, places).round()
        bits = gaussian_bits(symbols, index).double().sum()
        return float(bits) + self.hyper_bits, 1 - float(self.similarity(quantised))


def hyper_bits(tables: Tables, hyper: np.ndarray) -> float:
    """Bits of an integer hyper-latent (Z, h', w') by the tables that it is coded with."""
    table = SCALES + np.arange(len(hyper))[:, None, None]
    position, escape = hyper - tables.first[table], tables.escape(table)
    outside = (position < 0) | (position >= escape)
    frequency = tables.frequency[table, np.where(outside, escape, position)]
    return float((PRECISION - np.log2(frequency)).sum() + ESCAPED_BITS * outside.sum())


def walked(model: Model, latents: Latents, device: torch.device) -> Tensor:
    """The quantised latent (1, C, h, w) that a decoder will have, float32."""
    return torch.from_numpy((quantise(model, latents)[1] / ONE).astype(np.float32))[None].to(device)


def spread(mean: Tensor, places: Tensor, symbols: Tensor) -> Tensor:
    """The quantised latent, in the shape of `mean`: symbols around their means, and the mean where nothing is coded."""
    return mean.flatten().index_add(0, places, symbols).view_as(mean)


def log_odds(residual: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The integer below each element, and the logarithm of the odds for the one above it, those of stochastic Gumbel
    annealing: (atanh a - atanh(1 - a)) / temperature for a fraction a."""
    below = residual.detach().floor()
    fraction = (residual - below).clamp(EDGE, 1 - EDGE)
    return below, (torch.atanh(fraction) - torch.atanh(1 - fraction)) / temperature


def expected_bits(below: Tensor, odds: Tensor, index: Tensor) -> Tensor:
    """Bits of each element, in expectation over the two integers around it."""
    above = torch.sigmoid(odds)
    return (1 - above) * gaussian_bits(below, index) + above * gaussian_bits(below + 1, index)


def relaxed_sample(below: Tensor, odds: Tensor, temperature: float, generator: torch.Generator) -> Tensor:
    """A sample between the two integers around each element, which at temperature 0 would be one of them."""
    uniform = torch.empty_like(odds).uniform_(1e-6, 1 - 1e-6, generator=generator)
    return below + torch.sigmoid((odds + uniform.log() - (-uniform).log1p()) / temperature)


def refine(networks: EntropyNetworks, model: Model, latents: Latents, goal: Goal, plan: Schedule) -> Latents:
    """`latents` with a latent that is to cost fewer bits + lambda (1 - MS-SSIM).

    Whether it does is for a selection to say, which has the unrefined one as well: to know it here would take two
    walks and syntheses. The image must be `refinable`. On one machine and thread the result depends on the arguments
    alone.
    """
    device, price = goal.image.device, goal.tradeoff * goal.image[0, 0].numel()
    problem = RateDistortion(networks, model, goal.image, latents)
    known = walked(model, latents, device)
    latent = latents.latent.clone().to(device).requires_grad_()
    adam = torch.optim.Adam([latent], plan.learning_rate, (plan.momentum, 0.99), EPSILON, fused=True)
    generator = torch.Generator(device).manual_seed(SEED)
    for iteration in range(plan.iterations):
        temperature, adam.param_groups[0]["lr"] = plan.at(iteration)
        # The context sees what the last iteration quantised, and its gradient goes straight through to the latent.
        mean, places, index = problem.parameters(latent + (known - latent).detach())
        below, odds = log_odds((latent - mean).flatten().index_select(0, places), temperature)
        quantised = spread(mean, places, relaxed_sample(below, odds, temperature, generator))
        bits = expected_bits(below, odds, index).sum()
        loss = bits + price * (1 - problem.similarity(quantised))
        (latent.grad,) = torch.autograd.grad(loss, latent)
        adam.step()
        known = quantised.detach()
    # Not what was quantised here is handed on, but the latent: the walk rounds it around its own, exact means.
    return replace(latents, latent=latent.detach().cpu(), header=replace(latents.header, refined=True))


def slope_between(networks: EntropyNetworks, model: Model, image: Tensor, near: tuple[Latents, Latents]) -> float:
    """Bits a pixel for 1 of MS-SSIM between an image's unrefined latents at two gains, the lower one first."""
    (low_bits, low), (high_bits, high) = (
        RateDistortion(networks, model, image, latents).measure(walked(model, latents, image.device))
        for latents in near
    )
    return (high_bits - low_bits) / image[0, 0].numel() / max(low - high, 1e-9)


def tradeoff_at(slope: float, change: int) -> float:
    """Lambda `change` sixteenths of a level above where an image has this slope: it grows as in training."""
    least, most = TRADEOFFS
    return min(max(slope * GROWTH ** (change / 16), least), most)


@torch.inference_mode()
def rescaled(encoder: EncoderNetworks, analysed: Analysed, refined: Latents, gain: int) -> Latents:
    """A refined latent at another gain, with the hyper-latent of that gain."""
    header = refined.header
    own = latents_at(encoder, analysed, gain, header.model)
    change = interpolate(encoder.log_gain, gain) - interpolate(encoder.log_gain, header.gain)
    latent = refined.latent * change.exp()[:, None, None]
    return replace(own, latent=latent, header=replace(own.header, refined=header.refined))
