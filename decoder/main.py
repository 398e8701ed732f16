"""What `./decode` runs: every image of the data file to images/NAME.png, a failing one named and passed over."""

import json
import os
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image

from decoder.container import unpack
from decoder.errors import BitstreamError
from decoder.image import decode_latent
from decoder.model import Model, load_model, shipped_models

MODELS: dict[int, Model] = {}


def read_payload(folder: Path, data_file: str, payload: str) -> bytes:
    """The container's bytes: the payload if it lies there unpacked, else out of the zip, else the file itself."""
    if (folder / payload).is_file():
        return (folder / payload).read_bytes()
    path = folder / data_file
    if not path.is_file():
        raise BitstreamError(f"{data_file} is missing")
    if not zipfile.is_zipfile(path):
        raise BitstreamError(f"{data_file} is not a zip archive")
    with zipfile.ZipFile(path) as archive:
        if payload not in archive.namelist():
            raise BitstreamError(f"{data_file} does not hold {payload}")
        return archive.read(payload)


def start_worker() -> None:
    """One thread a process: images are decoded side by side, and a network's sums do not depend on threads."""
    torch.set_num_threads(1)
    for number, path in shipped_models().items():
        MODELS[number] = load_model(path.read_bytes())


@dataclass(frozen=True)
class Done:
    """One image: seconds in entropy decoding, synthesis and PNG, or what went wrong."""

    seconds: tuple[float, float, float] = (0.0, 0.0, 0.0)
    problem: str = ""


def decode_to_png(name: str, stream: bytes, folder: Path) -> Done:
    """Decode one stream and write NAME.png."""
    times = [time.perf_counter()]
    temporary = folder / f".{os.getpid()}.part"  # with the image's name it could be longer than names may be
    try:
        model, parsed, latent = decode_latent(stream, MODELS)
        times.append(time.perf_counter())
        pixels = model.reconstruct(latent, parsed.header)
        times.append(time.perf_counter())
        Image.fromarray(pixels).save(temporary, "PNG", compress_level=1)
        temporary.replace(folder / f"{name}.png")
        times.append(time.perf_counter())
    except (BitstreamError, MemoryError, OSError, RuntimeError) as error:  # torch's lack of memory is the last
        temporary.unlink(missing_ok=True)
        return Done(problem=f"{name}: {str(error) or type(error).__name__}")
    return Done((times[1] - times[0], times[2] - times[1], times[3] - times[2]))


def main() -> int:
    """Decode the data file of the current folder. Exit status: 0, 1 where an image failed, 2 where none could be."""
    began = time.monotonic()
    profile = json.loads((Path(__file__).parent / "profile.json").read_text())
    try:
        streams = unpack(read_payload(Path(), profile["data_file"], profile["payload"]))
    except (BitstreamError, zipfile.BadZipFile) as error:
        print(f"decode: {error}", file=sys.stderr)
        return 2
    folder = Path("images")
    folder.mkdir(exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(cores, len(streams)))
    largest_first = sorted(streams, key=lambda name: -len(streams[name]))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start_worker) as pool:
        jobs = [pool.submit(decode_to_png, name, streams[name], folder) for name in largest_first]
        results = [job.result() for job in jobs]
    problems = [done.problem for done in results if done.problem]
    for problem in problems:
        print(f"decode: {problem}", file=sys.stderr)
    entropy, synthesis, png = (sum(done.seconds[part] for done in results) for part in range(3))
    print(
        f"{len(results) - len(problems)} of {len(results)} images in {time.monotonic() - began:.1f} s by {workers} "
        f"processes: {entropy:.1f} s of entropy decoding, {synthesis:.1f} s of synthesis, {png:.1f} s of PNG"
    )
    return 1 if problems else 0
