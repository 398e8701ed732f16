"""Distortions to train on: squared error, and an MS-SSIM that is cheap enough to be called on every step.

MS-SSIM here is the competition's definition on crops (one mean over positions and channels a scale, then one product),
float32, with two economies that leave its expectation as it is: the filtered maps are those of the sum and the
difference of the two images (four instead of five), and at the finest scale, whose weight is 0.0448, every second
window of each row and column is evaluated.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from submission.named import open_named

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
LEAST_SIDE = 176  # of an image, for eleven taps at the coarsest scale
FLOOR = 1e-4  # of a scale's mean contrast-structure, so that early training has gradients


def _window() -> Tensor:
    offsets = torch.arange(TAPS, dtype=torch.float32) - TAPS // 2
    window = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    return window / window.sum()


def _filter(maps: Tensor, stride: int) -> Tensor:
    """Gaussian means of (N, C, H, W), 'valid' region, every `stride`-th window."""
    channels, window = maps.shape[1], _window().to(maps.device)
    rows = window.view(1, 1, TAPS, 1).expand(channels, 1, TAPS, 1)
    columns = window.view(1, 1, 1, TAPS).expand(channels, 1, 1, TAPS)
    maps = functional.conv2d(maps, rows, stride=(stride, 1), groups=channels)
    return functional.conv2d(maps, columns, stride=(1, stride), groups=channels)


def msssim(first: Tensor, second: Tensor) -> Tensor:
    """MS-SSIM of each pair, (N,), of float32 images (N, 3, H, W) in 0..1 with sides of at least 176 pixels."""
    total = torch.ones(first.shape[0], device=first.device)
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            first, second = functional.avg_pool2d(first, 2), functional.avg_pool2d(second, 2)
        plus, minus = first + second, first - second
        maps = torch.cat([plus, minus, plus * plus, minus * minus], dim=1)
        maps = maps.contiguous(memory_format=torch.channels_last)
        mean_plus, mean_minus, square_plus, square_minus = _filter(maps, 2 if scale == 0 else 1).chunk(4, dim=1)
        # With s = x + y and d = x - y: x² + y² = (s² + d²) / 2 and 2 x y = (s² - d²) / 2, for means and variances.
        squared_plus, squared_minus = mean_plus * mean_plus, mean_minus * mean_minus
        variance_plus, variance_minus = square_plus - squared_plus, square_minus - squared_minus
        value = (variance_plus - variance_minus + 2 * C2) / (variance_plus + variance_minus + 2 * C2)
        if scale == len(WEIGHTS) - 1:
            value = value * (squared_plus - squared_minus + 2 * C1) / (squared_plus + squared_minus + 2 * C1)
        total = total * value.mean(dim=(1, 2, 3)).clamp(min=FLOOR) ** weight
    return total


class Loss(ABC):
    """A distortion that training weighs against bits per pixel."""

    least_crop: int

    @abstractmethod
    def __call__(self, decoded: Tensor, original: Tensor, age: float) -> tuple[Tensor, dict[str, Tensor]]:
        """Distortion of each image, (N,), and figures for the log, of float32 images (N, 3, H, W) in 0..1.

        `age` is the number of steps since the weights were random, infinite where they never were.
        """


@dataclass(frozen=True)
class MsSsimLoss(Loss):
    """1 - MS-SSIM, and `mse_weight` of the squared error, which is more while the weights are new."""

    mse_weight: float = 0.0
    mse_weight_start: float = 0.0
    mse_steps: int = 0
    least_crop = LEAST_SIDE

    def __call__(self, decoded: Tensor, original: Tensor, age: float) -> tuple[Tensor, dict[str, Tensor]]:
        similarity = msssim(decoded, original)
        mse = (decoded - original).square().mean(dim=(1, 2, 3))
        early = max(0.0, 1 - age / self.mse_steps) if self.mse_steps else 0.0
        weight = self.mse_weight + (self.mse_weight_start - self.mse_weight) * early
        return 1 - similarity + weight * mse, {"msssim": similarity, "mse": mse}


@dataclass(frozen=True)
class MseLoss(Loss):
    """The squared error of pixels in 0..255, for which lambdas of 0.0018 to 0.18 are usual (CompressAI's)."""

    least_crop = 64

    def __call__(self, decoded: Tensor, original: Tensor, age: float) -> tuple[Tensor, dict[str, Tensor]]:
        mse = (decoded - original).square().mean(dim=(1, 2, 3))
        return 255**2 * mse, {"mse": mse}


LOSSES: dict[str, type[Loss]] = {"ms-ssim": MsSsimLoss, "mse": MseLoss}


def open_loss(written: str | Mapping[str, Any]) -> Loss:
    """The loss that a recipe writes as `"mse"`, or as a table of its name and its settings.

    Raises ValueError, one line that says what is allowed, for anything else.
    """
    return open_named("loss", LOSSES, written)
