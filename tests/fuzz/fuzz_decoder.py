"""Damaged streams against the shipped decoder: each must end in a clear error, within 2 s and 2 GB.

    python tests/fuzz/fuzz_decoder.py --streams 10000
    python tests/fuzz/fuzz_decoder.py --minutes 10 --seed 3

A stream that does not end as it must is kept as hexadecimal digits in runs/fuzz. After the streams, whole data files
go through `./decode` as it is packed.
"""

import argparse
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from damage import (
    DATA_FILES,
    KINDS,
    Corpus,
    case,
    corpus_of,
    data_file,
    meaning,
    photographs,
    shipped_codecs,
    with_escapes,
)
from rich.console import Console
from rich.table import Column, Table

from decoder.bitstream import read_header
from decoder.container import unpack
from decoder.errors import BitstreamError
from decoder.model import Model
from harness.challenge.archive import extract_zip, zip_bytes
from harness.images import load_rgb
from harness.progress import bar
from submission.codec import LearnedCodec
from submission.weights import DecoderModels

MAX_SECONDS = 2.0  # of processor time: other work on the machine stretches the clock's
MAX_MEMORY = 2 << 30
WORKERS = 2
BATCH = 200
FILES, DAMAGED_IN_A_FILE = 4, 150
KEPT = Path(__file__).parents[2] / "runs" / "fuzz"
STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Outcome:
    """How one case ended. `message` is the decoder's, empty where the damage did not matter; `problem` is ours."""

    kind: str
    message: str
    problem: str
    cpu: float
    wall: float
    memory: int


def judge_stream(data: bytes, corpus: Corpus, models: Mapping[int, Model]) -> str:
    """The decoder's message, empty where the stream still means what a good one does. AssertionError on anything
    else."""
    try:
        found = meaning(data, models)
    except BitstreamError as error:
        message = str(error)
        assert message.strip() and message.isprintable(), f"the message is {message!r}"
        return message
    assert found in corpus.meanings, "it decodes to an image that nobody encoded"
    return ""


