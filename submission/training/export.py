"""From trained floating-point networks to the decoder's integers and half-precision weights.

The entropy networks are rounded to 2^-14 and their probability tables to 2^-16. That their sums are exact is proved
here, and the proof kept in the file. The tables are computed once and shipped, never recomputed on another machine.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from decoder.context import CONTEXTS, REACH
from decoder.fixed import ACTIVATION_BITS, WEIGHT_BITS
from decoder.latent import SCALES
from decoder.model import WEIGHTS as DECODER_WEIGHTS
from decoder.model import entropy_networks, load_model
from decoder.networks import Shape
from decoder.rans import TOTAL
from submission.networks import CONTEXT_KERNEL, INDEX_UNIT, SCALE_MIN, SCALE_STEP, UNCODED, CodecNetworks
from submission.training.checkpoint import load_tensors

CONTEXT_PARTS = ("hyper", "earlier", "past", "inner", "leave")
HYPER_REACH = 64  # hyper-latents beyond are escaped
HYPER_TAIL = 3  # tables reach so many times as far as 2^-17 of mass does: the highest gains bring values far out
WEIGHTS = Path(__file__).parents[1] / "weights"


def integer_frequencies(mass: np.ndarray) -> np.ndarray:
    """Frequencies >= 1 that sum to 2^16 and follow `mass` (n,), which need not be normalised."""
    frequency = np.maximum(1, np.floor(mass / mass.sum() * (TOTAL - len(mass))).astype(np.int64) + 1)
    frequency[np.argmax(frequency)] += TOTAL - frequency.sum()
    return frequency


def gaussian_masses(index: int) -> np.ndarray:
    """Masses of the symbols -K ... K of one scale, then that of everything beyond."""
    scale = SCALE_MIN * np.exp(SCALE_STEP * index)
    reach = 3 + int(np.ceil(10 * scale))  # real symbols have longer tails, and an escape costs more than its entry
    edges = np.arange(-reach, reach + 2) - 0.5
    mass = np.diff(ndtr(edges / scale))
    return np.append(mass, max(0.0, 1 - mass.sum()))


def hyper_masses(networks: CodecNetworks) -> list[tuple[int, np.ndarray]]:
    """For each hyper channel: first symbol, masses of the symbols that matter, then that of everything else."""
    grid = torch.arange(-HYPER_REACH, HYPER_REACH + 1.0).view(1, 1, 1, -1).expand(1, networks.shape.hyper, 1, -1)
    with torch.no_grad():
        mass = torch.exp2(-networks.hyper_bits(grid).double())[0, :, 0].numpy()
    result = []
    for row in mass:
        mode, kept = int(row.argmax()), np.flatnonzero(row > 2.0**-17)
        below, above = mode - kept.min(initial=mode), kept.max(initial=mode) - mode
        low = max(0, mode - HYPER_TAIL * max(1, below))
        high = min(len(row), mode + HYPER_TAIL * max(1, above) + 1)
        result.append((int(low) - HYPER_REACH, np.append(row[low:high], max(0.0, 1 - row[low:high].sum()))))
    return result


def probability_tables(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """The arrays of `decoder.rans.Tables`: Gaussian scales first, then one table a hyper channel."""
    scales = map(gaussian_masses, range(UNCODED, UNCODED + SCALES))  # the first one's elements are not coded
    rows = [(-(len(mass) // 2 - 1), mass) for mass in scales] + hyper_masses(networks)
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


def _entropy_layers(networks: CodecNetworks) -> Iterator[EntropyLayer]:
    hyper = networks.hyper_synthesis
    convolutions = [hyper.enter, hyper.up1[0], hyper.spatial, hyper.up2[0], hyper.leave]
    layers = {f"hyper.{number}": conv for number, conv in enumerate(convolutions)}
    for index, group in enumerate(networks.context):
        layers |= {f"context.{index}.{part}": getattr(group, part) for part in CONTEXT_PARTS if getattr(group, part)}
    taps = [(REACH + row) * CONTEXT_KERNEL + REACH + column for row, column in CONTEXTS[networks.shape.context].taps]
    for name, conv in layers.items():
        assert isinstance(conv, nn.Conv2d)
        unit, zero = torch.ones(conv.out_channels), torch.zeros(conv.out_channels)
        if name.endswith(".leave"):  # the second half are scale indices, counted from the last that is not coded
            unit[conv.out_channels // 2 :] = INDEX_UNIT
            zero[conv.out_channels // 2 :] = UNCODED
        yield EntropyLayer(name, conv, unit, zero, taps if name.endswith(".past") else None)


def decoder_arrays(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """Everything that `decoder.model.load_model` reads. Raises ValueError where exactness cannot be proved."""
    arrays = probability_tables(networks)
    for layer in _entropy_layers(networks):
        arrays |= layer.to_arrays()
    for name, value in networks.synthesis.state_dict().items():
        arrays[f"synthesis.{name}"] = value.half().numpy()
    arrays["log_inverse_gain"] = networks.log_inverse_gain.detach().numpy()
    _, proof = entropy_networks(arrays, networks.shape)
    about = {"shape": networks.shape.to_json(), "proof": proof}
    return arrays | {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}


def encoder_arrays(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """What the encoder needs beside the decoder's model, and the prior's parameters for further training."""
    halved = ("analysis.", "hyper_analysis.")
    return {
        name: value.detach().half().numpy() if name.startswith(halved) else value.detach().numpy()
        for name, value in networks.named_parameters()
        if name.startswith((*halved, "log_gain", "prior."))
    }


@torch.no_grad()
def restore(decoder: Mapping[str, np.ndarray], encoder: Mapping[str, np.ndarray]) -> CodecNetworks:
    """The networks of exported weights, for further training; exporting them again gives the same arrays."""
    networks = CodecNetworks(Shape.from_json(json.loads(decoder["about"].tobytes())["shape"]))
    for layer in _entropy_layers(networks):
        layer.take(decoder)
    parameters = dict(networks.named_parameters())
    stored = {name: value for name, value in decoder.items() if name.startswith(("synthesis.", "log_inverse_gain"))}
    for name, value in {**stored, **encoder}.items():
        parameters[name].copy_(torch.from_numpy(value.astype(np.float32)))
    return networks.eval()


def npz_bytes(arrays: dict[str, np.ndarray]) -> bytes:
    """A compressed .npz whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()


