"""The expected gradient of each surrogate over one bin, for a loss that is known everywhere: a computation.

The loss of one latent is bits of a centred Gaussian and a weighted squared error. Rounding makes of it a staircase,
whose gradient is nowhere of use; what an encoder should follow is the difference between the neighbouring integers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from submission.networks.entropy import gaussian_bits
from submission.quantization.registry import open_quantizer
from submission.quantization.scale import SCALE_MIN, SCALE_STEP

SCALE = 0.4  # of the Gaussian, in steps
AIM = 0.3  # where the squared error is least
WEIGHT = 4.0  # of the squared error, in bits
PLACES = 101
DRAWS = 2000  # midpoints of the draw's range: an exact mean up to their spacing

SHOWN: Sequence[tuple[str, str | dict[str, object]]] = (
    ("noise", "noise"),
    ("straight-through", "straight-through"),
    ("mixed", "mixed"),
    ("SUA-A t=1/2 (split, unit)", {"name": "sua-a", "temperature": 0.5}),
    ("SUA-B t=1/2 (split, unit)", {"name": "sua-b", "temperature": 0.5}),
    ("SUA-C t=1/2 (split, unit)", {"name": "sua-c", "temperature": 0.5}),
    ("soft-rounding at 4", {"name": "soft-rounding", "alpha": 4.0}),
)

Point = tuple[float, float]


@dataclass(frozen=True)
class Gradients:
    """Curves by name over places in the bin, and the true differences as pairs of ends of level stretches."""

    curves: Sequence[tuple[str, Sequence[Point]]]
    truth: Sequence[Point]
    describes: str


def distortion(seen: Tensor) -> Tensor:
    """Of what the synthesis sees, in bits."""
    return WEIGHT * (seen - AIM).square()


def bits(seen: Tensor) -> Tensor:
    """Of what the rate sees."""
    index = torch.log(torch.tensor(SCALE / SCALE_MIN)) / SCALE_STEP
    return gaussian_bits(seen, index.expand_as(seen))


def expected_gradient(written: str | dict[str, object], places: Tensor) -> Tensor:
    """The mean of d(distortion + bits)/dv over the draws of a surrogate at each place, both (n,)."""
    draws = ((torch.arange(DRAWS) + 0.5) / DRAWS).expand(len(places), DRAWS)
    value = places[:, None].expand(len(places), DRAWS).clone().requires_grad_()
    seen = open_quantizer(written)(value, draws, 0.5)
    (gradient,) = torch.autograd.grad((distortion(seen.synthesis) + bits(seen.rate)).sum(), value)
    return gradient.mean(dim=1)


def true_difference(place: float) -> float:
    """What the hard loss changes by from half a step before a place to half a step after it."""
    below, above = (torch.tensor([float(step)]) for step in ((-1, 0) if place < 0 else (0, 1)))
    return float(distortion(above) + bits(above) - distortion(below) - bits(below))


def gradient_curves() -> Gradients:
    """A curve for each surrogate that figure 2 shows."""
    places = torch.linspace(-0.495, 0.495, PLACES)
    curves = [
        (name, list(zip(places.tolist(), expected_gradient(written, places).tolist(), strict=True)))
        for name, written in SHOWN
    ]
    truth = [(place, true_difference(place)) for place in (-0.5, -1e-9, 1e-9, 0.5)]
    describes = (
        f"The loss of one latent: bits of a centred Gaussian of scale {SCALE:g}, and {WEIGHT:g} bits times the squared "
        f"distance from {AIM:g}. Dashed: what rounding the latent half a step later rather than half a step earlier "
        "changes the loss by."
    )
    return Gradients(curves, truth, describes)
