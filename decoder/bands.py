"""Layers over large images in bands of rows: the same numbers in a fraction of the memory, and in the caches."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

BAND_BYTES = 1 << 22  # of a band's input; measured fastest among 2^17 ... 2^22 and whole images


def bands(height: int, row_bytes: int) -> Iterator[tuple[int, int]]:
    """Begin and end of bands of rows that hold at most BAND_BYTES, or one row."""
    rows = max(1, BAND_BYTES // row_bytes)
    for begin in range(0, height, rows):
        yield begin, min(begin + rows, height)


def in_bands(layer: Callable[[Tensor], Tensor], x: Tensor, halo: int, factor: int = 1) -> Tensor:
    """`layer(x)` for (1, C, H, W), where an output row needs `halo` input rows on either side.

    `layer` pads with zeros as if its input were all there is, and makes `factor` rows of one. Bands overlap by
    `halo` rows, and what the padding inside the image gave is cut away.
    """
    height = x.shape[2]
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
