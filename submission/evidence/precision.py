"""What bf16 costs: how far its pixels are from those of float32, and by how much MS-SSIM falls.

    OMP_NUM_THREADS=1 python -m submission.evidence.precision PHOTOGRAPHS [--gains 50,72,98]

Codes each photograph at one gain a rate, without refinement, and makes pixels of the latent that its stream holds,
which is the same for both, in either precision. A table has a row for each gain. Its bpp is of the words of the coder,
without headers; MS-SSIM is the competition's, of the set (weighted by pixels) and of the image that it falls most for.
Exit status 1 where a sample is off by more than 2, or the set's MS-SSIM falls by more than 0.0002.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from decoder.bitstream import least_words
from decoder.precision import BF16, has_bf16
from decoder.rans import encode
from harness.errors import ClicError
from harness.images import list_images, load_rgb
from harness.progress import bar, log
from harness.scores.aggregate import decibels
from harness.scores.msssim import Reference
from submission.codec import LearnedCodec
from submission.encoder import analyse, latents_at, quantise
from submission.evidence.printed import figures, wide_console

GAINS = (50, 72, 98)  # near 0.075, 0.15 and 0.3 bpp on photographs
MOST_STEPS = 2  # by which a sample may be off
MOST_FALL = 0.0002  # of a set's MS-SSIM


@dataclass
class Compared:
    """Both decodings of all images at one gain.

    `size` are the streams' bytes without headers; `off[n]` counts the samples that differ by n steps, the last of them
    by n and more; `scores` are (pixels, MS-SSIM in float32, MS-SSIM in bf16) of each image.
    """

    size: int = 0
    off: np.ndarray = field(default_factory=lambda: np.zeros(MOST_STEPS + 2, np.int64))
    scores: list[tuple[int, float, float]] = field(default_factory=list)

    def add(self, size: int, reference: Reference, exact: np.ndarray, near: np.ndarray) -> None:
        """A stream's bytes, and its pixels, uint8 (H, W, 3), in float32 and in bf16."""
        steps = np.abs(near.astype(np.int16) - exact).clip(max=MOST_STEPS + 1)
        self.off += np.bincount(steps.ravel(), minlength=len(self.off))
        full, less = (reference.score(pixels).msssim_competition for pixels in (exact, near))
        self.scores.append((exact.shape[0] * exact.shape[1], full, less))
        self.size += size

    @property
    def falls(self) -> np.ndarray:
        """By how much each image's MS-SSIM is lower in bf16."""
        return np.array([exact - near for _, exact, near in self.scores])

    @property
    def of_set(self) -> tuple[float, float]:
        """MS-SSIM of the set in float32 and in bf16."""
        pixels, exact, near = np.array(self.scores).T
        return float(np.average(exact, weights=pixels)), float(np.average(near, weights=pixels))

    @property
    def is_within(self) -> bool:
        """Whether bf16 keeps to what is promised of it."""
        exact, near = self.of_set
        return not self.off[-1] and exact - near <= MOST_FALL


def compare(images: Sequence[Path], gains: Sequence[int]) -> dict[int, Compared]:
    """Code and decode all images at all gains; by gain what came out."""
    plain, quick = LearnedCodec(effort="0"), LearnedCodec(effort="0", precision=BF16)
    model, in_bf16 = plain.models[plain.number], quick.models[plain.number]
    if bad := [gain for gain in gains if not 0 <= gain < model.gains]:
        raise ClicError(f"no gain {bad[0]}; gains are 0 to {model.gains - 1}")
    found = {gain: Compared() for gain in gains}
    with bar("bf16 beside float32") as progress:
        for done, path in enumerate(images, start=1):
            pixels = load_rgb(path)
            analysed, reference = analyse(plain.networks, pixels), Reference(pixels, paper=False)
            for gain, compared in found.items():
                latents = latents_at(plain.networks, analysed, gain, plain.number)
                source, latent, _ = quantise(model, latents)
                words, _, _ = encode(model.tables, source.calls, 0, least_words(latents.header))
                exact, near = (each.reconstruct(latent, latents.header) for each in (model, in_bf16))
                compared.add(words.nbytes, reference, exact, near)
            falls = ", ".join(f"{compared.falls[-1]:.7f}" for compared in found.values())
            most = max(int(np.flatnonzero(compared.off)[-1]) for compared in found.values())
            log(f"{path.stem}: MS-SSIM falls by {falls}; samples of all images so far are off by {most} at most")
            progress(done, len(images))
    return found


def show(name: str, found: dict[int, Compared]) -> None:
    """Print the table."""
    table = figures(
        "gain",
        "bpp",
        "off by 1",
        "off by 2",
        "by more",
        "MS-SSIM\nfloat32",
        "bf16",
        "falls by",
        "dB",
        "most of\nan image",
    )
    for gain, compared in found.items():
        samples, (exact, near) = compared.off.sum(), compared.of_set
        table.add_row(
            str(gain),
            f"{8 * compared.size / (samples / 3):.4f}",
            f"{compared.off[1] / samples:.2%}",
            f"{compared.off[2]:,}",
            f"{compared.off[3]:,}",
            f"{exact:.6f}",
            f"{near:.6f}",
            f"{exact - near:.7f}",
            f"{decibels(exact) - decibels(near):.5f}",
            f"{compared.falls.max():.7f}",
        )
    first = next(iter(found.values()))
    wide_console().print(
        f"{name}: {len(first.scores)} images, {first.off.sum():,} samples at each gain, in float32 and in bf16",
        table,
        sep="\n",
    )


def gains(text: str) -> list[int]:
    """Gains from a text such as "50,72"."""
    return [int(gain) for gain in text.split(",")]


def main() -> int:
    """Print the table; 1 where bf16 costs more than is promised, 2 where nothing can be measured."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.precision", description=__doc__)
    parser.add_argument("photographs", type=Path, help="folder of photographs")
    parser.add_argument("--gains", type=gains, default=GAINS, help="in sixteenths of a level, default: 50,72,98")
    options = parser.parse_args()
    try:
        if not has_bf16():
            raise ClicError("this processor has no bf16, so both decodings would be float32; run this where it has")
        images = [image.path for image in list_images(options.photographs)]
        found = compare(images, options.gains)
    except ClicError as error:
        log(f"precision: {error}")
        return 2
    show(options.photographs.name, found)
    return int(not all(compared.is_within for compared in found.values()))


if __name__ == "__main__":
    raise SystemExit(main())
