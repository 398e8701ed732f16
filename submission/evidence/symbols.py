"""The same symbols under every setting: streams decoded with other threads, layouts, libraries, orders and bands.

    python -m submission.evidence.symbols FILE... [--python INTERPRETER]

decodes every stream of the data files (`images.zip` of `clic submit`, any number) once per setting in a process of its
own, and compares the symbols of each with the encoder's checksum and with the first setting's. Interpreters of other
environments (with torch, numpy and pillow) can be added. Then the networks are evaluated anew in int64 numpy. A control
runs them in float32 under two settings each and counts the elements whose coded distribution would differ.
"""

import argparse
import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from decoder import fixed
from decoder.bitstream import checksum
from decoder.model import shipped_models, synthesis_device
from submission.evidence.parameters import parameters_float32, parameters_int64
from submission.evidence.recorded import Recorded, all_streams, record
from submission.weights import DecoderModels

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Setting:
    """How a process decodes. `run` is of `decoder.fixed`; 0 stands for what it is there. `channels_last` is torch's
    layout for the floats, and for the decoder, whose layout that is, the opposite one."""

    name: str
    threads: int = 1
    reverse: bool = False
    mkldnn: bool = True
    channels_last: bool = False
    run: int = 0
    int64: bool = False
    floats: bool = False
    python: str = sys.executable


SETTINGS = (
    Setting("one thread"),
    Setting("two threads", threads=2),
    Setting("four threads", threads=4),
    Setting("images in reverse order", reverse=True),
    Setting("mkldnn off", mkldnn=False),
    Setting("other memory layout", channels_last=True),
    Setting("runs of 7 positions", run=7),
    Setting("no runs", run=1 << 20),
    Setting("int64 numpy", int64=True),
)
CONTROLS = (
    Setting("float32", floats=True),
    Setting("two threads", floats=True, threads=2),
    Setting("mkldnn off", floats=True, mkldnn=False),
    Setting("channels last", floats=True, channels_last=True),
)


def apply(setting: Setting) -> None:
    """Settle this process. Thread numbers of the BLAS library are the environment's business."""
    torch.set_num_threads(setting.threads)
    torch.backends.mkldnn.set_flags(_enabled=setting.mkldnn)
    if setting.run:
        fixed.RUN = setting.run
    if setting.channels_last:
        plain = fixed.Layer.__call__

        def other_layout(layer: fixed.Layer, x: np.ndarray) -> np.ndarray:
            return plain(layer, np.asfortranarray(x))

        fixed.Layer.__call__ = other_layout  # type: ignore[method-assign, assignment]


def crc(*arrays: np.ndarray) -> int:
    """Of arrays of integers."""
    value = 0
    for array in arrays:
        value = zlib.crc32(array.astype("<i8").tobytes(), value)
    return value


@cache
def weights(number: int) -> dict[str, np.ndarray]:
    """The arrays of a shipped model's entropy networks."""
    with np.load(shipped_models()[number], allow_pickle=False) as file:
        return {name: file[name] for name in file.files if name.startswith(("hyper.", "context."))}


def examine(data: bytes, recorded: Recorded, setting: Setting) -> dict[str, Any]:
    """What one setting makes of one stream: checksums of symbols and parameters, and how many were compared."""
    architecture = recorded.model.architecture
    mean, scale = recorded.mean, recorded.scale
    if setting.int64 or setting.floats:
        known = (
            weights(recorded.header.model),
            architecture.groups,
            architecture.context,
            recorded.hyper,
            recorded.latent,
        )
        layout = torch.channels_last if setting.channels_last else torch.contiguous_format
        mean, scale = parameters_float32(*known, layout) if setting.floats else parameters_int64(*known)
    row: dict[str, Any] = {
        "symbols": recorded.hyper.size + recorded.symbols.size,
        "elements": recorded.symbols.size,
        "coded": recorded.hyper.size + int((recorded.scale > 0).sum()),
        "crc": checksum(recorded.header, [recorded.hyper, recorded.symbols]),
        "encoder": recorded.crc,
        "parameters": crc(mean, scale),
    }
    if setting.floats:  # each element's distribution, for a count of those that differ
        row["path"] = str(Path(os.environ["EVIDENCE_FOLDER"]) / f"{zlib.crc32(data):08x}-{setting.name}.npy")
        np.save(row["path"], np.stack([mean, scale]).astype(np.int32))
    return row


