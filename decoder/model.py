"""The decoder's model as it is stored: integer entropy networks and tables, half-precision synthesis weights.

A weights file is a numpy .npz read without pickle. `about` is UTF-8 JSON with the networks' widths, and with the proof
that the entropy networks are exact: for each sum of products the bound that no partial sum can exceed.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from decoder.architecture import Architecture
from decoder.bitstream import Header
from decoder.context import CONTEXTS
from decoder.fixed import EXACT, ONE, Layer
from decoder.latent import EntropyNetworks, GroupNetwork, HyperNetwork
from decoder.networks import Synthesis
from decoder.precision import FLOAT32, in_bf16
from decoder.rans import Tables
from decoder.synthesis import to_pixels

WEIGHTS = Path(__file__).parent / "weights"
GAIN_STEPS = 16  # of the header's gain field, to a level
GAINS_BELOW = 2  # levels by which the field reaches below the first that was trained, for the lowest of rates


@dataclass
class Model:
    """Everything that decoding needs. `tables` holds the Gaussian scales first, then one table a hyper channel."""

    architecture: Architecture
    entropy: EntropyNetworks
    tables: Tables
    synthesis: Synthesis
    log_inverse_gain: Tensor

    @property
    def gains(self) -> int:
        """Number of values of the header's gain field."""
        return (self.architecture.levels - 1 + GAINS_BELOW) * GAIN_STEPS + 1

    @torch.inference_mode()
    def reconstruct(self, latent: np.ndarray, header: Header, threads: int = 1) -> np.ndarray:
        """Pixels, uint8 (H, W, 3), of a quantised latent (C, h, w) in units of 2^-8, by so many threads."""
        gain = interpolate(self.log_inverse_gain, header.gain).exp()
        scaled = torch.from_numpy((latent / ONE).astype(np.float32))[None] * gain[:, None, None]
        return to_pixels(self.synthesis, scaled, header.grey, threads)[: header.height, : header.width]


def interpolate(log_gains: Tensor, gain: int) -> Tensor:
    """The log gain vector (C,) of a gain field, linear between and below the rows of (levels, C)."""
    place = gain / GAIN_STEPS - GAINS_BELOW
    level = min(max(int(place), 0), len(log_gains) - 2)
    return log_gains[level] + (place - level) * (log_gains[level + 1] - log_gains[level])


def entropy_networks(
    arrays: dict[str, np.ndarray], architecture: Architecture
) -> tuple[EntropyNetworks, dict[str, int]]:
    """The networks and the proof of their exactness: by name of a sum, what no partial sum of it can exceed.

    Raises ValueError on weights for which sums could leave the exact range of float64.
    """
    proof: dict[str, int] = {}

    def layer(name: str) -> Layer:
        loaded = Layer(arrays[f"{name}.weight"], arrays.get(f"{name}.bias"))
        proof[name] = loaded.bound
        return loaded

    hyper = HyperNetwork([layer(f"hyper.{number}") for number in range(5)])
    context, groups = CONTEXTS[architecture.context], []
    for index, channels in enumerate(architecture.groups):
        name = f"context.{index}"
        group = GroupNetwork(
            channels,
            layer(f"{name}.hyper"),
            layer(f"{name}.earlier") if index else None,
            layer(f"{name}.past") if context.taps else None,
            layer(f"{name}.inner"),
            layer(f"{name}.leave"),
        )
        first = sum(part.bound for part in (group.hyper, group.earlier, group.past) if part is not None)
        if first >= EXACT:
            raise ValueError(f"the first sums of group {index} could leave the exact range of float64")
        proof[f"{name}.first"] = first
        groups.append(group)
    return EntropyNetworks(context, hyper, groups), proof


def synthesis_device() -> torch.device:
    """Where the synthesis runs: on a GPU where there is one.

    All that decides symbols stays on the CPU: the walk is a chain of small steps, and a GPU's libraries may choose
    algorithms (FFT, Winograd) whose sums are not the ones proved exact.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def load_model(content: bytes, precision: str = FLOAT32) -> Model:
    """The model in a weights file's bytes, its synthesis in a precision.

    Raises ValueError where its proof of exactness does not hold.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    about = json.loads(arrays["about"].tobytes())
    architecture = Architecture.of(about)
    entropy, proof = entropy_networks(arrays, architecture)
    if proof != about["proof"]:
        raise ValueError("the proof of exactness in the weights file is not that of its weights")
    synthesis = Synthesis(architecture)
    synthesis.load_state_dict(
        {
            name.removeprefix("synthesis."): torch.from_numpy(value.astype(np.float32))
            for name, value in arrays.items()
            if name.startswith("synthesis.")
        }
    )
    synthesis.eval().requires_grad_(False)
    synthesis.to(synthesis_device())
    if in_bf16(precision):
        synthesis.layers.to(torch.bfloat16)
    return Model(
        architecture,
        entropy,
        Tables(arrays["tables.cumulative"], arrays["tables.first"], arrays["tables.size"]),
        synthesis,
        torch.from_numpy(arrays["log_inverse_gain"].astype(np.float32)),
    )


def shipped_models() -> dict[int, Path]:
    """Weights files beside this module, by the model number of the header: NUMBER-name.npz."""
    return {int(path.name.partition("-")[0]): path for path in sorted(WEIGHTS.glob("*-*.npz"))}
