"""The codec's networks as they are trained, in floating point.

Analysis, hyperprior and a context model over channel groups (order G of group-major masks: the groups are
coded one after the other, each sees all of the earlier groups around it and, by kind of context, its own raster past or
one half of a checkerboard). After training `submission.training.export` turns everything that decides a probability
into the decoder's integers; the synthesis is the decoder's own class.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.context import CONTEXTS, REACH
from decoder.networks import SLOPE, Block, GroupSeparateAttention, Shape, Synthesis, upsample
from submission._compressai import EntropyBottleneck, LowerBound
from submission.dct import start_from_dct

SCALE_MIN = 0.11  # lower bound of the scale
SCALE_MAX = 60.0
SCALE_LEVELS = 64
SCALE_STEP = float(torch.tensor(SCALE_MAX / SCALE_MIN).log()) / (SCALE_LEVELS - 1)
UNCODED = 2  # elements of up to this scale index (0.134: 1 in 5,000 would not be 0) are not coded
CONTEXT_KERNEL = 2 * REACH + 1
HYPER_START = 8.0  # of the usual size, the last weights of the hyper-analysis
INDEX_UNIT = 16.0  # of the scale output: with it, one learning rate suits indices (0 to 63) and means alike


class Analysis(nn.Module):
    """Image (N, 3, 16 h, 16 w) in 0..1 to latent (N, C, h, w)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        at4, at8, at16 = shape.blocks
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, shape.stride4, 3, padding=1),
            *(Block(shape.stride4) for _ in range(at4)),
            nn.Conv2d(shape.stride4, shape.stride8, 2, stride=2),
            *(Block(shape.stride8) for _ in range(at8)),
            nn.Conv2d(shape.stride8, shape.stride16, 2, stride=2),
            *(Block(shape.stride16) for _ in range(at16)),
            GroupSeparateAttention(shape.stride16),
            nn.Conv2d(shape.stride16, shape.latent, 3, padding=1),
        )
        self.block = nn.Conv2d(3, shape.latent, 16, stride=16)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image - 0.5) + self.block(image - 0.5)


class HyperAnalysis(nn.Module):
    """Latent (N, C, h, w) to hyper-latent (N, Z, ceil(h / 4), ceil(w / 4))."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.features
        leave = nn.Conv2d(width, shape.hyper, 3, stride=2, padding=1)
        with torch.no_grad():  # else noise drowns the hyper-latent, and training gives it up for good
            leave.weight.mul_(HYPER_START)
        self.layers = nn.Sequential(
            nn.Conv2d(shape.latent, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            leave,
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)


class HyperSynthesis(nn.Module):
    """Hyper-latent (N, Z, h', w') to features (N, F, 4 h', 4 w'). ReLU, since the decoder computes it on integers."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.features
        self.enter = nn.Conv2d(shape.hyper, width, 3, padding=1)
        self.up1 = upsample(width, width, 2)
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.up2 = upsample(width, width, 2)
        self.leave = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hyper: Tensor) -> Tensor:
        inner = self.up1(self.enter(hyper).relu()).relu()
        inner = self.up2(self.spatial(inner).relu()).relu()
        return self.leave(inner).relu()


