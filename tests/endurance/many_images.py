"""Memory and open files of one `clic submit` over many images: a CSV by the second, and what grew.

    PYTHONPATH=tests python tests/endurance/many_images.py ../shared/data/kodak --codec toy_codec:ToyCodec --rate 3

Crops of the photographs below the folder are coded, selected, packed, decoded in the sandbox, scored and reported in
one run. Growth is the median of the last quarter of the sweep against that of its second quarter, of the process that a
person starts.
"""

import argparse
import csv
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ENDINGS = {".png", ".jpg", ".jpeg", ".webp"}


def write_crops(source: Path, folder: Path, count: int, side: int) -> None:
    """So many different crops of the photographs below `source`, of `side` pixels squared."""
    generator = random.Random(20)
    paths = sorted(path for path in source.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise SystemExit(f"{source}: no photographs")
    for first, path in enumerate(paths):
        with Image.open(path) as image:
            whole = image.convert("RGB")
        for number in range(first, count, len(paths)):
            left, top = (generator.randint(0, max(0, length - side)) for length in whole.size)
            whole.crop((left, top, left + side, top + side)).save(folder / f"{number:05}.png")


def sizes(pid: int) -> tuple[int, int, int]:
    """Resident bytes and open files of a process, and the resident bytes of all that it started."""
    own = below = 0
    children: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            resident[int(entry.name)] = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
            children.setdefault(int(fields[1]), []).append(int(entry.name))
        except OSError:
            continue
    own, waiting = resident.get(pid, 0), list(children.get(pid, []))
    while waiting:
        child = waiting.pop()
        below += resident.get(child, 0)
        waiting += children.get(child, [])
    try:
        files = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        files = 0
    return own, files, below


def growth(values: list[int]) -> float:
    """The last quarter's median as a ratio of the second quarter's."""
    quarter = max(1, len(values) // 4)
    return statistics.median(values[-quarter:]) / max(1, statistics.median(values[quarter : 2 * quarter]))


def main() -> int:
    """The exit status of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument(
        "--side", type=int, default=64, help="pixels of a crop's side; default: 64, so that it is soon done"
    )
    parser.add_argument("--codec", default="webp")
    parser.add_argument("--rate", default="0.5")
    parser.add_argument("--csv", type=Path, default=Path("endurance.csv"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        crops, out = Path(name) / "crops", Path(name) / "out"
        crops.mkdir()
        write_crops(options.photographs, crops, options.images, options.side)
        words = [sys.executable, "-m", "harness", "submit", str(crops), "--out", str(out), "--codec", options.codec]
        with (Path(name) / "said.txt").open("w+") as said, options.csv.open("w", newline="") as table:
            writer = csv.writer(table)
            writer.writerow(["seconds", "own_bytes", "own_files", "below_bytes", "step"])
            process = subprocess.Popen([*words, "--rates", options.rate], stdout=subprocess.DEVNULL, stderr=said)
            begin, rows = time.monotonic(), []
            while process.poll() is None:
                lines = (Path(name) / "said.txt").read_text().splitlines()
                swept = any("candidates of" in line for line in lines)
                rows.append((round(time.monotonic() - begin, 1), *sizes(process.pid), "after" if swept else "sweep"))
                writer.writerow(rows[-1])
                table.flush()
                time.sleep(1)
            said.seek(0)
            print(said.read().strip().splitlines()[-1])
        in_sweep = [row for row in rows if row[4] == "sweep"]
        print(f"{options.images} images in {rows[-1][0]:.0f} s, exit status {process.returncode}")
        memory, files = ([row[column] for row in in_sweep] for column in (1, 2))
        print(f"own memory: at most {max(row[1] for row in rows) / 1e6:.0f} MB, x {growth(memory):.3f} in the sweep")
        print(f"open files: at most {max(row[2] for row in rows)}, x {growth(files):.3f} in the sweep")
        print(f"below it: at most {max(row[3] for row in rows) / 1e6:.0f} MB")
    return process.returncode


if __name__ == "__main__":
    raise SystemExit(main())
