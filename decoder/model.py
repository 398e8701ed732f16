"""The decoder's model as it is stored: integer entropy networks and tables, half-precision synthesis weights.

A weights file is a numpy .npz read without pickle. `about` is UTF-8 JSON with the networks' widths.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decoder.bitstream import Header
from decoder.fixed import EXACT, LATENT_MAX, ONE, Layer
from decoder.latent import GroupNetwork, HyperNetwork
from decoder.networks import Shape, Synthesis
from decoder.rans import Tables

WEIGHTS = Path(__file__).parent / "weights"
GAIN_STEPS = 16  # of the header's gain field, to a level
GAINS_BELOW = 2  # levels by which the field reaches below the first that was trained, for the lowest of rates


@dataclass
class Model:
    """Everything that decoding needs. `tables` holds the Gaussian scales first, then one table a hyper channel."""

    shape: Shape
    hyper: HyperNetwork
    groups: list[GroupNetwork]
    tables: Tables
    synthesis: Synthesis
    log_inverse_gain: Tensor

    @property
    def gains(self) -> int:
        """Number of values of the header's gain field."""
        return (self.shape.levels - 1 + GAINS_BELOW) * GAIN_STEPS + 1

    @torch.inference_mode()
    def reconstruct(self, latent: np.ndarray, header: Header) -> np.ndarray:
        """Pixels, uint8 (H, W, 3), of a quantised latent (C, h, w) in units of 2^-8."""
        gain = interpolate(self.log_inverse_gain, header.gain).exp()
        scaled = torch.from_numpy((latent / ONE).astype(np.float32))[None] * gain[:, None, None]
        image = self.synthesis(scaled)[0, :, : header.height, : header.width]
        return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def interpolate(log_gains: Tensor, gain: int) -> Tensor:
    """The log gain vector (C,) of a gain field, linear between and below the rows of (levels, C)."""
    place = gain / GAIN_STEPS - GAINS_BELOW
    level = min(max(int(place), 0), len(log_gains) - 2)
    return log_gains[level] + (place - level) * (log_gains[level + 1] - log_gains[level])


def _layer(arrays: dict[str, np.ndarray], name: str, input_max: int | None = None) -> Layer:
    bias = arrays.get(f"{name}.bias")
    return Layer(arrays[f"{name}.weight"], bias) if input_max is None else Layer(
        arrays[f"{name}.weight"], bias, input_max
    )


def _group(arrays: dict[str, np.ndarray], index: int, channels: int) -> GroupNetwork:
    name = f"context.{index}"
    past = _layer(arrays, f"{name}.past", LATENT_MAX)  # for its bound; (F, taps * C, 1, 1)
    earlier = _layer(arrays, f"{name}.earlier", LATENT_MAX) if f"{name}.earlier.weight" in arrays else None
    hyper = _layer(arrays, f"{name}.hyper")
    if hyper.bound + past.bound + (earlier.bound if earlier else 0) >= EXACT:
        raise ValueError(f"the first sums of group {index} could leave the exact range of float64")
    return GroupNetwork(
        channels, hyper, earlier, past.matrix_t,
        _layer(arrays, f"{name}.inner"), _layer(arrays, f"{name}.leave"),
    )


def load_model(content: bytes) -> Model:
    """The model in a weights file's bytes. Raises ValueError on weights for which exactness does not hold."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    shape = Shape.from_json(json.loads(arrays["about"].tobytes())["shape"])
    synthesis = Synthesis(shape)
    synthesis.load_state_dict({
        name.removeprefix("synthesis."): torch.from_numpy(value.astype(np.float32))
        for name, value in arrays.items() if name.startswith("synthesis.")
    })
    synthesis.eval().requires_grad_(False)
    return Model(
        shape,
        HyperNetwork([_layer(arrays, f"hyper.{number}") for number in range(5)]),
        [_group(arrays, index, channels) for index, channels in enumerate(shape.groups)],
        Tables(arrays["tables.cumulative"], arrays["tables.first"], arrays["tables.size"]),
        synthesis,
        torch.from_numpy(arrays["log_inverse_gain"].astype(np.float32)),
    )


def shipped_models() -> dict[int, Path]:
    """Weights files beside this module, by the model number of the header: NUMBER-name.npz."""
    return {int(path.name.partition("-")[0]): path for path in sorted(WEIGHTS.glob("*-*.npz"))}
