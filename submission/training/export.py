"""From trained floating-point networks to the decoder's integers and half-precision weights.

The entropy networks are rounded to 2^-14 and their probability tables to 2^-16. That their sums are exact is proved
here, and the proof kept in the file. The tables are computed once and shipped, never recomputed on another machine.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from decoder.architecture import Architecture
from decoder.context import CONTEXTS, REACH
from decoder.fixed import ACTIVATION_BITS, WEIGHT_BITS
from decoder.latent import SCALES
from decoder.model import entropy_networks
from decoder.rans import TOTAL
from submission.networks.entropy import CONTEXT_KERNEL, INDEX_UNIT, EntropyNetworks
from submission.quantization.scale import SCALE_MIN, SCALE_STEP, UNCODED

if TYPE_CHECKING:
    from submission.networks.model import CodecNetworks

CONTEXT_PARTS = ("hyper", "earlier", "past", "inner", "leave")
HYPER_REACH = 64  # hyper-latents beyond are escaped
HYPER_TAIL = 3  # tables reach so many times as far as 2^-17 of mass does: the highest gains bring values far out


def integer_frequencies(mass: np.ndarray) -> np.ndarray:
    """Frequencies >= 1 that sum to 2^16 and follow `mass` (n,), which need not be normalised."""
    frequency = np.maximum(1, np.floor(mass / mass.sum() * (TOTAL - len(mass))).astype(np.int64) + 1)
    frequency[np.argmax(frequency)] += TOTAL - frequency.sum()
    return frequency


def gaussian_masses(scale: float) -> np.ndarray:
    """Masses of the symbols -K ... K of one scale, then that of everything beyond."""
    reach = 3 + int(np.ceil(10 * scale))  # real symbols have longer tails, and an escape costs more than its entry
    edges = np.arange(-reach, reach + 2) - 0.5
    mass = np.diff(ndtr(edges / scale))
    return np.append(mass, max(0.0, 1 - mass.sum()))


def factorised_masses(bits: Callable[[Tensor], Tensor], channels: int) -> list[tuple[int, np.ndarray]]:
    """For each channel of a factorised prior: first symbol, masses of the symbols that matter, then that of all else.

    `bits` gives the bits of values (1, channels, 1, n).
    """
    grid = torch.arange(-HYPER_REACH, HYPER_REACH + 1.0).view(1, 1, 1, -1).expand(1, channels, 1, -1)
    with torch.no_grad():
        mass = torch.exp2(-bits(grid).double())[0, :, 0].numpy()
    result = []
    for row in mass:
        mode, kept = int(row.argmax()), np.flatnonzero(row > 2.0**-17)
        below, above = mode - kept.min(initial=mode), kept.max(initial=mode) - mode
        low = max(0, mode - HYPER_TAIL * max(1, below))
        high = min(len(row), mode + HYPER_TAIL * max(1, above) + 1)
        result.append((int(low) - HYPER_REACH, np.append(row[low:high], max(0.0, 1 - row[low:high].sum()))))
    return result


def probability_tables(networks: "CodecNetworks", first: int = UNCODED) -> dict[str, np.ndarray]:
    """The arrays of `decoder.rans.Tables`: Gaussian scales from index `first` on, then one table a hyper channel."""
    indices = range(first, first + SCALES)
    scales = (gaussian_masses(SCALE_MIN * np.exp(SCALE_STEP * index)) for index in indices)
    rows = [(-(len(mass) // 2 - 1), mass) for mass in scales]
    return table_arrays(rows + factorised_masses(networks.hyper_bits, networks.architecture.hyper))


def table_arrays(rows: Sequence[tuple[int, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of tables of which each has its first symbol and its masses, that of the escape last."""
    longest = max(len(mass) for _, mass in rows)
    cumulative = np.full((len(rows), longest + 1), TOTAL, np.int32)
    for target, (_, mass) in zip(cumulative, rows, strict=True):
        target[0] = 0
        target[1 : len(mass) + 1] = np.cumsum(integer_frequencies(mass))
    return {
        "tables.cumulative": cumulative,
        "tables.first": np.array([first for first, _ in rows], np.int32),
        "tables.size": np.array([len(mass) for _, mass in rows], np.int32),
    }


def _integers(values: Tensor, bits: int) -> np.ndarray:
    array = (values.detach().double() * 2**bits).round().numpy().astype(np.int64)
    return array.astype(np.int16) if np.abs(array).max(initial=0) < 1 << 15 else array.astype(np.int32)


