"""A 16x16 block DCT as the place from which training starts.

The transforms are networks beside one linear block transform each. Started from an orthonormal DCT in an
opponent colour space, lowest frequencies first, the codec decodes photographs at some 32 dB before the first
step; started at random, the same networks need thousands of steps to get there (docs/experiments.md).
"""

import math
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.fft import idctn
from torch import Tensor, nn

from decoder.networks import Synthesis

if TYPE_CHECKING:
    from submission.networks import Analysis

BLOCK = 16
CHROMA_DELAY = 4.0  # a chroma coefficient ranks with the luma coefficient of this much higher frequency
NETWORK_START = 0.1  # of the usual size, the networks' last layers: at first they barely disturb the DCT


def dct_basis(count: int) -> Tensor:
    """The `count` lowest basis pictures, (count, 3, 16, 16), orthonormal."""
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([3, 2, 6])[:, None]
    ranked = sorted(
        (math.hypot(u, v) + CHROMA_DELAY * (colour > 0), colour, u, v)
        for colour in range(3)
        for u in range(BLOCK)
        for v in range(BLOCK)
    )
    pictures = []
    for _, colour, u, v in ranked[:count]:
        coefficients = np.zeros((BLOCK, BLOCK))
        coefficients[u, v] = 1
        pictures.append(colours[colour][:, None, None] * idctn(coefficients, norm="ortho"))
    return torch.from_numpy(np.stack(pictures)).float()


@torch.no_grad()
def start_from_dct(analysis: "Analysis", synthesis: Synthesis) -> None:
    """Set both transforms' `block` to the DCT and shrink the last layers of their networks."""
    basis = dct_basis(analysis.block.out_channels)
    analysis.block.weight.copy_(basis)
    synthesis.block.weight.copy_(basis.flatten(1).t()[:, :, None, None])
    for transform in (analysis, synthesis):
        transform.block.bias = nn.Parameter(torch.zeros(transform.block.out_channels))
        last = [layer for layer in transform.layers.modules() if isinstance(layer, nn.Conv2d)][-1]
        last.weight.mul_(NETWORK_START)
        last.bias = nn.Parameter(torch.zeros(last.out_channels))
