"""What `./decode` runs: every image of the data file to images/NAME.png, a failing one named and passed over."""

import json
import os
import sys
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from decoder.container import unpack
from decoder.errors import BitstreamError
from decoder.precision import BF16, FLOAT32, has_bf16


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


def _start(precision: str) -> None:
    # Imported by the workers alone: torch takes seconds, which this process would spend before they begin.
    from decoder.worker import start

    start(precision)


def _decode(name: str, stream: bytes, folder: Path, threads: int) -> tuple[list[float], str]:
    from decoder.worker import decode_to_png

    return decode_to_png(name, stream, folder, threads)


def main() -> int:
    """Decode the data file of the current folder. Exit status: 0, 1 where an image failed, 2 where none could be."""
    began = time.monotonic()
    profile = json.loads((Path(__file__).parent / "profile.json").read_text())
    try:
        streams = unpack(read_payload(Path(), profile["data_file"], profile["payload"]))
    except (BitstreamError, zipfile.BadZipFile) as error:
        print(f"decode: {error}", file=sys.stderr)
        return 2
    precision = profile.get("precision", FLOAT32)
    if precision == BF16 and not has_bf16():
        print("decode: no bf16 in this processor: float32 instead, whose pixels differ by 1 or 2", file=sys.stderr)
    folder = Path("images")
    folder.mkdir(exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(cores, len(streams)))
    threads = max(1, cores // workers)  # more than one where there are fewer images than cores
    largest_first = sorted(streams, key=lambda name: -len(streams[name]))
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start, initargs=(precision,)
    ) as pool:
        jobs = [pool.submit(_decode, name, streams[name], folder, threads) for name in largest_first]
        results = [job.result() for job in jobs]
    problems = [problem for _, problem in results if problem]
    for problem in problems:
        print(f"decode: {problem}", file=sys.stderr)
    entropy, synthesis, png = (sum(seconds[part] for seconds, _ in results) for part in range(3))
    print(
        f"{len(results) - len(problems)} of {len(results)} images in {time.monotonic() - began:.1f} s by {workers} "
        f"processes: {entropy:.1f} s of entropy decoding, {synthesis:.1f} s of synthesis, {png:.1f} s of PNG"
    )
    return 1 if problems else 0
