"""From trained floating-point networks to the decoder's integers and half-precision weights.

The entropy networks are rounded to 2^-14 and their probability tables to 2^-16; the decoder proves at load that
their sums are exact. The tables are computed here once and shipped, never recomputed on another machine.
"""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from decoder.fixed import ACTIVATION_BITS, WEIGHT_BITS
from decoder.latent import SCALES, TAPS
from decoder.model import WEIGHTS as DECODER_WEIGHTS
from decoder.model import load_model
from decoder.networks import Shape
from decoder.rans import TOTAL
from submission.checkpoint import load_tensors
from submission.networks import INDEX_UNIT, SCALE_MIN, SCALE_STEP, CodecNetworks, GroupParameters

HYPER_REACH = 64  # hyper-latents beyond are escaped
WEIGHTS = Path(__file__).parent / "weights"


def integer_frequencies(mass: np.ndarray) -> np.ndarray:
    """Frequencies >= 1 that sum to 2^16 and follow `mass` (n,), which need not be normalised."""
    frequency = np.maximum(1, np.floor(mass / mass.sum() * (TOTAL - len(mass))).astype(np.int64) + 1)
    frequency[np.argmax(frequency)] += TOTAL - frequency.sum()
    return frequency


def gaussian_masses(index: int) -> np.ndarray:
    """Masses of the symbols -K ... K of one scale, then that of everything beyond."""
    scale = SCALE_MIN * np.exp(SCALE_STEP * index)
    reach = int(np.ceil(4.2 * scale))
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
        kept = np.flatnonzero(row > 2.0**-17)
        low, high = (kept[0], kept[-1] + 1) if len(kept) else (HYPER_REACH, HYPER_REACH + 1)
        result.append((int(low) - HYPER_REACH, np.append(row[low:high], max(0.0, 1 - row[low:high].sum()))))
    return result


def probability_tables(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """The arrays of `decoder.rans.Tables`: Gaussian scales first, then one table a hyper channel."""
    rows = [(-(len(mass) // 2 - 1), mass) for mass in map(gaussian_masses, range(SCALES))] + hyper_masses(networks)
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


def _layer(name: str, conv: nn.Module, unit: float | Tensor = 1.0) -> dict[str, np.ndarray]:
    """Weight and bias as integers; `unit`, a number or one for each output, multiplies both."""
    assert isinstance(conv, nn.Conv2d)
    arrays = {f"{name}.weight": _integers((conv.weight.transpose(0, 3) * unit).transpose(0, 3), WEIGHT_BITS)}
    if conv.bias is not None:
        arrays[f"{name}.bias"] = _integers(conv.bias * unit, WEIGHT_BITS + ACTIVATION_BITS)
    return arrays


def _entropy_layers(networks: CodecNetworks) -> Iterator[tuple[str, nn.Module, float | Tensor]]:
    """Name in the weights file, layer, and the unit of its outputs, of all that decides probabilities."""
    hyper = networks.hyper_synthesis
    for number, conv in enumerate([hyper.enter, hyper.up1[0], hyper.spatial, hyper.up2[0], hyper.leave]):
        yield f"hyper.{number}", conv, 1.0
    for index, group in enumerate(networks.context):
        assert isinstance(group, GroupParameters)
        for part, layer in (("hyper", group.hyper), ("earlier", group.earlier), ("inner", group.inner)):
            if layer is not None:
                yield f"context.{index}.{part}", layer, 1.0
        unit = torch.ones(group.leave.out_channels)
        unit[group.past.in_channels :] = INDEX_UNIT  # scale indices in units of 1, as the decoder has them
        yield f"context.{index}.leave", group.leave, unit


def decoder_arrays(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """Everything that `decoder.model.load_model` reads."""
    arrays = {"about": np.frombuffer(json.dumps({"shape": networks.shape.to_json()}).encode(), np.uint8)}
    for name, layer, unit in _entropy_layers(networks):
        arrays |= _layer(name, layer, unit)
    for index, group in enumerate(networks.context):
        assert isinstance(group, GroupParameters)
        taps = group.past.weight.detach().flatten(2)[:, :, :TAPS]  # (F, C, taps) in raster order
        arrays[f"context.{index}.past.weight"] = _integers(
            taps.transpose(1, 2).flatten(1)[:, :, None, None], WEIGHT_BITS
        )
    for name, value in networks.synthesis.state_dict().items():
        arrays[f"synthesis.{name}"] = value.half().numpy()
    arrays["log_inverse_gain"] = networks.log_inverse_gain.detach().numpy()
    return arrays | probability_tables(networks)


def encoder_arrays(networks: CodecNetworks) -> dict[str, np.ndarray]:
    """What the encoder needs beside the decoder's model, and the prior's parameters for further training."""
    halved = ("analysis.", "hyper_analysis.")
    return {
        name: value.detach().half().numpy() if name.startswith(halved) else value.detach().numpy()
        for name, value in networks.named_parameters() if name.startswith((*halved, "log_gain", "prior."))
    }


@torch.no_grad()
def restore(decoder: Mapping[str, np.ndarray], encoder: Mapping[str, np.ndarray]) -> CodecNetworks:
    """The networks of exported weights, for further training; exporting them again gives the same arrays."""
    networks = CodecNetworks(Shape.from_json(json.loads(decoder["about"].tobytes())["shape"]))
    for name, layer, unit in _entropy_layers(networks):
        assert isinstance(layer, nn.Conv2d)
        weight = torch.from_numpy(decoder[f"{name}.weight"] * 2.0**-WEIGHT_BITS)
        layer.weight.copy_((weight.transpose(0, 3) / unit).transpose(0, 3))
        if layer.bias is not None:
            bias = torch.from_numpy(decoder[f"{name}.bias"] * 2.0 ** -(WEIGHT_BITS + ACTIVATION_BITS))
            layer.bias.copy_(bias / unit)
    for index, group in enumerate(networks.context):
        assert isinstance(group, GroupParameters)
        taps = torch.from_numpy(decoder[f"context.{index}.past.weight"] * 2.0**-WEIGHT_BITS)
        group.past.weight.flatten(2)[:, :, :TAPS] = taps.reshape(len(taps), TAPS, -1).transpose(1, 2)
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
    load_model(theirs)  # proves exactness before anything is written
    paths = WEIGHTS / f"{name}.npz", DECODER_WEIGHTS / f"{name}.npz"
    for path, content in zip(paths, (ours, theirs), strict=True):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return paths


if __name__ == "__main__":
    import sys

    for written in export(Path(sys.argv[1]), sys.argv[2]):
        print(written, written.stat().st_size)
