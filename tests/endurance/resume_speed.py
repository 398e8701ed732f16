"""How long a resumed run takes until its first new task: prints the parts, asserts nothing.

    python tests/endurance/resume_speed.py PHOTOGRAPHS

A store in a temporary folder gets candidates of all photographs but one at all points of `clic`, with random bytes as
streams; then, in a new process, as a resumed run does: list, open the codec, look up hashes, plan, claim.
"""

import hashlib
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STREAM_BYTES = 60_000


def fill(photographs: Path, out: Path) -> None:
    """Make the store of a run that lacks one photograph."""
    from harness.codecs.registry import open_codec
    from harness.images import list_images
    from harness.records import Candidate
    from harness.store import open_store
    from harness.sweep.originals import record_originals
    from harness.sweep.plan import Plan, describe

    with open_store(out) as store:
        plan = Plan(record_originals(list_images(photographs), store), describe(open_codec("clic"), "clic"))
        store.put(plan.codec)
        for key in plan.keys[: -len(plan.points)]:
            stream = random.Random(str(key)).randbytes(STREAM_BYTES)
            digest = hashlib.sha256(stream).hexdigest()
            store.add(Candidate(*key, len(stream), digest, "", 0.9, 0.9, 3, 0.1, 0.1, "here"), stream)


def resume(photographs: Path, out: Path) -> None:
    """Come to the first new task, and print what took how long."""
    times = [time.perf_counter()]
    from harness.codecs.registry import open_codec
    from harness.images import list_images
    from harness.store import open_store
    from harness.sweep.originals import record_originals
    from harness.sweep.plan import Plan, describe

    images = list_images(photographs)
    times.append(time.perf_counter())
    codec = describe(open_codec("clic"), "clic")
    times.append(time.perf_counter())
    with open_store(out) as store:
        plan = Plan(record_originals(images, store), codec)
        times.append(time.perf_counter())
        store.forget_lost(codec.sha256, plan.images)
        [task] = plan.tasks(store)
        assert store.claim(task.keys) == task.keys
        times.append(time.perf_counter())
    parts = ("list", "open the codec, with torch", "open the store, hashes", "streams, plan and claim")
    for part, before, after in zip(parts, times, times[1:], strict=False):
        print(f"{part}: {after - before:.3f} s")
    print(f"{len(images)} images x {len(plan.points)} points, all: {times[-1] - times[0]:.2f} s")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        resume(Path(sys.argv[1]), Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as name:
            fill(Path(sys.argv[1]), Path(name))
            for _ in range(3):
                subprocess.run([sys.executable, __file__, sys.argv[1], name], check=True)