def work(paths: list[Path], setting: Setting) -> Iterator[dict[str, Any]]:
    """Every stream of the data files under one setting."""
    models = DecoderModels()
    streams = list(all_streams(paths).items())
    apply(replace(setting, channels_last=setting.channels_last and not setting.floats))
    with torch.inference_mode():
        for name, data in reversed(streams) if setting.reverse else streams:
            yield {"name": name} | examine(data, record(data, models), setting)


def run(path: Path, setting: Setting) -> dict[str, dict[str, Any]]:
    """`work` in a process of its own; rows by name. Raises RuntimeError where it fails."""
    environment = os.environ | {f"{name}_NUM_THREADS": str(setting.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    command = [setting.python, "-m", "submission.evidence.symbols", "--work", json.dumps(asdict(setting)), str(path)]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{setting.name}: {path}: {done.stderr.strip().splitlines()[-1]}")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return {row["name"]: row for row in rows}


def differing(first: dict[str, Any], other: dict[str, Any]) -> int:
    """Elements whose distribution differs between two settings of the control."""
    a, b = np.load(first["path"]), np.load(other["path"])
    return int((a != b).any(axis=0).sum())


def main() -> int:
    """Compare, print, and return 1 where a symbol differs."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.symbols", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="data files of this codec")
    parser.add_argument("--python", nargs="*", default=[], help="interpreters of other environments")
    parser.add_argument("--controls", type=int, default=2, help="data files for the float32 control, default: 2")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        for row in work(options.files, Setting(**json.loads(options.work))):
            print(json.dumps(row), flush=True)
        return 0
    return compare(options)


def compare(options: argparse.Namespace) -> int:
    """All settings on all files, each in its process, and the tables."""
    from rich.console import Console  # which other environments need not have
    from rich.progress import Progress

    from submission.evidence.printed import figures, wide_console

    files = [path.resolve() for path in options.files]
    others = [Setting(f"torch {version(python)}", python=python) for python in options.python]
    jobs = [(setting, path) for setting in (*SETTINGS, *others) for path in files]
    jobs += [(setting, path) for setting in CONTROLS for path in files[: options.controls]]
    results: dict[Setting, dict[str, dict[str, Any]]] = {}
    console, began = wide_console(), time.monotonic()
    with TemporaryDirectory() as folder, ThreadPoolExecutor(options.processes) as pool:
        os.environ["EVIDENCE_FOLDER"] = folder
        running = {pool.submit(run, path, setting): setting for setting, path in jobs}
        with Progress(console=Console(stderr=True), disable=not console.is_terminal) as progress:
            task = progress.add_task("decoding", total=len(jobs))
            for done in as_completed(running):
                results.setdefault(running[done], {}).update(done.result())
                progress.advance(task)
        first = results[SETTINGS[0]]
        table = figures("setting", "images", "symbols", "coded", "other symbols,\nimages", "other parameters,\nimages")
        failed = 0
        for setting in (*SETTINGS, *others):
            rows = results[setting]
            symbols = sum(not row["crc"] == row["encoder"] == first[name]["crc"] for name, row in rows.items())
            parameters = sum(row["parameters"] != first[name]["parameters"] for name, row in rows.items())
            failed += symbols + parameters + (rows.keys() != first.keys())
            counts = (len(rows), sum(r["symbols"] for r in rows.values()), sum(r["coded"] for r in rows.values()))
            table.add_row(setting.name, *(f"{count:,}" for count in counts), f"{symbols}", f"{parameters}")
        console.print(table)
        control = figures("control, beside\nfloat32", "images", "elements", "other\ndistributions", "images\nwith any")
        base, floats = results[CONTROLS[0]], 0
        for setting in CONTROLS[1:]:
            others_differ = [differing(base[name], row) for name, row in results[setting].items()]
            elements = sum(row["elements"] for row in results[setting].values())
            floats += sum(others_differ)
            control.add_row(
                setting.name,
                f"{len(others_differ)}",
                f"{elements:,}",
                f"{sum(others_differ):,}",
                f"{sum(count > 0 for count in others_differ)}",
            )
        console.print(control)
    total = sum(row["symbols"] for rows in results.values() for row in rows.values() if "path" not in row)
    console.print(
        f"{total:,} symbols compared in {time.monotonic() - began:.0f} s; torch {torch.__version__}, "
        f"synthesis on {synthesis_device()}; {'none differs' if not failed else f'{failed} differences'}"
    )
    if not floats:
        console.print("the control found no difference either: this machine does not show what the comparison is for")
    return 1 if failed or not floats else 0


def version(python: str) -> str:
    """Of an environment's torch."""
    code = "import torch; print(torch.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    raise SystemExit(main())
