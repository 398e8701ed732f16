"""The speed of the selection, from a few images to a million, with the gap that is left to the bound."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.bench.alone import alone
from harness.memory import peak_bytes
from harness.selection.exact import select

SIZES = (41, 2_000, 20_000, 1_000_000)
POINTS = 32
RATE = 0.15


@dataclass(frozen=True)
class SelectSpeed:
    """One selection of a synthetic set: the processor's seconds on one thread, from arrays to the choice.

    `gap` is what the bound lies above the score: 0 where the choice is proven the best. `peak_memory_bytes` is the
    whole process's, candidates included.
    """

    images: int
    points: int
    seconds: float
    score: float
    gap: float
    unused_bytes: int
    peak_memory_bytes: int


def synthetic(images: int, points: int = POINTS, seed: int = 0) -> tuple[dict[str, np.ndarray], int]:
    """Noisy rate-distortion curves of images of unlike size and difficulty, as columns, and the pixels of the set."""
    random = np.random.default_rng(seed)
    rates = np.sort(random.uniform(0.02, 0.8, (images, points)), axis=1)
    width, height = random.integers(800, 2100, images), random.integers(600, 1500, images)
    falls = random.uniform(5, 9, (images, 1)) * np.sqrt(rates) + random.normal(1, 0.01, rates.shape)
    columns = {
        "image": np.repeat(np.arange(images, dtype=np.int32), points),
        "width": np.repeat(width.astype(np.int32), points),
        "height": np.repeat(height.astype(np.int32), points),
        "point": np.tile(np.arange(points, dtype=np.int16), images),
        "bytes": (rates * (width * height)[:, None] / 8).astype(np.int64).ravel() + 1,
        "msssim_competition": 1 - np.exp(-falls).ravel(),
    }
    return columns, int((width * height).sum())


def bench_select(sizes: Sequence[int] = SIZES, progress: Callable[[int, int], None] | None = None) -> list[SelectSpeed]:
    """Select from a synthetic set of each size, each in a process of its own with one thread."""
    results = []
    for size in sizes:
        results.append(alone(_measure, size))
        if progress:
            progress(sum(sizes[: len(results)]), sum(sizes))
    return results


def _measure(images: int) -> SelectSpeed:
    columns, pixels = synthetic(images)
    budget = round(pixels * RATE / 8)
    begin = time.process_time()
    result = select(columns, budget)
    seconds = time.process_time() - begin
    return SelectSpeed(
        images,
        POINTS,
        seconds,
        result.score,
        result.bound - result.score,
        budget - result.bytes,
        peak_bytes(),
    )
