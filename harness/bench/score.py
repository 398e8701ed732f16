"""The speed of scoring, side by side in one run: ours, the competition's server and pytorch-msssim, one thread each."""

import io
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from harness.bench.alone import alone
from harness.errors import ClicError
from harness.images import SourceImage
from harness.progress import counted, log
from harness.scores.msssim import C1, C2, PAPER_MIN_SIDE, TAPS, WEIGHTS, Reference

QUALITY = 30
ROUNDS = 3
SERVER = "the server's way"


@dataclass(frozen=True)
class ScoreSpeed:
    """One way to score the pairs: the processor's seconds, and the score with what it differs by from the server's.

    `times_ours` says how many times as long it takes as our competition score of a whole pair, and as ours where the
    original's share is done before. `definition` is the one of the score: the competition's, the papers' or both.
    """

    method: str
    definition: str
    megapixels: float
    seconds: float
    times_ours: float
    times_ours_given_reference: float
    score: float
    difference_to_server: float | None


def scored_by_all(images: Sequence[SourceImage]) -> list[SourceImage]:
    """The images that every way can score, as the papers' definition needs both sides over 160; tells of the others.

    Raises ClicError where none is left.
    """
    fitting = [source for source in images if min(source.width, source.height) >= PAPER_MIN_SIDE]
    small = [source for source in images if source not in fitting]
    if small:
        first = small[0]
        what = f"{counted(len(small), 'image')} too small for the papers' MS-SSIM, which needs both sides over "
        what += f"{PAPER_MIN_SIDE - 1} (the first is {first.path.name}, {first.width} x {first.height})"
        if not fitting:
            raise ClicError(f"{first.path.parent}: {what}, and no other; give larger images")
        log(f"left out: {what}")
    return fitting


def bench_score(originals: Iterable[np.ndarray]) -> list[ScoreSpeed]:
    """Score each original, uint8 (H, W, 3), against its JPEG of quality 30 in every way, and add the seconds up.

    Both sides of each are over 160, see scored_by_all. The best of three rounds counts; the ways take turns in each.
    The scores are means over the images.
    """
    pairs = [(original, _jpeg(original)) for original in originals]
    return alone(_measure, pairs)


def server_msssim(original: np.ndarray, decoded: np.ndarray) -> float:
    """Competition MS-SSIM of uint8 (H, W, 3) pictures by the server's way of computing.

    Five maps of a whole scale in float64, each by a two-dimensional window through the FFT, then a box filter at every
    sample of which a quarter is kept (tallamjr/clic, metrics/msssim.py).
    """
    from scipy.ndimage import convolve
    from scipy.signal import fftconvolve

    x, y, product = original.astype(np.float64), decoded.astype(np.float64), 1.0
    for scale, weight in enumerate(WEIGHTS):
        size = min(TAPS, *x.shape[:2])
        squares = (np.arange(size) - (size - 1) / 2) ** 2
        window = np.exp(-np.add.outer(squares, squares) / (2 * (1.5 * size / TAPS) ** 2))
        window = (window / window.sum())[:, :, None]
        mean_x, mean_y, xx, yy, xy = (
            fftconvolve(samples, window, "valid", axes=(0, 1)) for samples in (x, y, x * x, y * y, x * y)
        )
        similarity = (2 * (xy - mean_x * mean_y) + C2) / (xx - mean_x * mean_x + yy - mean_y * mean_y + C2)
        if scale == len(WEIGHTS) - 1:
            similarity = similarity * (2 * mean_x * mean_y + C1) / (mean_x * mean_x + mean_y * mean_y + C1)
        mean = float(similarity.mean())
        product *= mean**weight if mean >= 0 else math.nan
        x, y = (convolve(samples, np.full((2, 2, 1), 0.25), mode="reflect") for samples in (x, y))
        x, y = x[::2, ::2], y[::2, ::2]
    return product


def _jpeg(original: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(original).save(buffer, "JPEG", quality=QUALITY)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def _measure(pairs: list[tuple[np.ndarray, np.ndarray]]) -> list[ScoreSpeed]:
    import torch
    from pytorch_msssim import ms_ssim

    torch.set_num_threads(1)
    references = [Reference(original, paper=False) for original, _ in pairs]

    def by_torch(kind: torch.dtype) -> float:
        tensors = ([torch.from_numpy(image).permute(2, 0, 1)[None].to(kind) for image in pair] for pair in pairs)
        return _mean(float(ms_ssim(x, y, data_range=255)) for x, y in tensors)

    ways: list[tuple[str, str, Callable[[], float]]] = [
        ("clic", "competition", lambda: _mean(Reference(x, False).score(y).msssim_competition for x, y in pairs)),
        (
            "clic, original given",
            "competition",
            lambda: _mean(
                reference.score(y).msssim_competition for reference, (_, y) in zip(references, pairs, strict=True)
            ),
        ),
        ("clic, with the papers'", "both", lambda: _mean(Reference(x).score(y).msssim_competition for x, y in pairs)),
        (SERVER, "competition", lambda: _mean(server_msssim(x, y) for x, y in pairs)),
        ("pytorch-msssim, float64", "paper", lambda: by_torch(torch.float64)),
        ("pytorch-msssim, float32", "paper", lambda: by_torch(torch.float32)),
    ]
    seconds, scores = dict.fromkeys(range(len(ways)), math.inf), dict.fromkeys(range(len(ways)), 0.0)
    for _ in range(ROUNDS):
        for number, (_, _, way) in enumerate(ways):
            begin = time.process_time()
            scores[number] = way()
            seconds[number] = min(seconds[number], time.process_time() - begin)
    server = scores[[method for method, _, _ in ways].index(SERVER)]
    return [
        ScoreSpeed(
            method,
            definition,
            sum(x.shape[0] * x.shape[1] for x, _ in pairs) / 1e6,
            seconds[number],
            seconds[number] / seconds[0],
            seconds[number] / seconds[1],
            scores[number],
            abs(scores[number] - server) if definition != "paper" else None,
        )
        for number, (method, definition, _) in enumerate(ways)
    ]


def _mean(scores: Iterable[float]) -> float:
    values = list(scores)
    return math.fsum(values) / len(values)
