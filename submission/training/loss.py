"""MS-SSIM as a training loss, cheap enough to be called on every step.

The competition's definition on crops (one mean over positions and channels a scale, then one product), float32,
with two economies that leave its expectation as it is: the filtered maps are those of the sum and the difference
of the two images (four instead of five), and at the finest scale, whose weight is 0.0448, every second window of
each row and column is evaluated.
"""

import torch
from torch import Tensor
from torch.nn import functional

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
TAPS = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
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
