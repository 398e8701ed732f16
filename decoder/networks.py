"""The synthesis transform.

Most of the work is done at strides 16 and 8 and the last step to pixels is one convolution at stride 4, so that
decoding on a CPU costs about 19 kMAC a pixel.
"""

from torch import Tensor, nn
from torch.nn import functional

from decoder.architecture import Architecture
from decoder.attention import ATTENTIONS
from decoder.layers import Convolution, ResidualBlock, Upsampling

STRIDE = 16  # pixels of a row or column to one position of the latent


class Synthesis(nn.Module):
    """The latent (N, C, h, w), float, to the image (N, 3, 16 h, 16 w), nominally in 0..1 and not clipped.

    A linear block transform, and beside it the network that learns what the block transform lacks.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        at4, at8, at16 = architecture.blocks
        width4, width8, width16 = architecture.stride4, architecture.stride8, architecture.stride16
        self.layers = nn.Sequential(
            Convolution(architecture.latent, width16, 3),
            ATTENTIONS[architecture.attention](width16),
            *(ResidualBlock(width16) for _ in range(at16)),
            Upsampling(width16, width8, 2),
            *(ResidualBlock(width8) for _ in range(at8)),
            Upsampling(width8, width4, 2),
            *(ResidualBlock(width4) for _ in range(at4)),
            Upsampling(width4, 3, 4, kernel=3),
        )
        self.block = nn.Conv2d(architecture.latent, 3 * STRIDE**2, 1)

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent) + self.blocks(latent)

    def blocks(self, latent: Tensor) -> Tensor:
        """The linear block transform alone."""
        return functional.pixel_shuffle(self.block(latent), STRIDE) + 0.5
