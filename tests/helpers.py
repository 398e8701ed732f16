"""What tests of all rooms share: photographs that need no download, and how to wait for processes."""

import os
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from harness.codecs.protocol import Submittable
from harness.codecs.registry import open_codec
from harness.images import list_images
from harness.store import DATABASE, open_store
from harness.sweep.local import LocalProcesses
from harness.sweep.originals import record_originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep

TESTS = Path(__file__).parent
TOY = "toy_codec:ToyCodec"
SIZES = {"alps": (208, 176), "beach": (176, 192), "city 7": (240, 170), "007": (97, 64)}


def photograph(seed: int, width: int, height: int) -> Image.Image:
    """Clouds of several scales with some grain: as hard to code as a soft photograph."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for cells, strength in ((3, 80), (8, 40), (24, 20)):
        noise = random.uniform(-1, 1, (cells, cells, 3))
        for channel in range(3):
            plane = Image.fromarray(noise[:, :, channel].astype(np.float32))
            total[:, :, channel] += strength * np.asarray(plane.resize((width, height)))
    total += random.normal(0, 3, total.shape)
    return Image.fromarray((128 + total).clip(0, 255).astype(np.uint8))


def marked(color: tuple[int, int, int], width: int = 180, height: int = 170) -> Image.Image:
    """A photograph whose first pixel tells the toy codec to misbehave."""
    image = photograph(99, width, height)
    image.putpixel((0, 0), color)
    return image


def swept(folder: Path, codec: str, out: Path, **options: Any) -> pd.DataFrame:
    """The candidates of a folder of photographs by a codec, from the store in `out` after a sweep."""
    workers, progress = options.pop("workers", None), options.pop("progress", None)
    with open_store(out) as store:
        originals = record_originals(list_images(folder), store, **options)
        plan = Plan(originals, describe(open_codec(codec), codec))
        return sweep(plan, store, LocalProcesses(workers), options.get("rehash", False), progress)


def unpacked(folder: Path, codec: Submittable, data_file: str, payload: str) -> None:
    """Write what decoder.zip would hold of a codec's decoder."""
    for name, content in codec.decoder_files(data_file, payload).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    """Return once the condition holds; fails the test if it does not within the time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def group_is_gone(process: subprocess.Popen[str]) -> bool:
    """Whether nothing that a started `clic` has started is alive."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def without_time(path: Path) -> pd.DataFrame:
    """A table of candidates as text, but for what differs from run to run."""
    return pd.read_csv(path, dtype=str, keep_default_na=False).drop(columns="encode_seconds")


def count(out: Path, table: str = "candidate") -> int:
    """How many rows are committed."""
    if not (out / DATABASE).exists():
        return 0
    database = sqlite3.connect(out / DATABASE)
    try:
        return int(database.execute(f"SELECT count(*) FROM {table}").fetchone()[0])
    except sqlite3.OperationalError:  # it is being made
        return 0
    finally:
        database.close()


def left_over(out: Path) -> list[Path]:
    """What a run leaves beside the database, its tables and the streams of its rows."""
    known = {DATABASE, "candidates.csv"}
    if (out / "candidates.csv").exists():
        known |= {f"{digest}.bin" for digest in pd.read_csv(out / "candidates.csv")["stream_sha256"]}
    return [path for path in out.rglob("*") if path.is_file() and path.name not in known]
