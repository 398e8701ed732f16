"""Exact integer convolutions on floating-point hardware.

Everything that decides a probability is computed on integers held in float64: activations in units of 2^-8,
weights in units of 2^-14. As long as no partial sum can reach 2^53, float64 arithmetic on integers is exact and
independent of the order of summation, so every machine, thread count and library gives the same symbols.
`Layer` refuses weights for which that bound does not hold. Numpy's matrix products do the work, twice to three times as
fast as torch's convolutions in float64.
"""

import numpy as np

ACTIVATION_BITS = 8
WEIGHT_BITS = 14
ONE = 1 << ACTIVATION_BITS
VALUE_MAX = 1 << 20  # bound on activations and latents; much less costs escapes where blocks are bright and steps small
EXACT = 1 << 53
RUN = 256  # positions whose sums are made together: measured fastest of 64 ... 4,096


class Layer:
    """A convolution with integer weights (out, in, k, k) and bias (out,), 'same' padding with zeros, odd k.

    `bound` is what no partial sum can exceed.
    Raises ValueError where sums could reach 2^53.
    """

    def __init__(self, weight: np.ndarray, bias: np.ndarray | None) -> None:
        integers = weight.astype(np.int64)
        bias = np.zeros(len(weight), np.int64) if bias is None else bias.astype(np.int64)
        sums = np.abs(integers).reshape(len(weight), -1).sum(axis=1).astype(object) * VALUE_MAX + np.abs(bias)
        self.bound = int(sums.max())
        if self.bound >= EXACT:
            raise ValueError(f"a sum of this layer could reach {self.bound}, beyond the exact range of float64")
        self.side = weight.shape[2]
        self.bias = bias.astype(np.float64)
        # (k k in, out): the places of the kernel row by row, each with all input channels.
        self.matrix = integers.transpose(2, 3, 1, 0).reshape(-1, len(weight)).astype(np.float64)

    def rows(self, x: np.ndarray) -> np.ndarray:
        """Sums (..., out) in units of 2^-22 for positions (..., in) of a 1x1 layer."""
        return x @ self.matrix + self.bias

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Sums (h, w, out) in units of 2^-22 of integer inputs (h, w, in) held in float64, before `requantise`."""
        if self.side == 1:
            return self.rows(x)
        (height, width, channels), reach = x.shape, self.side // 2
        # Positions as rows with a margin of zeros, so that a neighbour is a constant distance away. The sums in the
        # margin mean nothing and are cut off; one more row below, for the last of them to have neighbours.
        padded = np.pad(x, ((reach, reach + 1), (reach, reach), (0, 0)))
        stride = padded.shape[1]
        positions = padded.reshape(-1, channels)
        sums = np.empty((height * stride, len(self.bias)))
        run = min(RUN, len(sums))
        seen = np.empty((run, self.side**2, channels))
        for begin in range(0, len(sums), run):
            count = min(run, len(sums) - begin)
            for place in range(self.side**2):
                first = begin + place // self.side * stride + place % self.side
                seen[:count, place] = positions[first : first + count]
            np.matmul(seen[:count].reshape(count, -1), self.matrix, out=sums[begin : begin + count])
        sums += self.bias
        return sums.reshape(height, stride, -1)[:, :width]


def requantise(sums: np.ndarray, low: int = -VALUE_MAX) -> np.ndarray:
    """Sums in units of 2^-22 to activations in units of 2^-8, in place: rounded half up and clipped.

    `low` is the lower limit; 0 makes it a ReLU.
    """
    sums += 2.0 ** (WEIGHT_BITS - 1)
    sums *= 2.0**-WEIGHT_BITS
    np.floor(sums, out=sums)
    return np.clip(sums, low, VALUE_MAX, out=sums)