@dataclass(frozen=True)
class EntropyLayer:
    """One convolution of all that decides probabilities, and how the decoder has it.

    The decoder's outputs are `unit` times the network's, less `zero`, both (out,). A kernel masked by the context model
    has only its `taps`, places in the flattened kernel, as inputs of a 1x1 convolution: taps first, then channels.
    """

    name: str
    conv: nn.Conv2d
    unit: Tensor
    zero: Tensor
    taps: list[int] | None = None

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Weight and bias as the decoder's integers."""
        weight = self.conv.weight.detach()
        if self.taps:
            weight = weight.flatten(2)[:, :, self.taps].transpose(1, 2).flatten(1)[:, :, None, None]
        arrays = {f"{self.name}.weight": _integers(weight * self.unit[:, None, None, None], WEIGHT_BITS)}
        if self.conv.bias is not None:
            bias = self.conv.bias.detach() * self.unit - self.zero
            arrays[f"{self.name}.bias"] = _integers(bias, WEIGHT_BITS + ACTIVATION_BITS)
        return arrays

    def take(self, arrays: Mapping[str, np.ndarray]) -> None:
        """The inverse of `to_arrays`."""
        weight = torch.from_numpy(arrays[f"{self.name}.weight"] * 2.0**-WEIGHT_BITS) / self.unit[:, None, None, None]
        if self.taps:
            weight = weight.reshape(len(weight), len(self.taps), -1).transpose(1, 2)
            self.conv.weight.flatten(2)[:, :, self.taps] = weight.float()
        else:
            self.conv.weight.copy_(weight)
        if self.conv.bias is not None:
            bias = torch.from_numpy(arrays[f"{self.name}.bias"] * 2.0 ** -(WEIGHT_BITS + ACTIVATION_BITS))
            self.conv.bias.copy_((bias + self.zero) / self.unit)


def _entropy_layers(networks: "CodecNetworks | EntropyNetworks", first: int = UNCODED) -> Iterator[EntropyLayer]:
    hyper = networks.hyper_synthesis
    convolutions = [hyper.enter, hyper.up1[0], hyper.spatial, hyper.up2[0], hyper.leave]
    layers = {f"hyper.{number}": conv for number, conv in enumerate(convolutions)}
    for index, group in enumerate(networks.context):
        layers |= {
            f"context.{index}.{part}": getattr(group, part)
            for part in CONTEXT_PARTS
            if getattr(group, part) is not None
        }
    taps = [
        (REACH + row) * CONTEXT_KERNEL + REACH + column for row, column in CONTEXTS[networks.architecture.context].taps
    ]
    for name, conv in layers.items():
        assert isinstance(conv, nn.Conv2d)
        unit, zero = torch.ones(conv.out_channels), torch.zeros(conv.out_channels)
        if name.endswith(".leave"):  # the second half are scale indices
            unit[conv.out_channels // 2 :] = INDEX_UNIT
            zero[conv.out_channels // 2 :] = first
        yield EntropyLayer(name, conv, unit, zero, taps if name.endswith(".past") else None)


def decoder_arrays(networks: "CodecNetworks", first: int = UNCODED) -> dict[str, np.ndarray]:
    """Everything that `decoder.model.load_model` reads; the decoder counts scale indices from `first` on.

    By default its first index is the last of those whose elements the shipped codec does not code.
    Raises ValueError where exactness cannot be proved, or the networks have something that no decoder has.
    """
    if networks.steps is not None:
        raise ValueError("the networks quantise each element in a step of its own, which the decoder cannot")
    arrays = probability_tables(networks, first)
    for layer in _entropy_layers(networks, first):
        arrays |= layer.to_arrays()
    for name, value in networks.synthesis.state_dict().items():
        arrays[f"synthesis.{name}"] = value.half().numpy()
    arrays["log_inverse_gain"] = networks.log_inverse_gain.detach().numpy()
    _, proof = entropy_networks(arrays, networks.architecture)
    about = {"architecture": networks.architecture.to_json(), "proof": proof}
    return arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}


def encoder_arrays(networks: "CodecNetworks") -> dict[str, np.ndarray]:
    """What the encoder needs beside the decoder's model, and the prior's parameters for further training."""
    halved = ("analysis.", "hyper_analysis.")
    return {
        name: value.detach().half().numpy() if name.startswith(halved) else value.detach().numpy()
        for name, value in networks.named_parameters()
        if name.startswith((*halved, "log_gain", "prior."))
    }


@torch.no_grad()
def restore(decoder: Mapping[str, np.ndarray], encoder: Mapping[str, np.ndarray]) -> "CodecNetworks":
    """The networks of exported weights, for further training; exporting them again gives the same arrays."""
    from submission.networks.model import CodecNetworks  # loads CompressAI, which encoders do without

    networks = CodecNetworks(Architecture.of(json.loads(decoder["about"].tobytes())))
    for layer in _entropy_layers(networks):
        layer.take(decoder)
    parameters = dict(networks.named_parameters())
    stored = {name: value for name, value in decoder.items() if name.startswith(("synthesis.", "log_inverse_gain"))}
    for name, value in {**stored, **encoder}.items():
        parameters[name].copy_(torch.from_numpy(value.astype(np.float32)))
    return networks.eval()


@torch.no_grad()
def restore_entropy(decoder: Mapping[str, np.ndarray]) -> EntropyNetworks:
    """The networks of exported weights that decide probabilities of the latent."""
    networks = EntropyNetworks(Architecture.of(json.loads(decoder["about"].tobytes())))
    for layer in _entropy_layers(networks):
        layer.take(decoder)
    return networks.eval().requires_grad_(False)