class GroupParameters(nn.Module):
    """Mean and scale index of one channel group from hyper features, earlier groups and its own coded positions."""

    mask: Tensor

    def __init__(self, shape: Shape, index: int) -> None:
        super().__init__()
        own, earlier = shape.groups[index], sum(shape.groups[:index])
        width = shape.features
        self.hyper = nn.Conv2d(width, width, 1)
        self.earlier = nn.Conv2d(earlier, width, 3, padding=1, bias=False) if earlier else None
        # Of a checkerboard's positions one half sees nothing: the bias tells the other that it does.
        self.alternates = shape.context == "checkerboard"
        self.past = nn.Conv2d(own, width, CONTEXT_KERNEL, padding=REACH, bias=self.alternates)
        self.inner = nn.Conv2d(width, width, 1)
        self.leave = nn.Conv2d(width, 2 * own, 1)
        mask = torch.zeros(CONTEXT_KERNEL, CONTEXT_KERNEL)
        for row, column in CONTEXTS[shape.context].taps:
            mask[REACH + row, REACH + column] = 1
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            start = torch.cat([torch.zeros(own), torch.full((own,), 16.0 / INDEX_UNIT)])  # scales near 0.5
            self.leave.bias = nn.Parameter(start)

    def forward(self, features: Tensor, latent: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Mean and real-valued scale index, each (N, own, h, w); `start` is the group's first channel."""
        own = self.past.in_channels
        inner = self.hyper(features)
        if self.earlier is not None:
            inner = inner + self.earlier(latent[:, :start])
        # The mask acts on the weight in the forward pass, so that no gradient reaches a masked tap.
        past = functional.conv2d(
            latent[:, start : start + own], self.past.weight * self.mask, self.past.bias, padding=REACH
        )
        if self.alternates:
            rows, columns = (torch.arange(side, device=past.device) for side in past.shape[2:])
            past = past * (rows[:, None] + columns).remainder(2)
        inner = inner + past
        out = self.leave(self.inner(inner.relu()).relu())
        return out[:, :own], INDEX_UNIT * out[:, own:]


@dataclass
class Output:
    """What a training step needs: reconstruction (N, 3, H, W), bits of each image (N,) for latent and hyper-latent."""

    image: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


def add_noise(x: Tensor) -> Tensor:
    """Additive uniform noise, the soft stand-in for rounding."""
    return x + torch.rand_like(x) - 0.5


def round_through(x: Tensor) -> Tensor:
    """Rounding with the identity as its gradient."""
    return x + (x.round() - x).detach()


class CodecNetworks(nn.Module):
    """All networks of one codec, with a gain vector per level so that one model serves many rates
    (Cui et al., "Asymmetric Gained Deep Image Compression With Continuous Rate Adaptation", CVPR 2021)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.analysis = Analysis(shape)
        self.synthesis = Synthesis(shape)
        self.hyper_analysis = HyperAnalysis(shape)
        self.hyper_synthesis = HyperSynthesis(shape)
        self.prior = EntropyBottleneck(shape.hyper, init_scale=5)
        self.context = nn.ModuleList(GroupParameters(shape, index) for index in range(len(shape.groups)))
        start_from_dct(self.analysis, self.synthesis)
        # In units of the orthonormal DCT of pixels in 0..1: quantisation steps from 1/2 down to 1/30.
        ramp = torch.linspace(0.7, 3.4, shape.levels)[:, None].expand(-1, shape.latent)
        self.log_gain = nn.Parameter(ramp.clone())
        self.log_inverse_gain = nn.Parameter(-ramp.clone())
        self.index_bound = LowerBound(0.0)
        self.mass_bound = LowerBound(1e-9)

    def entropy_parameters(self, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Means and real-valued scale indices (N, C, h, w) of all groups, given the whole quantised latent."""
        means, scales, start = [], [], 0
        for own, group in zip(self.shape.groups, self.context, strict=True):
            mean, scale = group(features, latent, start)
            means.append(mean)
            scales.append(scale)
            start += own
        return torch.cat(means, dim=1).float(), torch.cat(scales, dim=1).float()

    def forward(self, image: Tensor, level: Tensor, hard: bool = False) -> Output:
        """One pass over (N, 3, H, W) images in 0..1, H and W multiples of 64, at integer levels (N,).

        Soft: the rate sees noise, the synthesis sees rounding with straight-through gradient ("mixed"), and the
        context sees noise. `hard`: rounding everywhere, the second stage of soft-then-hard, in which analysis and
        hyper-analysis are frozen and the rate is that of the symbols.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not hard):
            gained = self.analysis(image).float() * self.log_gain[level].exp()[:, :, None, None]
            hyper = self.hyper_analysis(gained).float()
        hyper = hyper.round() if hard else add_noise(hyper)
        features = self.hyper_synthesis(hyper)[:, :, : gained.shape[2], : gained.shape[3]]
        mean, scale = self.entropy_parameters(features, gained.round() if hard else add_noise(gained))
        if hard:  # again, with the context nearly as the decoder will have it: rounded around the mean
            known = (gained - mean).round() * (scale >= UNCODED + 0.5) + mean
            mean, scale = self.entropy_parameters(features, known.detach())
        residual = gained - mean
        if hard:
            coded = scale.detach() >= UNCODED + 0.5
            seen = rounded = round_through(residual) * coded
            latent_bits = self.gaussian_bits(seen, scale) * coded
        else:
            seen, rounded = add_noise(residual), round_through(residual)
            latent_bits = self.gaussian_bits(seen, scale)
        quantised = rounded + mean
        image = self.synthesis(quantised * self.log_inverse_gain[level].exp()[:, :, None, None])
        return Output(image.float(), latent_bits.sum(dim=(1, 2, 3)), self.hyper_bits(hyper).sum(dim=(1, 2, 3)))

    def hyper_bits(self, hyper: Tensor) -> Tensor:
        """-log2 of the factorised prior's mass in the unit bin around each hyper-latent, (N, Z, h', w')."""
        with torch.autocast(hyper.device.type, enabled=False):
            channels_first = hyper.transpose(0, 1)
            likelihood = self.prior._likelihood(channels_first.reshape(self.shape.hyper, 1, -1))[0]
            return -self.mass_bound(likelihood).log2().reshape(channels_first.shape).transpose(0, 1)

    def gaussian_bits(self, residual: Tensor, index: Tensor) -> Tensor:
        """-log2 of the mass that a centred Gaussian of scale `index` gives to the unit bin around `residual`.

        `index` is real-valued, 0 standing for SCALE_MIN; gradients may always raise an index at that bound.
        """
        scale = SCALE_MIN * torch.exp(SCALE_STEP * self.index_bound(index).clamp(max=SCALE_LEVELS - 1))
        distance, factor = residual.abs(), 2**-0.5 / scale
        mass = 0.5 * (torch.erfc((distance - 0.5) * factor) - torch.erfc((distance + 0.5) * factor))
        return -self.mass_bound(mass).log2()
