"""What the coded bytes exceed: the information under the integer tables, and the rate of the networks in floats.

    python -m submission.evidence.rate FILE... [--checkpoint CHECKPOINT]

The float networks are a checkpoint's, or else the shipped ones with their weights in units of 2^-14. They see the same
quantised latents; their rate is that of Gaussians of their own means and unrounded scales, where a symbol costs at most
the 16 bits that the tables' precision gives to the rarest.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from decoder.fixed import ONE
from decoder.rans import PRECISION
from submission.evidence.printed import figures, wide_console
from submission.evidence.recorded import Recorded, read_data_file, record
from submission.networks.entropy import gaussian_bits
from submission.networks.model import CodecNetworks
from submission.quantization.scale import coded
from submission.training.start import load_start
from submission.weights import DecoderModels, shipped_weights

HEADROOM = 16  # bytes an image beside 0.2 %


@torch.inference_mode()
def float_bits(networks: CodecNetworks, recorded: Recorded) -> float:
    """Information of a stream's symbols under the float networks, in bits."""
    height, width = recorded.latent.shape[1:]
    hyper = torch.from_numpy(recorded.hyper)[None].float()
    features = networks.hyper_synthesis(hyper)[:, :, :height, :width]
    latent = torch.from_numpy(recorded.latent / ONE)[None].float()
    mean, scale = networks.entropy_parameters(features, latent)
    bits = gaussian_bits(latent - mean, scale)[coded(scale)].clamp(max=PRECISION)
    return float(bits.double().sum() + networks.hyper_bits(hyper).double().sum())


def main() -> int:
    """Print a line per data file; 1 where bytes exceed information by more than 0.2 % and 16 bytes an image."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.rate", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="data files of this codec")
    parser.add_argument("--checkpoint", type=Path, help="the training run's checkpoint, for its unrounded weights")
    options = parser.parse_args()
    models, console = DecoderModels(), wide_console()
    networks = {w.number: load_start(options.checkpoint or Path(w.name)) for w in shipped_weights()}
    table = figures(
        "data file",
        "images",
        "bytes",
        "bytes of\ninformation",
        "beyond\nit, %",
        "worst, beyond\n0.2 %, bytes",
        "float\nnetworks",
        "integers\ncost, %",
    )
    failed = False
    for path in options.files:
        sizes, integers, floats = [], [], []
        streams = read_data_file(path)
        for data in track(streams.values(), f"{path}", console=Console(stderr=True), transient=True):
            recorded = record(data, models)
            sizes.append(len(data))
            integers.append(recorded.bits / 8)
            floats.append(float_bits(networks[recorded.header.model], recorded) / 8)
        beyond = np.array(sizes) - 1.002 * np.array(integers)
        failed |= bool((beyond > HEADROOM).any())
        table.add_row(
            str(Path(*path.parts[-2:])),
            f"{len(sizes)}",
            f"{sum(sizes):,}",
            f"{sum(integers):,.0f}",
            f"{100 * (sum(sizes) / sum(integers) - 1):.3f}",
            f"{beyond.max():.1f}",
            f"{sum(floats):,.0f}",
            f"{100 * (sum(integers) / sum(floats) - 1):+.3f}",
        )
    console.print(table)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
