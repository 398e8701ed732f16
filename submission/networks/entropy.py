"""Hyper-synthesis, the entropy parameters of each channel group, and bits under them, in floating point.

The context model works on channel groups (order G of group-major masks): they are coded one after the other, each sees
all of the earlier groups around it and, by kind of context, positions of its own. `submission.training.export` turns
the trained networks into the decoder's integers.
"""

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.architecture import Architecture
from decoder.context import CONTEXTS, REACH
from decoder.layers import Upsampling
from submission.quantization.scale import SCALE_MIN, lower_bound, scale_of_index

if TYPE_CHECKING:
    from compressai.entropy_models import EntropyBottleneck

CONTEXT_KERNEL = 2 * REACH + 1
INDEX_UNIT = 16.0  # of the scale output: with it, one learning rate suits indices (0 to 63) and means alike
INDEX_START = 16.0  # scales near 0.5
STEP_REACH = 4.0  # by which a learned quantisation step may be larger or smaller than 1
MASS_MIN = 1e-9  # no probability is taken to be smaller


class HyperSynthesis(nn.Module):
    """Hyper-latent (N, Z, h', w') to features (N, F, 4 h', 4 w'). ReLU, since the decoder computes it on integers."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.features
        self.enter = nn.Conv2d(architecture.hyper, width, 3, padding=1)
        self.up1 = Upsampling(width, width, 2)
        self.spatial = nn.Conv2d(width, width, 3, padding=1)
        self.up2 = Upsampling(width, width, 2)
        self.leave = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, hyper: Tensor) -> Tensor:
        inner = self.up1(self.enter(hyper).relu()).relu()
        inner = self.up2(self.spatial(inner).relu()).relu()
        return self.leave(inner).relu()


class GroupParameters(nn.Module):
    """Mean and scale index of one channel group from hyper features, earlier groups and its own coded positions."""

    mask: Tensor

    def __init__(self, architecture: Architecture, index: int) -> None:
        super().__init__()
        own, earlier = architecture.groups[index], sum(architecture.groups[:index])
        width = architecture.features
        self.own, self.model = own, CONTEXTS[architecture.context]
        self.alternates = self.model.alternates
        self.hyper = nn.Conv2d(width, width, 1)
        self.earlier = nn.Conv2d(earlier, width, 3, padding=1, bias=False) if earlier else None
        self.past = (
            nn.Conv2d(own, width, CONTEXT_KERNEL, padding=REACH, bias=self.alternates) if self.model.taps else None
        )
        self.inner = nn.Conv2d(width, width, 1)
        self.leave = nn.Conv2d(width, 2 * own, 1)
        mask = torch.zeros(CONTEXT_KERNEL, CONTEXT_KERNEL)
        for row, column in self.model.taps:
            mask[REACH + row, REACH + column] = 1
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            start = torch.cat([torch.zeros(own), torch.full((own,), INDEX_START / INDEX_UNIT)])
            self.leave.bias = nn.Parameter(start)

    def forward(self, features: Tensor, latent: Tensor, start: int) -> tuple[Tensor, Tensor]:
        """Mean and real-valued scale index, each (N, own, h, w); `start` is the group's first channel."""
        inner = self.hyper(features)
        if self.earlier is not None:
            inner = inner + self.earlier(latent[:, :start])
        if self.past is not None:
            inner = inner + self._see(self.past, latent[:, start : start + self.own])
        out = self.leave(self.inner(inner.relu()).relu())
        return out[:, : self.own], INDEX_UNIT * out[:, self.own :]

    def _see(self, past: nn.Conv2d, known: Tensor) -> Tensor:
        # The mask acts on the weight in the forward pass, so that no gradient reaches a masked tap.
        seen = functional.conv2d(known, past.weight * self.mask, past.bias, padding=REACH)
        if self.alternates:
            seen = seen * torch.from_numpy(self.model.sees(*seen.shape[2:])).to(seen.device)
        return seen


class EntropyNetworks(nn.Module):
    """All that decides probabilities of the latent, in floating point; `decoder.latent` has the same in integers."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        self.hyper_synthesis = HyperSynthesis(architecture)
        self.context = nn.ModuleList(GroupParameters(architecture, index) for index in range(len(architecture.groups)))

    def entropy_parameters(self, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """See the function of that name."""
        return entropy_parameters(self.context, features, latent)


def entropy_parameters(context: nn.ModuleList, features: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
    """Means and real-valued scale indices (N, C, h, w) of all groups, given the whole quantised latent."""
    means, scales, start = [], [], 0
    for group in context:
        mean, scale = group(features, latent, start)
        means.append(mean)
        scales.append(scale)
        start += mean.shape[1]
    return torch.cat(means, dim=1).float(), torch.cat(scales, dim=1).float()


class ElementSteps(nn.Module):
    """A quantisation step for each element of the latent, (N, C, h, w), from hyper features (N, F, h, w).

    Steps begin at 1 and stay within a factor of STEP_REACH. For training with scaled noise; no decoder of ours has it.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.leave = nn.Conv2d(architecture.features, architecture.latent, 1)
        with torch.no_grad():
            self.leave.weight.zero_()
            self.leave.bias = nn.Parameter(torch.zeros(architecture.latent))

    def forward(self, features: Tensor) -> Tensor:
        return torch.exp(math.log(STEP_REACH) * torch.tanh(self.leave(features).float()))


def gaussian_bits(residual: Tensor, index: Tensor, bound: float = SCALE_MIN, width: Tensor | float = 1.0) -> Tensor:
    """-log2 of the mass that a centred Gaussian gives to the bin around each residual, both (N, C, h, w).

    Bins are `width` steps wide. `index` is real-valued, 0 standing for SCALE_MIN; gradients may always raise a scale at
    its `bound`.
    Raises TypeError unless both are float32: near the bound, masses of lower precision are worthless.
    """
    if residual.dtype != torch.float32 or index.dtype != torch.float32:
        raise TypeError(f"bits need float32, not residuals of {residual.dtype} and scale indices of {index.dtype}")
    return bits_at_scale(residual, scale_of_index(index, bound), width)


def bits_at_scale(residual: Tensor, scale: Tensor, width: Tensor | float = 1.0) -> Tensor:
    """The same for scales (N, C, h, w) in quantisation steps, above 0. Raises TypeError unless both are float32."""
    if residual.dtype != torch.float32 or scale.dtype != torch.float32:
        raise TypeError(f"bits need float32, not residuals of {residual.dtype} and scales of {scale.dtype}")
    distance, half, factor = residual.abs(), 0.5 * width, 2**-0.5 / scale
    mass = 0.5 * (torch.erfc((distance - half) * factor) - torch.erfc((distance + half) * factor))
    return -lower_bound(mass, MASS_MIN).log2()


def factorised_bits(prior: "EntropyBottleneck", value: Tensor) -> Tensor:
    """-log2 of the mass that a factorised prior gives to the unit bin around each value, both (N, C, h, w), float32."""
    with torch.autocast(value.device.type, enabled=False):
        channels_first = value.transpose(0, 1)
        likelihood = prior._likelihood(channels_first.reshape(len(channels_first), 1, -1))[0]
        return -lower_bound(likelihood, MASS_MIN).log2().reshape(channels_first.shape).transpose(0, 1)
