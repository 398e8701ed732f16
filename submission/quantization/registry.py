"""All quantisers by name, and how a recipe writes one: its name, or a table of its name and its settings."""

from collections.abc import Mapping
from typing import Any

from submission.named import open_named
from submission.quantization.annealing import Gumbel, SoftRounding
from submission.quantization.quantizer import Quantizer
from submission.quantization.surrogates import Hard, Mixed, Noise, ScaledNoise, StraightThrough, Universal
from submission.quantization.uniform_annealing import UniformAnnealingA, UniformAnnealingB, UniformAnnealingC

QUANTIZERS: dict[str, type[Quantizer]] = {
    "hard": Hard,
    "noise": Noise,
    "straight-through": StraightThrough,
    "mixed": Mixed,
    "universal": Universal,
    "soft-rounding": SoftRounding,
    "gumbel": Gumbel,
    "sua-a": UniformAnnealingA,
    "sua-b": UniformAnnealingB,
    "sua-c": UniformAnnealingC,
    "scaled-noise": ScaledNoise,
}


def open_quantizer(written: str | Mapping[str, Any]) -> Quantizer:
    """The quantiser that a recipe writes as `"noise"` or as `{ name = "noise" }` with settings beside the name.

    Raises ValueError, one line that says what is allowed, for anything else.
    """
    return open_named("quantiser", QUANTIZERS, written)
