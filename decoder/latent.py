"""From hyper-latent to latent: the integer networks, and the walk over groups of channels and steps of positions.

The same walk serves encoder and decoder; they differ only in where symbols come from.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from decoder.context import REACH, ContextModel
from decoder.fixed import ACTIVATION_BITS, ONE, VALUE_MAX, Layer, requantise

SCALES = 64


class SymbolSource(Protocol):
    """Where the walk gets its symbols: an entropy decoder, or an encoder that rounds what it knows."""

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        """Integer hyper-latent (Z, h', w')."""

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        """Symbols (n, C) at n positions for the channels from `start` on.

        `scale` (n, C) are indices, 0 standing for an element that is not coded and is 0; `mean` (n, C) is in
        units of 2^-8. Symbols are multiples of the quantisation step around the mean.
        """


@dataclass
class HyperNetwork:
    """Hyper-synthesis: five convolutions, with sub-pixel shuffles after the second and the fourth."""

    layers: list[Layer]

    def __call__(self, hyper: np.ndarray, height: int, width: int) -> np.ndarray:
        """Features (height, width, F) in units of 2^-8 from the integer hyper-latent (Z, h', w')."""
        x = (hyper.transpose(1, 2, 0).astype(np.float64) * ONE).clip(-VALUE_MAX, VALUE_MAX)
        for number, layer in enumerate(self.layers):
            x = requantise(layer(x), low=0)
            if number in (1, 3):
                x = shuffle(x)
        return np.ascontiguousarray(x[:height, :width])


def shuffle(x: np.ndarray) -> np.ndarray:
    """Sub-pixel shuffle: (h, w, 4 C) to (2 h, 2 w, C)."""
    height, width, channels = x.shape
    blocks = x.reshape(height, width, channels // 4, 2, 2).transpose(0, 3, 1, 4, 2)
    return blocks.reshape(2 * height, 2 * width, channels // 4)


@dataclass
class GroupNetwork:
    """Entropy parameters of one group. The inputs of `past` are taps in raster order, each with all channels.

    The first group has no `earlier`; a context without taps has no `past`.
    """

    channels: int
    hyper: Layer
    earlier: Layer | None
    past: Layer | None
    inner: Layer
    leave: Layer

    def rows(self, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (n, C) in units of 2^-8 and scale indices (n, C) from first-layer sums (n, F)."""
        x = requantise(sums, low=0)
        x = requantise(self.inner.rows(x), low=0)
        x = requantise(self.leave.rows(x))
        scale = np.floor((x[:, self.channels :] + ONE // 2) * 2.0**-ACTIVATION_BITS)
        return x[:, : self.channels], np.clip(scale, 0, SCALES - 1).astype(np.int64)


@dataclass
class EntropyNetworks:
    """All that decides probabilities. The groups' channels add up to the latent's."""

    context: ContextModel
    hyper: HyperNetwork
    groups: list[GroupNetwork]


def walk(
    networks: EntropyNetworks, hyper_channels: int, height: int, width: int, source: SymbolSource
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Code a latent of `height` x `width` positions.

    Returns the quantised latent (C, h, w) in units of 2^-8 as float64, the symbols (C, h, w) and the hyper-latent's
    symbols (Z, h', w'), both as int64.
    """
    hyper_symbols = source.hyper((hyper_channels, -(-height // 4), -(-width // 4)))
    features = networks.hyper(hyper_symbols, height, width)
    total = sum(group.channels for group in networks.groups)
    latent = np.zeros((height, width, total))
    symbols = np.zeros((total, height, width), np.int64)
    inside = (slice(REACH, REACH + height), slice(REACH, REACH + width))
    # Positions as rows, with a margin of zeros, so that a tap is a constant distance away.
    padded_width = width + 2 * REACH
    offsets = np.array([di * padded_width + dj for di, dj in networks.context.taps], np.int64)
    start = 0
    for group in networks.groups:
        base = group.hyper(features)
        if group.earlier is not None:
            base += group.earlier(latent[:, :, :start])
        channels = slice(start, start + group.channels)
        field = np.zeros(((height + 2 * REACH) * padded_width, group.channels))
        coded = np.zeros(field.shape, np.int32)
        for rows, columns, sees in networks.context.steps(height, width):
            at = (rows + REACH) * padded_width + columns + REACH
            first = base[rows, columns]
            if sees and group.past is not None:
                first += group.past.rows(field[at[:, None] + offsets].reshape(len(rows), -1))
            mean, scale = group.rows(first)
            found = source.latent(scale, mean, rows, columns, start)
            field[at] = np.clip(found * ONE + mean, -VALUE_MAX, VALUE_MAX)
            coded[at] = found
        grid = (height + 2 * REACH, padded_width, group.channels)
        latent[:, :, channels] = field.reshape(grid)[inside]
        symbols[channels] = coded.reshape(grid)[inside].transpose(2, 0, 1)
        start += group.channels
    return np.ascontiguousarray(latent.transpose(2, 0, 1)), symbols, hyper_symbols
