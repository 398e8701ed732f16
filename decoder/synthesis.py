"""The synthesis of a whole image in little memory: layer after layer, each in bands of rows.

The numbers are those of the whole image, in a fraction of the memory and in the processor's caches. Bands are computed
side by side in threads; in each of them torch uses one, so that the numbers do not depend on how many there are.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import numpy as np
import torch
from torch import Tensor

from decoder.layers import BandedLayer
from decoder.networks import STRIDE, Synthesis

Band = tuple[int, int]  # of rows: begin and end
Run = Callable[[Callable[[Band], Tensor], Iterable[Band]], Iterator[Tensor]]  # as `map`, perhaps in threads
BAND_BYTES = 1 << 22  # of a band's input; measured fastest among 2^17 ... 2^22 and whole images


def bands(height: int, row_bytes: int) -> Iterator[Band]:
    """Begin and end of bands of rows that hold at most BAND_BYTES, or one row."""
    rows = max(1, BAND_BYTES // row_bytes)
    for begin in range(0, height, rows):
        yield begin, min(begin + rows, height)


def in_bands(layer: BandedLayer, x: Tensor, run: Run = map) -> Tensor:
    """`layer(x)` for (1, C, H, W), computed in bands of rows where the layer's halo allows it.

    A layer pads with zeros as if its input were all there is. So bands overlap by the halo, and what the padding
    inside the image gave is cut away.
    """
    height, halo, factor = x.shape[2], layer.halo, layer.factor
    if halo is None:
        return layer(x)
    parts = list(bands(height, x[:, :, 0].numel() * x.element_size()))

    @torch.inference_mode()  # which a thread does not inherit
    def compute(band: Band) -> Tensor:
        begin, end = band
        first = max(0, begin - halo)
        return layer(x[:, :, first : end + halo])[:, :, (begin - first) * factor : (end - first) * factor]

    out: Tensor | None = None
    for (begin, end), y in zip(parts, run(compute, parts), strict=True):
        if len(parts) == 1:
            return y
        if out is None:
            shape = (1, y.shape[1], height * factor, y.shape[3])
            last = y.is_contiguous(memory_format=torch.channels_last)
            layout = torch.channels_last if last else torch.contiguous_format
            out = torch.empty(shape, dtype=y.dtype, device=y.device, memory_format=layout)
        out[:, :, begin * factor : end * factor] = y
    assert out is not None
    return out


def to_pixels(synthesis: Synthesis, latent: Tensor, grey: bool = False, threads: int = 1) -> np.ndarray:
    """Pixels, uint8 (16 h, 16 w, 3), of a scaled latent (1, C, h, w), float32, by so many threads.

    Equal to clipping and rounding what `synthesis` gives for the whole image, its three colours' mean where that is to
    be `grey`. The synthesis' layers may be of another precision (`decoder.precision`); the block transform, which most
    of the signal comes from, stays in float32.
    """
    if threads == 1:
        return _to_pixels(synthesis, latent, grey, map)
    with ThreadPoolExecutor(threads) as pool:
        return _to_pixels(synthesis, latent, grey, pool.map)


def _to_pixels(synthesis: Synthesis, latent: Tensor, grey: bool, run: Run) -> np.ndarray:
    device = synthesis.block.weight.device
    latent = latent.to(device).contiguous(memory_format=torch.channels_last)
    x = latent.to(next(synthesis.layers.parameters()).dtype)
    *layers, last = cast(Iterator[BandedLayer], synthesis.layers)
    for layer in layers:
        x = in_bands(layer, x, run)
    height, width = latent.shape[2:]
    pixels = np.empty((STRIDE * height, STRIDE * width, 3), np.uint8)
    halo, factor = last.halo or 0, last.factor
    scale = STRIDE // factor  # rows of x to a row of the latent
    parts = list(bands(height, scale * x[:, :, 0].numel() * x.element_size()))

    @torch.inference_mode()
    def compute(band: Band) -> Tensor:
        begin, end = band
        above = min(begin * scale, halo)
        y = last(x[:, :, begin * scale - above : end * scale + halo])
        image = y[:, :, above * factor :][:, :, : (end - begin) * STRIDE].float()
        image = image + synthesis.blocks(latent[:, :, begin:end])
        if grey:
            image = image.mean(1, keepdim=True)
        return (image[0].clamp_(0, 1) * 255).round_().to(torch.uint8)

    for (begin, end), rounded in zip(parts, run(compute, parts), strict=True):
        pixels[STRIDE * begin : STRIDE * end] = rounded.permute(1, 2, 0).cpu().numpy()
    return pixels
