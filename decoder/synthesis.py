"""The synthesis of a whole image in little memory: layer after layer, each in bands of rows."""

import numpy as np
import torch
from torch import Tensor, nn

from decoder.bands import bands, in_bands
from decoder.networks import Block, GroupSeparateAttention, Synthesis

STRIDE = 16


def _halo_and_factor(layer: nn.Module) -> tuple[int, int]:
    """Rows of input that an output row needs on either side, and rows of output for one of input."""
    if isinstance(layer, Block):
        return 1, 1
    if isinstance(layer, nn.Conv2d):
        return layer.kernel_size[0] // 2, 1
    assert isinstance(layer, nn.Sequential)
    conv, shuffle = layer
    assert isinstance(conv, nn.Conv2d) and isinstance(shuffle, nn.PixelShuffle)
    return conv.kernel_size[0] // 2, shuffle.upscale_factor


def to_pixels(synthesis: Synthesis, latent: Tensor) -> np.ndarray:
    """Pixels, uint8 (16 h, 16 w, 3), of a scaled latent (1, C, h, w), float32.

    Equal to clipping and rounding what `synthesis` gives for the whole image.
    """
    device = synthesis.block.weight.device
    latent = latent.to(device).contiguous(memory_format=torch.channels_last)
    x = latent
    *layers, last = synthesis.layers
    for layer in layers:
        # The attention weighs by means over the whole image; it works at the smallest scale.
        x = layer(x) if isinstance(layer, GroupSeparateAttention) else in_bands(layer, x, *_halo_and_factor(layer))
    height, width = latent.shape[2:]
    pixels = np.empty((STRIDE * height, STRIDE * width, 3), np.uint8)
    halo, factor = _halo_and_factor(last)
    scale = STRIDE // factor  # rows of x to a row of the latent
    for begin, end in bands(height, scale * x[:, :, 0].numel() * x.element_size()):
        above = min(begin * scale, halo)
        band = last(x[:, :, begin * scale - above : end * scale + halo])
        band = band[:, :, above * factor :][:, :, : (end - begin) * STRIDE]
        image = band + synthesis.blocks(latent[:, :, begin:end])
        rounded = (image[0].clamp_(0, 1) * 255).round_().to(torch.uint8)
        pixels[STRIDE * begin : STRIDE * end] = rounded.permute(1, 2, 0).cpu().numpy()
    return pixels
