"""What checkpoints are worth in coded bytes: dB of a set within a rate's budget, one gain for all photographs.

    python -m submission.evidence.checkpoints PHOTOGRAPHS CHECKPOINT [CHECKPOINT ...] [--rates 0.15,0.3]

Each is a checkpoint of `clic train`, or the name of shipped weights that can encode. Its moving average is exported to
the decoder's integers, and every photograph is coded at all of the codec's operating points, unrefined. dB are
interpolated between gains (PCHIP over log bytes), so that small differences are not those of a selection's last bytes;
behind them is what a checkpoint has above the first one.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import torch

from decoder.model import load_model
from harness.errors import ClicError
from harness.images import SourceImage, list_images, load_rgb
from harness.progress import bar, log
from harness.rates import Rate
from harness.scores.msssim import Reference
from harness.scores.objectives import objective
from submission.codec import POINTS, operating_gains
from submission.encoder import EncoderNetworks, analyse, encode_latent
from submission.evidence.choices import RATES, at_one_gain, budgets
from submission.evidence.printed import figures, wide_console
from submission.training.export import decoder_arrays, encoder_arrays
from submission.training.start import load_start
from submission.weights import npz_bytes


def coded(checkpoint: Path, photographs: Sequence[SourceImage]) -> Iterator[dict[str, str | int | float]]:
    """A row for each photograph and gain, as a selection takes them. Raises ClicError for no such checkpoint."""
    networks = load_start(checkpoint)
    model = load_model(npz_bytes(decoder_arrays(networks)))
    encoder = EncoderNetworks(model.architecture, encoder_arrays(networks))
    for photograph in photographs:
        pixels = load_rgb(photograph.path)
        reference, analysed = Reference(pixels), analyse(encoder, pixels)
        for gain in operating_gains(model):
            stream, decoded = encode_latent(encoder, model, analysed, gain)
            yield {
                "image": photograph.name,
                "width": photograph.width,
                "height": photograph.height,
                "point": str(gain),
                "bytes": len(stream),
                **asdict(reference.score(decoded)),
            }


def candidates_of(checkpoint: Path, photographs: Sequence[SourceImage]) -> pd.DataFrame:
    """All that is coded with a checkpoint, with progress. Raises ClicError for no such checkpoint."""
    rows: list[dict[str, str | int | float]] = []
    with bar(str(checkpoint)) as progress:
        for row in coded(checkpoint, photographs):
            rows.append(row)
            progress(len(rows), POINTS * len(photographs))
    return pd.DataFrame(rows)


def shown(checkpoint: Path) -> str:
    """Its run and stage, as "onward/hard", or the name of shipped weights."""
    return str(Path(checkpoint.parent.name) / checkpoint.stem)


def main() -> int:
    """Print a line for each checkpoint, with what it has above the first one."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.checkpoints", description=__doc__)
    parser.add_argument("photographs", type=Path, help="folder of photographs")
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT")
    parser.add_argument("--rates", default=RATES, help=f"bits per pixel; default: {RATES}")
    parser.add_argument("--objective", default="competition", choices=("competition", "paper"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    try:
        rates, goal = [Rate.parse(rate) for rate in options.rates.split(",")], objective(options.objective)
        photographs = list_images(options.photographs)
        table = figures(f"{len(photographs)} photographs", *(f"{rate} bpp\ndB (difference)" for rate in rates))
        first: list[float] = []
        for checkpoint in options.checkpoints:
            candidates = candidates_of(checkpoint, photographs)
            found = [at_one_gain(candidates, budget, goal) for budget in budgets(candidates, rates)]
            first = first or found
            cells = (
                "not reached" if math.isnan(db) else f"{db:.3f} ({db - other:+.3f})"
                for db, other in zip(found, first, strict=True)
            )
            table.add_row(shown(checkpoint), *cells)
    except ClicError as error:
        log(f"checkpoints: {error}")
        return 2
    wide_console().print(table)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
