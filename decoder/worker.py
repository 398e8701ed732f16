"""One process of `./decode`: its models, and one image after the other."""

import os
import time
from itertools import pairwise
from pathlib import Path

import torch

from decoder.errors import BitstreamError
from decoder.image import decode_latent
from decoder.model import Model, load_model, shipped_models
from decoder.png import png_bytes

MODELS: dict[int, Model] = {}


def start(precision: str) -> None:
    """Load the models. torch uses one thread, so that a network's sums do not depend on how many there are."""
    torch.set_num_threads(1)
    for number, path in shipped_models().items():
        MODELS[number] = load_model(path.read_bytes(), precision)


def decode_to_png(name: str, stream: bytes, folder: Path, threads: int) -> tuple[list[float], str]:
    """Decode one stream, its synthesis by so many threads, and write NAME.png.

    Returns seconds in entropy decoding, synthesis and PNG, and what went wrong or nothing. No class of this module
    is returned: to read one, the parent would import torch.
    """
    times = [time.perf_counter()]
    temporary = folder / f".{os.getpid()}.part"  # with the image's name it could be longer than names may be
    try:
        model, parsed, latent = decode_latent(stream, MODELS)
        times.append(time.perf_counter())
        pixels = model.reconstruct(latent, parsed.header, threads)
        times.append(time.perf_counter())
        temporary.write_bytes(png_bytes(pixels))
        temporary.replace(folder / f"{name}.png")
        times.append(time.perf_counter())
    except (BitstreamError, MemoryError, OSError, RuntimeError) as error:  # torch's lack of memory is the last
        temporary.unlink(missing_ok=True)
        return [0.0, 0.0, 0.0], f"{name}: {str(error) or type(error).__name__}"
    return [end - begin for begin, end in pairwise(times)], ""
