"""The wavefront beside raster order: the same symbols, and how many times faster.

    OMP_NUM_THREADS=1 python -m submission.evidence.steps PHOTOGRAPH [--gain G]

Codes one photograph in either order with the 3-D context and decodes both streams, one thread as in the decoder.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from decoder.context import ContextModel, Step
from decoder.image import decode_latent
from decoder.model import Model
from harness.images import load_rgb
from submission.codec import LearnedCodec
from submission.encoder import analyse, encode_latent
from submission.evidence.printed import figures, wide_console


def raster(height: int, width: int) -> Iterator[Step]:
    """One position after the other."""
    for i in range(height):
        for j in range(width):
            yield Step(np.array([i]), np.array([j]), True)


def in_steps(model: Model, steps: Callable[[int, int], Iterator[Step]]) -> Model:
    """The same model with positions coded in other steps."""
    return replace(model, entropy=replace(model.entropy, context=ContextModel(model.entropy.context.taps, steps)))


def main() -> int:
    """Print seconds of both orders; 1 where their symbols differ."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.steps", description=__doc__)
    parser.add_argument("photograph", type=Path)
    parser.add_argument("--gain", type=int, default=80, help="in sixteenths of a level, default: 80")
    options = parser.parse_args()
    codec = LearnedCodec()
    model = codec.models[codec.number]
    pixels = load_rgb(options.photograph)
    analysed = analyse(codec.networks, pixels)
    table = figures("order", "steps a group", "bpp", "decoding symbols")
    seconds, latents = [], []
    height, width = -(-pixels.shape[0] // 16), -(-pixels.shape[1] // 16)
    for name, steps in (("wavefront", model.entropy.context.steps), ("raster", raster)):
        ordered = in_steps(model, steps)
        stream, _ = encode_latent(codec.networks, ordered, analysed, options.gain)
        begin = time.perf_counter()
        latents.append(decode_latent(stream, {0: ordered})[2])
        seconds.append(time.perf_counter() - begin)
        table.add_row(
            name,
            f"{len(list(steps(height, width))):,}",
            f"{8e-6 * len(stream) / (pixels.size / 3e6):.3f}",
            f"{seconds[-1]:.2f} s",
        )
    same = np.array_equal(latents[0], latents[1])
    verdict = "all equal" if same else "which differ"
    wide_console().print(
        table,
        f"{pixels.size / 3e6:.2f} megapixels, {latents[0].size:,} elements, {verdict}; "
        f"raster takes {seconds[1] / seconds[0]:.1f} times as long",
        sep="\n",
    )
    return int(not same)


if __name__ == "__main__":
    raise SystemExit(main())
