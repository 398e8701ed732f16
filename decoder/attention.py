"""Attention modules by name. Each takes (N, C, H, W) to the same shape, at the transforms' smallest scale."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.layers import SLOPE


class ResidualUnit(nn.Module):
    """Residual unit of 1x1, 3x3 and 1x1 convolutions. With several `groups`, no channel of one reaches another."""

    def __init__(self, channels: int, groups: int = 1) -> None:
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
    ResNeSt): its two halves come from the first and from the last groups. (N, C, H, W) to the same shape; the split
    weights look at the mean over the whole image.

    Follows the description in "Improved Neural Image Compression: A New Two-Stage Quantization Strategy" (Guo et al.,
    CLIC 2021), which gives no layer list: the layout here is a reconstruction.
    """

    halo, factor = None, 1

    def __init__(self, channels: int, groups: int = 4) -> None:
        super().__init__()
        self.trunk = ResidualUnit(channels, groups)
        self.split = nn.Conv2d(channels, 2 * channels, 1, groups=groups)
        self.mask = ResidualUnit(channels, groups)
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


class SpatialChannelAttention(nn.Module):
    """A trunk under two sigmoid gates: one for each element, from a mask, and one for each channel, from the trunk's
    mean over the whole image. (N, C, H, W) to the same shape.

    The kind that group-separate attention took the place of in "Improved Neural Image Compression: A New Two-Stage
    Quantization Strategy" (Guo et al., CLIC 2021), which gives no layer list. The layout is a reconstruction: that of
    Cheng et al. (CVPR 2020) with a gate by channel (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018). Trunk
    and mask are one residual unit each, as in the other, so that the two differ in kind and not in depth.
    """

    halo, factor = None, 1

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        inner = max(channels // reduction, 4)
        self.trunk = ResidualUnit(channels)
        self.mask = ResidualUnit(channels)
        self.gate = nn.Conv2d(channels, channels, 1)
        self.squeeze = nn.Conv2d(channels, inner, 1)
        self.weigh = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        trunk = self.trunk(x)
        by_element = torch.sigmoid(self.gate(self.mask(x)))
        mean = trunk.mean(dim=(2, 3), keepdim=True)
        by_channel = torch.sigmoid(self.weigh(functional.leaky_relu(self.squeeze(mean), SLOPE)))
        return x + trunk * by_element * by_channel


class NoAttention(nn.Module):
    """The input itself, for networks without attention."""

    halo, factor = None, 1  # of the whole image there is nothing to compute

    def __init__(self, channels: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


ATTENTIONS: dict[str, type[GroupSeparateAttention] | type[SpatialChannelAttention] | type[NoAttention]] = {
    "group-separate": GroupSeparateAttention,
    "spatial-channel": SpatialChannelAttention,
    "none": NoAttention,
}
