"""Attention modules by name. Each takes (N, C, H, W) to the same shape, at the transforms' smallest scale."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.layers import SLOPE


class GroupUnit(nn.Module):
    """Residual unit of 1x1, 3x3 and 1x1 group convolutions: no channel of one group reaches another."""

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, channels // 2, 1, groups=groups)
        self.spatial = nn.Conv2d(channels // 2, channels // 2, 3, padding=1, groups=groups)
        self.leave = nn.Conv2d(channels // 2, channels, 1, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.leaky_relu(self.enter(x), SLOPE)
        inner = functional.leaky_relu(self.spatial(inner), SLOPE)
        return functional.leaky_relu(x + self.leave(inner), SLOPE)


class GroupSeparateAttention(nn.Module):
    """Trunk and sigmoid mask of group convolutions, recombined by split attention of radix 2 (Zhang et al.,
    ResNeSt). (N, C, H, W) to the same shape; the split weights look at the mean over the whole image.

    Follows the description in "Improved Neural Image Compression: A New Two-Stage Quantization Strategy" (Guo et al.,
    CLIC 2021), which gives no layer list: the layout here is a reconstruction.
    """

    halo, factor = None, 1

    def __init__(self, channels: int, groups: int = 4) -> None:
        super().__init__()
        self.trunk = GroupUnit(channels, groups)
        self.split = nn.Conv2d(channels, 2 * channels, 1, groups=groups)
        self.mask = GroupUnit(channels, groups)
        self.gate = nn.Conv2d(channels, channels, 1, groups=groups)
        self.squeeze = nn.Conv2d(channels, max(channels // 2, 32), 1)
        self.weigh = nn.Conv2d(max(channels // 2, 32), 2 * channels, 1)
        self.project = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        first, second = functional.leaky_relu(self.split(self.trunk(x)), SLOPE).chunk(2, dim=1)
        mean = (first + second).mean(dim=(2, 3), keepdim=True)
        logits = self.weigh(functional.leaky_relu(self.squeeze(mean), SLOPE))
        share = torch.sigmoid(logits.chunk(2, dim=1)[0] - logits.chunk(2, dim=1)[1])  # softmax over two
        mixed = share * first + (1 - share) * second
        return x + self.project(mixed * torch.sigmoid(self.gate(self.mask(x))))


class NoAttention(nn.Module):
    """The input itself, for networks without attention."""

    halo, factor = None, 1  # of the whole image there is nothing to compute

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


ATTENTIONS: dict[str, type[GroupSeparateAttention] | type[NoAttention]] = {
    "group-separate": GroupSeparateAttention,
    "none": NoAttention,
}
