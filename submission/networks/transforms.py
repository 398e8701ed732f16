"""Analysis and hyper-analysis: the transforms of the encoder, in floating point."""

import torch
from torch import Tensor, nn

from decoder.architecture import Architecture
from decoder.attention import ATTENTIONS
from decoder.layers import SLOPE, ResidualBlock
from decoder.networks import STRIDE

HYPER_START = 8.0  # of the usual size, the last weights of the hyper-analysis


class Analysis(nn.Module):
    """Image (N, 3, 16 h, 16 w) in 0..1 to latent (N, C, h, w)."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        at4, at8, at16 = architecture.blocks
        width4, width8, width16 = architecture.stride4, architecture.stride8, architecture.stride16
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(4),
            nn.Conv2d(48, width4, 3, padding=1),
            *(ResidualBlock(width4) for _ in range(at4)),
            nn.Conv2d(width4, width8, 2, stride=2),
            *(ResidualBlock(width8) for _ in range(at8)),
            nn.Conv2d(width8, width16, 2, stride=2),
            *(ResidualBlock(width16) for _ in range(at16)),
            ATTENTIONS[architecture.attention](width16),
            nn.Conv2d(width16, architecture.latent, 3, padding=1),
        )
        self.block = nn.Conv2d(3, architecture.latent, STRIDE, stride=STRIDE)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image - 0.5) + self.block(image - 0.5)


class HyperAnalysis(nn.Module):
    """Latent (N, C, h, w) to hyper-latent (N, Z, ceil(h / 4), ceil(w / 4))."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        width = architecture.features
        leave = nn.Conv2d(width, architecture.hyper, 3, stride=2, padding=1)
        with torch.no_grad():  # else noise drowns the hyper-latent, and training gives it up for good
            leave.weight.mul_(HYPER_START)
        self.layers = nn.Sequential(
            nn.Conv2d(architecture.latent, width, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(width, width, 3, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            leave,
        )

    def forward(self, latent: Tensor) -> Tensor:
        return self.layers(latent)
