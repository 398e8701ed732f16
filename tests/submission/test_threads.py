"""The packed decoder gives the same pixels whatever the environment says of threads, on any number of processors."""

import os
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from helpers import photograph
from PIL import Image

from decoder.container import pack
from decoder.model import shipped_models
from harness.challenge.archive import extract_zip, write_zip
from submission.codec import LearnedCodec

GOLDEN = Path(__file__).parents[1] / "golden/streams"
NAMES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def decoded(folder: Path, processors: set[int] | None = None, **environment: str) -> Mapping[str, str]:
    """Hashes of what `./decode` writes in a packed decoder's folder, on these processors."""
    start = "import os, runpy, sys\n"
    if processors:
        start += f"os.sched_setaffinity(0, {processors})\n"
    command = [sys.executable, "-c", start + "sys.path[0] = '.'; runpy.run_path('decode', run_name='__main__')"]
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True, stdout=subprocess.DEVNULL)
    pictures = {path.stem: np.asarray(Image.open(path)) for path in (folder / "images").iterdir()}
    for path in (folder / "images").iterdir():
        path.unlink()
    return {name: sha256(pixels.tobytes()).hexdigest() for name, pixels in pictures.items()}


def packed(folder: Path, streams: Mapping[str, bytes]) -> Path:
    """A folder with the unpacked decoder, which has all models that were ever shipped, and a data file."""
    weights = {f"decoder/weights/{path.name}": path.read_bytes() for path in shipped_models().values()}
    files = {**LearnedCodec().decoder_files("data", "data"), **weights}
    write_zip(folder / "decoder.zip", files, executable={"decode"})
    extract_zip(folder / "decoder.zip", folder / "work", 10**9)
    (folder / "work/data").write_bytes(pack(streams))
    return folder / "work"


def test_golden_streams_with_one_two_and_four_threads(tmp_path: Path) -> None:
    streams = {path.stem: path.read_bytes() for path in GOLDEN.glob("*.bin")}
    work = packed(tmp_path, streams)
    one, two, four = (decoded(work, **dict.fromkeys(NAMES, number)) for number in ("1", "2", "4"))
    assert one == two == four and set(one) == set(streams) and len(one) > 9
    assert decoded(work, OPENBLAS_CORETYPE="Haswell") == one  # other kernels of numpy's library


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processors can be chosen on Linux alone")
def test_one_image_on_one_processor_and_on_all(tmp_path: Path) -> None:
    codec = LearnedCodec(effort="0")
    encoding = codec.encode(codec.prepare(np.asarray(photograph(5, 1000, 700))), "60")
    assert encoding.pixels is not None
    work = packed(tmp_path, {"photograph": encoding.stream})
    for processors in ({min(os.sched_getaffinity(0))}, os.sched_getaffinity(0)):
        assert decoded(work, processors) == {"photograph": sha256(encoding.pixels.tobytes()).hexdigest()}
