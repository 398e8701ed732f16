"""Exact integer convolutions on floating-point hardware.

Everything that decides a probability is computed on integers held in float64: activations in units of 2^-8,
weights in units of 2^-14. As long as no partial sum can reach 2^53, float64 arithmetic on integers is exact and
independent of the order of summation, so every machine, thread count and library gives the same symbols.
`Layer` refuses weights for which that bound does not hold.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from decoder.bands import in_bands

ACTIVATION_BITS = 8
WEIGHT_BITS = 14
ONE = 1 << ACTIVATION_BITS
ACTIVATION_MAX = (1 << 15) - 1
LATENT_MAX = 1 << 20  # bound on a quantised latent in units of 2^-8
EXACT = 1 << 53


class Layer:
    """A convolution with integer weights (out, in, kh, kw) and bias (out,), 'same' padding, odd kernels.

    `input_max` bounds the inputs' magnitude; `bound` is what no partial sum can exceed.
    Raises ValueError where sums could reach 2^53.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None, input_max: int = ACTIVATION_MAX) -> None:
        integers = weight.astype(np.int64)
        bias = np.zeros(len(weight), np.int64) if bias is None else bias.astype(np.int64)
        sums = np.abs(integers).reshape(len(weight), -1).sum(axis=1).astype(object) * input_max + np.abs(bias)
        self.bound = int(sums.max())
        if self.bound >= EXACT:
            raise ValueError(f"a sum of this layer could reach {self.bound}, beyond the exact range of float64")
        self.weight = torch.from_numpy(integers.astype(np.float64))
        self.bias = torch.from_numpy(bias.astype(np.float64))
        # Of a 1x1 layer, for positions as rows: (in, out).
        self.matrix_t = np.ascontiguousarray(integers[:, :, 0, 0].T.astype(np.float64))

    def __call__(self, x: Tensor) -> Tensor:
        """Sums in units of 2^-22 of integer inputs (N, in, H, W) held in float64, before `requantise`."""
        reach = self.weight.shape[2] // 2
        return in_bands(lambda band: functional.conv2d(band, self.weight, self.bias, padding=reach), x, reach)

    @property
    def bias_row(self) -> np.ndarray:
        """The bias as a row, (out,)."""
        return self.bias.numpy()


def requantise(sums: Tensor) -> Tensor:
    """Sums in units of 2^-22 to activations in units of 2^-8, rounded half up and clipped to 16 bits."""
    return torch.floor((sums + 2.0 ** (WEIGHT_BITS - 1)) * 2.0**-WEIGHT_BITS).clamp(-ACTIVATION_MAX, ACTIVATION_MAX)


def requantise_rows(sums: np.ndarray, low: int = -ACTIVATION_MAX) -> np.ndarray:
    """`requantise` in place on a numpy array, with another lower limit (0 makes it a ReLU)."""
    sums += 2.0 ** (WEIGHT_BITS - 1)
    sums *= 2.0**-WEIGHT_BITS
    np.floor(sums, out=sums)
    return np.clip(sums, low, ACTIVATION_MAX, out=sums)
