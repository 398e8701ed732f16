"""Layers that both transforms are made of. Each says how many rows around an output row it looks at.

`halo` are the rows of input that an output row needs on either side (None: the whole image), `factor` the rows of
output for one of input. From these two a whole image is computed in bands (`decoder.synthesis`).
"""

from typing import Protocol

from torch import Tensor, nn
from torch.nn import functional

SLOPE = 0.1  # of the leaky ReLU


class BandedLayer(Protocol):
    """A layer from (N, C, H, W) to (N, D, factor H, factor W) that can be computed in bands of rows."""

    @property
    def halo(self) -> int | None:
        """Rows of input that an output row needs on either side; None: all of them."""

    @property
    def factor(self) -> int:
        """Rows of output for one of input."""

    def __call__(self, x: Tensor) -> Tensor:
        """Computes the layer as if its input were all there is."""


class Convolution(nn.Conv2d):
    """A 'same' convolution with an odd kernel: (N, source, H, W) to (N, target, H, W)."""

    factor = 1

    def __init__(self, source: int, target: int, kernel: int) -> None:
        super().__init__(source, target, kernel, padding=kernel // 2)
        self.halo = kernel // 2


class ResidualBlock(nn.Module):
    """Depthwise 3x3, then 1x1 to twice the width and back, added to the input. (N, C, H, W) to the same shape."""

    halo, factor = 1, 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
        self.expand = nn.Conv2d(channels, 2 * channels, 1)
        self.reduce = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.reduce(functional.leaky_relu(self.expand(self.spatial(x)), SLOPE, inplace=True))


class Upsampling(nn.Sequential):
    """Sub-pixel convolution: (N, source, H, W) to (N, target, factor H, factor W)."""

    def __init__(self, source: int, target: int, factor: int, kernel: int = 1) -> None:
        super().__init__(nn.Conv2d(source, target * factor**2, kernel, padding=kernel // 2), nn.PixelShuffle(factor))
        self.halo, self.factor = kernel // 2, factor
