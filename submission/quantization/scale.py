"""The scale of a latent's distribution: its table of indices, and the bound below which training does not let it go.

A lower bound on the scale limits how much less the coded rate is than the rate that training sees ("On Uniform Scalar
Quantization for Learned Image Compression", Zhang, Li, Liu, of which only the abstract is known to us: which values
they tried is not).
"""

import math
from typing import Any

import torch
from torch import Tensor

SCALE_MIN = 0.11  # of index 0, and the bound unless a stage sets another
SCALE_MAX = 60.0
SCALE_LEVELS = 64
SCALE_STEP = float(torch.tensor(SCALE_MAX / SCALE_MIN).log()) / (SCALE_LEVELS - 1)
UNCODED = 2  # elements of up to this scale index (0.134: 1 in 5,000 would not be 0) are not coded


class _LowerBound(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, bound: float) -> Tensor:
        context.save_for_backward(x)
        context.bound = bound
        return x.clamp(min=bound)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (x,), (gradient,) = context.saved_tensors, gradients
        return gradient * ((x >= context.bound) | (gradient < 0)), None


def lower_bound(x: Tensor, bound: float) -> Tensor:
    """max(x, bound), through which a gradient passes where x is not below, or where descent would raise it."""
    return _LowerBound.apply(x, bound)


def scale_of_index(index: Tensor, bound: float = SCALE_MIN) -> Tensor:
    """Scales of real-valued indices, at least `bound` and at most SCALE_MAX; index 0 stands for SCALE_MIN."""
    lowest = math.log(bound / SCALE_MIN) / SCALE_STEP
    return SCALE_MIN * torch.exp(SCALE_STEP * lower_bound(index, lowest).clamp(max=SCALE_LEVELS - 1))


def coded(index: Tensor) -> Tensor:
    """Which elements of real-valued indices the codec codes, bool; the others are their mean."""
    return index.detach() >= UNCODED + 0.5
