"""The synthesis transform, and the blocks that it shares with the analysis transform.

Most of the work is done at strides 16 and 8 and the last step to pixels is one convolution at stride 4, so that
decoding on a CPU costs about 19 kMAC a pixel. Group-separate attention follows the description in "Improved
Neural Image Compression: A New Two-Stage Quantization Strategy" (Guo et al., CLIC 2021), which gives no layer
list: the layout here is a reconstruction.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.1  # of the leaky ReLU


@dataclass(frozen=True)
class Shape:
    """Widths of the codec's networks; everything else follows from them.

    `stride4`, `stride8`, `stride16` are the channels of the transforms at that stride, `blocks` the number of
    residual blocks at each (in that order). `groups` are the latent's channel groups in coding order, `hyper` the
    channels of the hyper-latent, `features` those of the hyperprior's output and of the entropy parameter networks.
    `context` is a key of `decoder.context.CONTEXTS`.
    """

    stride4: int = 64
    stride8: int = 160
    stride16: int = 256
    blocks: tuple[int, int, int] = (2, 4, 3)
    groups: tuple[int, ...] = (16, 32, 48, 96)
    hyper: int = 96
    features: int = 128
    levels: int = 8
    context: str = "3d"

    @property
    def latent(self) -> int:
        """Channels of the latent."""
        return sum(self.groups)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    @staticmethod
    def from_json(fields: dict[str, Any]) -> "Shape":
        """The inverse of `to_json`."""
        given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return Shape(**given)


class Block(nn.Module):
    """Residual block: depthwise 3x3, then 1x1 to twice the width and back. (N, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.reduce = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.reduce(functional.leaky_relu(self.expand(self.spatial(x)), SLOPE, inplace=True))


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
    ResNeSt). (N, C, H, W) to the same shape; the split weights look at the mean over the whole image."""

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


def upsample(source: int, target: int, factor: int, kernel: int = 1) -> nn.Sequential:
    """Sub-pixel convolution: (N, source, H, W) to (N, target, factor H, factor W)."""
    return nn.Sequential(nn.Conv2d(source, target * factor**2, kernel, padding=kernel // 2), nn.PixelShuffle(factor))


class Synthesis(nn.Module):
    """The latent (N, C, h, w), float, to the image (N, 3, 16 h, 16 w), nominally in 0..1 and not clipped.

    A linear block transform, and beside it the network that learns what the block transform lacks.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        at4, at8, at16 = shape.blocks
        self.layers = nn.Sequential(
            nn.Conv2d(shape.latent, shape.stride16, 3, padding=1),
            GroupSeparateAttention(shape.stride16),
            *(Block(shape.stride16) for _ in range(at16)),
            upsample(shape.stride16, shape.stride8, 2),
            *(Block(shape.stride8) for _ in range(at8)),
            upsample(shape.stride8, shape.stride4, 2),
            *(Block(shape.stride4) for _ in range(at4)),
            upsample(shape.stride4, 3, 4, kernel=3),
        )
        self.block = nn.Conv2d(shape.latent, 3 * 16**2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent) + self.blocks(latent)

    def blocks(self, latent: Tensor) -> Tensor:
        """The linear block transform alone."""
        return functional.pixel_shuffle(self.block(latent), 16) + 0.5
