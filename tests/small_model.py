"""An untrained codec of small widths, exported as a trained one would be: quick, and with busy symbols."""

from dataclasses import replace
from functools import cache

import numpy as np
import torch

from decoder.architecture import Architecture
from decoder.model import Model, load_model
from submission.encoder import EncoderNetworks
from submission.networks.model import CodecNetworks
from submission.training.export import decoder_arrays, encoder_arrays
from submission.training.start import start_from_dct
from submission.weights import npz_bytes

ARCHITECTURE = Architecture(
    stride4=16, stride8=16, stride16=32, blocks=(1, 1, 1), groups=(4, 8), hyper=8, features=16, levels=3
)


@cache
def small_networks(context: str = "3d", attention: str = "group-separate") -> CodecNetworks:
    torch.manual_seed(5)
    networks = start_from_dct(CodecNetworks(replace(ARCHITECTURE, context=context, attention=attention)))
    with torch.no_grad():  # untrained entropy networks hardly react to their inputs: make them
        for group in networks.context:
            group.leave.weight.mul_(40)
            group.leave.bias.copy_(
                torch.cat(
                    [torch.zeros(group.leave.out_channels // 2), torch.linspace(0, 1.5, group.leave.out_channels // 2)]
                )
            )
            if group.past is not None and group.past.bias is not None:
                group.past.bias.normal_()
    return networks.eval()


@cache
def small_model(context: str = "3d", attention: str = "group-separate") -> tuple[Model, EncoderNetworks]:
    networks = small_networks(context, attention)
    model = load_model(npz_bytes(decoder_arrays(networks)))
    return model, EncoderNetworks(model.architecture, encoder_arrays(networks))


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Smooth shapes and some noise, uint8 (height, width, 3)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows * rng.uniform(0, 0.3) + columns * rng.uniform(0, 0.3) + rng.uniform(0, 6)) for _ in range(9)]
    image = np.stack([sum(waves[c::3]) for c in range(3)], axis=-1) * 35 + 128
    return (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)
