"""Entropy parameters of whole images at once, from known latents: in int64 numpy, and in floats as a control.

Written apart from the decoder's walk, from `docs/bitstream.md` and the arrays of the weights file.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

Arrays = dict[str, np.ndarray]
BOUND = 1 << 20  # of activations, in units of 2^-8
TAPS = {
    "none": [],
    "3d": [(i, j) for i in range(5) for j in range(5) if 5 * i + j < 12],
    "checkerboard": [(i, j) for i in range(5) for j in range(5) if (i + j) % 2],
}
SEES = {"none": lambda i, j: 0, "3d": lambda i, j: 1, "checkerboard": lambda i, j: (i + j) % 2}


def _kernel(arrays: Arrays, name: str, context: str) -> np.ndarray:
    """A layer's weight (out, in, k, k); that of the taps spread over the 5x5 kernel that it stands for."""
    weight = arrays[f"{name}.weight"].astype(np.int64)
    if not name.endswith(".past"):
        return weight
    taps = TAPS[context]
    spread = np.zeros((len(weight), weight.shape[1] // len(taps), 5, 5), np.int64)
    for number, (i, j) in enumerate(taps):
        spread[:, :, i, j] = weight[:, number * spread.shape[1] : (number + 1) * spread.shape[1], 0, 0]
    return spread


def _bias(arrays: Arrays, name: str) -> np.ndarray:
    return arrays.get(f"{name}.bias", np.zeros(len(arrays[f"{name}.weight"]), np.int64)).astype(np.int64)


def _sees(context: str, height: int, width: int) -> np.ndarray:
    return np.array([[SEES[context](i, j) for j in range(width)] for i in range(height)])


def _convolve_int64(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    reach = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    out = np.broadcast_to(bias[:, None, None], (len(weight), *x.shape[1:])).copy()
    for i, j in np.argwhere(weight.any(axis=(0, 1))):
        window = np.ascontiguousarray(padded[:, i : i + x.shape[1], j : j + x.shape[2]])  # six times as fast
        out += np.einsum("oc,chw->ohw", np.ascontiguousarray(weight[:, :, i, j]), window)
    return out


def _requantise(sums: np.ndarray, low: int) -> np.ndarray:
    return np.clip((sums + (1 << 13)) >> 14, low, BOUND)


def parameters_int64(
    arrays: Arrays, groups: tuple[int, ...], context: str, hyper: np.ndarray, latent: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Means (C, h, w) in units of 2^-8 and scale indices of all elements, in int64 numpy alone.

    `hyper` (Z, h', w') are symbols, `latent` (C, h, w) is the quantised latent in units of 2^-8.
    """
    height, width = latent.shape[1:]
    x = np.clip(hyper.astype(np.int64) * 256, -BOUND, BOUND)
    for number in range(5):
        name = f"hyper.{number}"
        x = _requantise(_convolve_int64(x, _kernel(arrays, name, context), _bias(arrays, name)), 0)
        if number in (1, 3):
            c, h, w = x.shape
            x = x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)
    features, known = x[:, :height, :width], latent.astype(np.int64)
    means, scales, start = [], [], 0
    for index, own in enumerate(groups):

        def layer(part: str, x: np.ndarray, name: str = f"context.{index}") -> np.ndarray:
            return _convolve_int64(x, _kernel(arrays, f"{name}.{part}", context), _bias(arrays, f"{name}.{part}"))

        sums = layer("hyper", features)
        if TAPS[context]:
            sums += _sees(context, height, width) * layer("past", known[start : start + own])
        if index:
            sums += layer("earlier", known[:start])
        out = _requantise(layer("leave", _requantise(layer("inner", _requantise(sums, 0)), 0)), -BOUND)
        means.append(out[:own])
        scales.append(np.clip((out[own:] + 128) >> 8, 0, 63))
        start += own
    return np.concatenate(means), np.concatenate(scales)


def parameters_float32(
    arrays: Arrays,
    groups: tuple[int, ...],
    context: str,
    hyper: np.ndarray,
    latent: np.ndarray,
    layout: torch.memory_format,
) -> tuple[np.ndarray, np.ndarray]:
    """The same networks as a codec without integers would run them: float32, rounded only at the end."""

    def convolve(name: str, x: Tensor) -> Tensor:
        weight = torch.from_numpy((_kernel(arrays, name, context) * 2.0**-14).astype(np.float32))
        bias = torch.from_numpy((_bias(arrays, name) * 2.0**-22).astype(np.float32))
        return functional.conv2d(x.contiguous(memory_format=layout), weight, bias, padding=weight.shape[2] // 2)

    height, width = latent.shape[1:]
    x = torch.from_numpy(hyper.astype(np.float32))[None]
    for number in range(5):
        x = convolve(f"hyper.{number}", x).relu()
        if number in (1, 3):
            x = functional.pixel_shuffle(x, 2)
    features, known = x[:, :, :height, :width], torch.from_numpy((latent / 256).astype(np.float32))[None]
    sees = torch.from_numpy(_sees(context, height, width).astype(np.float32))
    means, scales, start = [], [], 0
    for index, own in enumerate(groups):
        name = f"context.{index}"
        sums = convolve(f"{name}.hyper", features)
        if TAPS[context]:
            sums = sums + sees * convolve(f"{name}.past", known[:, start : start + own])
        if index:
            sums = sums + convolve(f"{name}.earlier", known[:, :start])
        out = convolve(f"{name}.leave", convolve(f"{name}.inner", sums.relu()).relu())[0].numpy()
        means.append(np.floor(out[:own] * 256 + 0.5))
        scales.append(np.clip(np.floor(out[own:] + 0.5), 0, 63))
        start += own
    return np.concatenate(means).astype(np.int64), np.concatenate(scales).astype(np.int64)