def load_average(checkpoint: Path) -> CodecNetworks:
    """The networks of a checkpoint with their averaged weights."""
    tensors, about = load_tensors(checkpoint)
    networks = CodecNetworks(Shape.from_json(about["shape"]))
    with torch.no_grad():
        for name, parameter in networks.named_parameters():
            parameter.copy_(tensors[f"average.{name}"])
    return networks.eval()


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, read without pickle."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def load_start(source: Path) -> CodecNetworks:
    """Networks to start training from: a checkpoint's average, or a shipped model by its name, such as "0-clic"."""
    if source.suffix == ".safetensors":
        return load_average(source)
    return restore(*(load_arrays(folder / f"{source.name}.npz") for folder in (DECODER_WEIGHTS, WEIGHTS)))


def export(checkpoint: Path, name: str) -> tuple[Path, Path]:
    """Write decoder and encoder weights of a checkpoint as the shipped model `name`, such as "0-clic"."""
    networks = load_average(checkpoint)
    ours, theirs = npz_bytes(encoder_arrays(networks)), npz_bytes(decoder_arrays(networks))
    load_model(theirs)  # before anything is written
    paths = WEIGHTS / f"{name}.npz", DECODER_WEIGHTS / f"{name}.npz"
    for path, content in zip(paths, (ours, theirs), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return paths


if __name__ == "__main__":
    import sys

    for written in export(Path(sys.argv[1]), sys.argv[2]):
        print(written, written.stat().st_size)
