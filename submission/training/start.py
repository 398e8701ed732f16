"""Where training starts: from a block DCT, from a checkpoint, or from shipped weights.

The transforms are networks beside one linear block transform each. Started from an orthonormal DCT in an
opponent colour space, lowest frequencies first, the codec decodes photographs at some 32 dB before the first
step; started at random, the same networks need thousands of steps to get there (docs/experiments.md).
"""

import math
from pathlib import Path

import numpy as np
import torch
from scipy.fft import idctn
from torch import Tensor, nn

from decoder.architecture import Architecture
from decoder.networks import STRIDE
from harness.errors import ClicError
from submission.networks.model import CodecNetworks
from submission.training.checkpoint import load_tensors
from submission.training.export import restore
from submission.weights import find_weights

CHROMA_DELAY = 4.0  # a chroma coefficient ranks with the luma coefficient of this much higher frequency
NETWORK_START = 0.1  # of the usual size, the networks' last layers: at first they barely disturb the DCT


def dct_basis(count: int) -> Tensor:
    """The `count` lowest basis pictures, (count, 3, 16, 16), orthonormal."""
    colours = np.array([[1, 1, 1], [1, 0, -1], [1, -2, 1]]) / np.sqrt([3, 2, 6])[:, None]
    ranked = sorted(
        (math.hypot(u, v) + CHROMA_DELAY * (colour > 0), colour, u, v)
        for colour in range(3)
        for u in range(STRIDE)
        for v in range(STRIDE)
    )
    pictures = []
    for _, colour, u, v in ranked[:count]:
        coefficients = np.zeros((STRIDE, STRIDE))
        coefficients[u, v] = 1
        pictures.append(colours[colour][:, None, None] * idctn(coefficients, norm="ortho"))
    return torch.from_numpy(np.stack(pictures)).float()


@torch.no_grad()
def start_from_dct(networks: CodecNetworks) -> CodecNetworks:
    """Set both transforms' `block` to the DCT and shrink the last layers of their networks."""
    basis = dct_basis(networks.architecture.latent)
    networks.analysis.block.weight.copy_(basis)
    networks.synthesis.block.weight.copy_(basis.flatten(1).t()[:, :, None, None])
    for transform in (networks.analysis, networks.synthesis):
        last = [layer for layer in transform.layers.modules() if isinstance(layer, nn.Conv2d)][-1]
        last.weight.mul_(NETWORK_START)
        for layer in (transform.block, last):
            assert layer.bias is not None
            layer.bias.zero_()
    return networks


@torch.no_grad()
def load_average(checkpoint: Path) -> CodecNetworks:
    """The networks of a checkpoint with their averaged weights, of whatever precision they are stored in.

    Raises ClicError where the file is not a checkpoint of such networks.
    """
    tensors, about = load_tensors(checkpoint)
    try:
        networks = CodecNetworks(Architecture.of(about), scaled="average.steps.leave.weight" in tensors)
        for name, parameter in networks.named_parameters():
            parameter.copy_(tensors[f"average.{name}"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ClicError(f"{checkpoint}: not a checkpoint of this codec's networks ({error})") from error
    return networks.eval()


def load_start(source: Path) -> CodecNetworks:
    """Networks to start training from: a checkpoint's average, or a shipped model by its name, such as "0-clic".

    Raises ClicError where there is neither.
    """
    if source.suffix == ".safetensors":
        return load_average(source)
    weights = find_weights(str(source))
    return restore(weights.decoder_arrays(), weights.encoder_arrays())
