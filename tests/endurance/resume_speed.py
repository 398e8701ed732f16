"""How long a run of many images takes, when it is resumed, until its first new task: prints the parts, asserts nothing.

    python tests/endurance/resume_speed.py [IMAGES]        default: 2000

A folder gets so many tiny photographs, and a store candidates of all but one of them at all points of a codec with 19
points; the streams are empty files, and the rows are written without waiting for the disk. The process that wrote it
counts as killed. Then, in a new process each, as resumed runs do: list, look up hashes, plan, claim; and a whole run.
"""

import os
import random
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Picture

from harness.codecs.protocol import Codec, Encoding

POINTS = [str(number) for number in range(19)]
CODEC = f"{Path(__file__).stem}:Instant"


class Instant(Codec):
    """Codes nothing, at once."""

    name = "instant"

    def config(self) -> Mapping[str, Any]:
        return {"codec": CODEC}

    def points(self) -> Sequence[str]:
        return POINTS

    def encode(self, prepared: Any, point: str) -> Encoding:
        return Encoding(b"", prepared)

    def decode(self, stream: bytes) -> np.ndarray:
        raise NotImplementedError


def photographs(folder: Path, count: int) -> None:
    """Tiny photographs, no two the same, of a time long ago."""
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:06d}.png"
        Picture.new("RGB", (1, 1), (number & 255, number >> 8 & 255, number >> 16)).save(path)
        os.utime(path, (1e9, 1e9))


def fill(folder: Path, out: Path) -> None:
    """The store of a run that lacks the first photograph, and was killed."""
    from harness.codecs.registry import open_codec
    from harness.images import list_images
    from harness.store import DATABASE, open_store
    from harness.sweep.originals import record_originals
    from harness.sweep.plan import Plan, describe

    with open_store(out) as store:
        plan = Plan(record_originals(list_images(folder), store), describe(open_codec(CODEC), CODEC))
        store.put(plan.codec)
    chance = random.Random(0)
    for number in range(256):
        (out / f"streams/{number:02x}").mkdir(exist_ok=True)
    database = sqlite3.connect(out / DATABASE)
    database.execute("PRAGMA synchronous = OFF")
    for image in plan.images[1:]:
        rows = []
        for point in POINTS:
            digest = f"{chance.getrandbits(256):064x}"
            (out / f"streams/{digest[:2]}/{digest}.bin").touch()
            rows.append((image, plan.codec.sha256, point, 0, digest, digest, 0.9, 0.9, 3.0, 0.1, 0.1, "here"))
        database.executemany(f"INSERT INTO candidate VALUES ({', '.join('?' * 12)})", rows)
    database.commit()
    database.close()
    (out / f"streams/{os.getpid()}-killed.lock").touch()


def resume(folder: Path, out: Path, whole: bool) -> None:
    """Come to the first new task, or through all of the run, and print what took how long.

    Seconds are the processor's, so that others may work meanwhile.
    """
    times = [time.process_time()]
    from harness.codecs.registry import open_codec
    from harness.store import open_store
    from harness.sweep.local import LocalProcesses
    from harness.sweep.originals import list_originals, record_originals
    from harness.sweep.plan import Plan, describe
    from harness.sweep.run import sweep

    times.append(time.process_time())
    images = list_originals(folder, out)
    codec = describe(open_codec(CODEC), CODEC)
    times.append(time.process_time())
    with open_store(out) as store:
        times.append(time.process_time())
        plan = Plan(record_originals(images, store), codec)
        times.append(time.process_time())
        [task] = plan.tasks(store)
        assert store.claim(task.keys) == task.keys
        times.append(time.process_time())
        parts = ["import", "list", "open the store of a killed run", "hashes", "plan and claim"]
        print(f"{len(images)} images x {len(plan.points)} points, first task after {times[-1] - times[0]:.2f} s:")
        if whole:
            store.release(task.keys)
            sweep(plan, store, LocalProcesses(1))
            times.append(time.process_time())
            parts.append("all of a sweep, table included")
    for part, before, after in zip(parts, times, times[1:], strict=False):
        print(f"  {part}: {after - before:.2f} s")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB", flush=True)


def main(arguments: Sequence[str]) -> None:
    """Make the store, and resume it."""
    if arguments[:1] == ["resume"]:
        resume(Path(arguments[1]), Path(arguments[2]), bool(arguments[3:]))
        return
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "photographs", Path(name) / "out"
        os.environ["PYTHONPATH"] = str(Path(__file__).parent)  # where the codec is
        photographs(folder, int(arguments[0]) if arguments else 2000)
        fill(folder, out)
        for more in ([], ["whole"]):
            subprocess.run([sys.executable, __file__, "resume", str(folder), str(out), *more], check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