def judge_file(data: bytes, corpus: Corpus, models: Mapping[int, Model]) -> str:
    """As `judge_stream`, for a data file and all that changed in it."""
    original = unpack(data_file(corpus))
    try:
        streams = unpack(data)
    except BitstreamError as error:
        return str(error)
    assert streams.keys() == original.keys(), "it holds other names"
    messages = [judge_stream(stream, corpus, models) for name, stream in streams.items() if stream != original[name]]
    return next(filter(None, messages), "")


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """TimeoutError after so much processor time."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"no end after {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def forget_peak_memory() -> None:
    """From now on the peak is that of what follows, where the system can do that."""
    if STATUS.exists():
        STATUS.with_name("clear_refs").write_text("5")


def peak_memory() -> int:
    """Bytes that this process has held at once."""
    if STATUS.exists():  # getrusage would tell the parent's peak too
        return int(STATUS.read_text().partition("VmHWM:")[2].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def attempt(kind: str, data: bytes, corpus: Corpus, models: Mapping[int, Model]) -> Outcome:
    """Let the decoder try one case."""
    forget_peak_memory()
    judge = judge_file if kind == DATA_FILES else judge_stream
    message = problem = ""
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        with cpu_limit(5 * MAX_SECONDS):
            message = judge(data, corpus, models)
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    memory = peak_memory()
    if not problem and cpu > MAX_SECONDS:
        problem = f"it took {cpu:.1f} s until: {message}"
    if not problem and memory > MAX_MEMORY:
        problem = f"it took {memory >> 20} MB until: {message}"
    return Outcome(kind, message, problem, cpu, wall, memory)


MODELS: dict[int, Model] = {}  # of a worker process


def start_worker() -> None:
    """All shipped models under a limit of memory, one thread."""
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    torch.set_num_threads(1)
    MODELS.update(DecoderModels())


def run_case(corpus: Corpus, seed: int, number: int) -> Outcome:
    """One case in a worker; its bytes are kept where it went wrong."""
    kind, data = case(seed, number, corpus)
    outcome = attempt(kind, data, corpus, MODELS)
    if outcome.problem:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / f"seed-{seed}-case-{number}.hex").write_text(data.hex())
        return replace(outcome, problem=f"case {number} ({kind}): {outcome.problem}")
    return outcome


def fuzz(corpus: Corpus, seed: int, streams: int, minutes: float = float("inf")) -> list[Outcome]:
    """Cases 0, 1, 2 ... in processes of their own, until there are enough or the time is over."""
    os.environ["OMP_NUM_THREADS"] = "1"  # for the processes to come
    outcomes: list[Outcome] = []
    began = time.monotonic()
    with (
        bar("Damaged streams") as progress,
        ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn"), initializer=start_worker) as pool,
    ):
        while len(outcomes) < streams and (passed := time.monotonic() - began) < 60 * minutes:
            batch = range(len(outcomes), min(len(outcomes) + BATCH, streams))
            progress(round(1000 * max(len(outcomes) / streams, passed / 60 / minutes)), 1000)
            try:
                outcomes += pool.map(partial(run_case, corpus, seed), batch, chunksize=5)
            except BrokenProcessPool:
                outcomes.append(Outcome("", "", f"a process died in one of the cases {batch}", 0.0, 0.0, 0))
                break
    return outcomes


def damaged_streams(corpus: Corpus, models: Mapping[int, Model], seed: int, size: int) -> dict[str, bytes]:
    """About `size` streams of all kinds that a decoder must refuse, by names for their images."""
    rng = np.random.default_rng(seed)
    named = {}
    for kind, (share, damage) in KINDS.items():
        if kind == DATA_FILES:
            continue
        wanted = len(named) + max(1, round(share * size))
        while len(named) < wanted:
            data = damage(rng, corpus)
            if data not in corpus.good and judge_stream(data, corpus, models):
                named[f"{kind} {len(named)}"] = data
    return named


def packed_problems(
    folder: Path, codec: LearnedCodec, good: Mapping[str, bytes], damaged: Mapping[str, bytes]
) -> list[str]:
    """What is wrong when the packed decoder, in a new folder, meets a data file of good and damaged streams."""
    archive = folder.with_suffix(".zip")
    archive.write_bytes(zip_bytes(codec.decoder_files("data.clic", "data.clic")))
    extract_zip(archive, folder, 100_000_000)
    (folder / "data.clic").write_bytes(codec.pack({**good, **damaged}))
    done = subprocess.run([sys.executable, "decode"], cwd=folder, capture_output=True, text=True, timeout=900)
    problems = []
    if done.returncode != bool(damaged):
        problems.append(f"exit status {done.returncode} with {len(damaged)} damaged images")
    lines = done.stderr.splitlines()
    for name in damaged:
        told = [line for line in lines if line.startswith(f"decode: {name}: ")]
        if len(told) != 1 or told[0].endswith(": "):
            problems.append(f"{name}: {len(told)} errors name it")
    if len(lines) != len(damaged):
        problems.append(f"{len(lines)} lines of errors for {len(damaged)} damaged images: {lines[-1:]}")
    images = {path.name: path for path in (folder / "images").glob("*")}
    if images.keys() != {f"{name}.png" for name in good}:
        problems.append(f"in the folder of images: {sorted(images)}")
    for name, stream in good.items():
        path = images.get(f"{name}.png")
        if path and not np.array_equal(load_rgb(path), codec.decode(stream)):
            problems.append(f"{name}: other pixels")
    return problems


def data_files(codecs: Sequence[LearnedCodec], corpus: Corpus, seed: int) -> Iterator[tuple[int, int, list[str]]]:
    """Good images, damaged images and problems of each of some data files; in the first one image is damaged."""
    for number in range(FILES):
        codec = codecs[number % len(codecs)]
        own = (data for data in corpus.good if read_header(data)[0].model == codec.number)
        good = {f"photograph {n}": data for n, data in enumerate(own)}
        damaged = damaged_streams(corpus, codec.models, seed + number, DAMAGED_IN_A_FILE if number else 0)
        if number == 0:
            damaged = dict(list(damaged.items())[:1])
        with tempfile.TemporaryDirectory() as folder:
            yield len(good), len(damaged), packed_problems(Path(folder) / "work", codec, good, damaged)


def summary(outcomes: Sequence[Outcome]) -> Table:
    """How the cases of each kind ended."""
    titles = ("cases", "refused", "same", "wrong", "CPU s", "wall s", "MB")
    shown = Table(Column("damage", no_wrap=True), *(Column(title, justify="right", no_wrap=True) for title in titles))
    by_kind = {kind: [o for o in outcomes if o.kind == kind] for kind in KINDS}
    for kind, rows in {**by_kind, "all": outcomes}.items():
        if kind == "all":
            shown.add_section()
        wrong, told = sum(bool(o.problem) for o in rows), sum(bool(o.message) and not o.problem for o in rows)
        slowest, longest = (max((getattr(o, name) for o in rows), default=0) for name in ("cpu", "wall"))
        most = max((o.memory for o in rows), default=0)
        shown.add_row(
            kind,
            str(len(rows)),
            str(told),
            str(len(rows) - told - wrong),
            str(wrong),
            f"{slowest:.2f}",
            f"{longest:.2f}",
            str(most >> 20),
        )
    return shown


def messages(outcomes: Sequence[Outcome]) -> Table:
    """The most frequent of the decoder's messages, whatever their numbers."""
    shown = Table(Column("cases", justify="right"), "message")
    found = Counter(re.sub(r"\d+", "N", o.message) for o in outcomes if o.message)
    for message, times in found.most_common(12):
        shown.add_row(str(times), message)
    return shown


def main() -> int:
    """Exit status: 1 where a case did not end as it must."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, help="as many streams (1000, or what the time allows)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no new streams after this time")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    streams = options.streams or (1000 if options.minutes == float("inf") else sys.maxsize)
    console = Console()
    codecs = shipped_codecs()
    models = {number: model for codec in codecs for number, model in codec.models.items()}
    corpus = corpus_of([data for codec in codecs for data in (*photographs(codec), with_escapes(codec))], models)
    outcomes = fuzz(corpus, options.seed, streams, options.minutes)
    console.print(summary(outcomes), messages(outcomes))
    problems = [outcome.problem for outcome in outcomes if outcome.problem]
    for good, damaged, found in data_files(codecs, corpus, options.seed):
        console.print(f"Data file of {good} good and {damaged} damaged images: {'; '.join(found) or 'as it must be'}")
        problems += found
    for problem in problems:
        console.print(problem, style="red", markup=False)
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
