"""The synthesis of a whole image in little memory: layer after layer, each in bands of rows.

The numbers are those of the whole image, in a fraction of the memory and in the processor's caches.
"""

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch
from torch import Tensor

from decoder.layers import BandedLayer
from decoder.networks import STRIDE, Synthesis

BAND_BYTES = 1 << 22  # of a band's input; measured fastest among 2^17 ... 2^22 and whole images


def bands(height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Begin and end of bands of rows that hold at most BAND_BYTES, or one row."""
    rows = max(1, BAND_BYTES // row_bytes)
    for begin in range(0, height, rows):
        yield begin, min(begin + rows, height)


def in_bands(layer: BandedLayer, x: Tensor) -> Tensor:
    """`layer(x)` for (1, C, H, W), computed in bands of rows where the layer's halo allows it.

    A layer pads with zeros as if its input were all there is. So bands overlap by the halo, and what the padding
    inside the image gave is cut away.
    """
    height, halo, factor = x.shape[2], layer.halo, layer.factor
    if halo is None:
        return layer(x)
    out: Tensor | None = None
    for begin, end in bands(height, x[:, :, 0].numel() * x.element_size()):
        first = max(0, begin - halo)
        y = layer(x[:, :, first : end + halo])
        y = y[:, :, (begin - first) * factor : (end - first) * factor]
        if end - begin == height:
            return y
        if out is None:
            shape = (1, y.shape[1], height * factor, y.shape[3])
            last = y.is_contiguous(memory_format=torch.channels_last)
            layout = torch.channels_last if last else torch.contiguous_format
            out = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=layout)
        out[:, :, begin * factor : end * factor] = y
    assert out is not None
    return out


def to_pixels(synthesis: Synthesis, latent: Tensor, grey: bool = False) -> np.ndarray:
    """Pixels, uint8 (16 h, 16 w, 3), of a scaled latent (1, C, h, w), float32.

    Equal to clipping and rounding what `synthesis` gives for the whole image, its three colours' mean where that is to
    be `grey`. The synthesis' layers may be of another precision
    (`decoder.precision`); the block transform, which most of the signal comes from, stays in float32.
    """
    device = synthesis.block.weight.device
    latent = latent.to(device).contiguous(memory_format=torch.channels_last)
    x = latent.to(next(synthesis.layers.parameters()).dtype)
    *layers, last = cast(Iterator[BandedLayer], synthesis.layers)
    for layer in layers:
        x = in_bands(layer, x)
    height, width = latent.shape[2:]
    pixels = np.empty((STRIDE * height, STRIDE * width, 3), np.uint8)
    halo, factor = last.halo or 0, last.factor
    scale = STRIDE // factor  # rows of x to a row of the latent
    for begin, end in bands(height, scale * x[:, :, 0].numel() * x.element_size()):
        above = min(begin * scale, halo)
        band = last(x[:, :, begin * scale - above : end * scale + halo])
        band = band[:, :, above * factor :][:, :, : (end - begin) * STRIDE]
        image = band.float() + synthesis.blocks(latent[:, :, begin:end])
        if grey:
            image = image.mean(1, keepdim=True)
        rounded = (image[0].clamp_(0, 1) * 255).round_().to(torch.uint8)
        pixels[STRIDE * begin : STRIDE * end] = rounded.permute(1, 2, 0).cpu().numpy()
    return pixels
