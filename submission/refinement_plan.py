"""Which images to refine at which operating points: plain functions over choices, none of which codes anything.

Refining every point of every image would be a waste: a selection takes one a rate, and a refined latent keeps most of
its worth at gains nearby. So: sweep without refinement; select, with a budget that is larger by what refinement will
save (`larger_budget`); refine each image at its chosen gain and offer scaled copies near it (`refinements`); select
again among everything; repeat where an image is now chosen further than `REACH` from what was refined. Unrefined
candidates stay on offer, so that a selection can never lose.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from harness.errors import ClicError

# Iterations of each effort; 0 is the encoder without refinement.
EFFORTS = (0, 5, 10, 20, 35, 50, 75, 100, 200, 300)
COPIES = (-4, -2, 2, 4)  # sixteenths of a level from a refined gain; at 8 above a copy is worse than no refinement
REACH = 2  # sixteenths of a level within which a refined gain serves a chosen one
BYTES_KEPT = Fraction(94, 100)  # of an unrefined candidate's, by one refined at the same gain (0.87 to 0.98)


@dataclass(frozen=True, order=True)
class OperatingPoint:
    """A gain in sixteenths of a level, and the gain at which its latent was refined: "56", or "54@56" for a latent
    that was refined at gain 56 and scaled to gain 54."""

    gain: int
    refined_at: int

    @staticmethod
    def parse(text: str) -> "OperatingPoint":
        """The inverse of `str`. Raises ClicError."""
        match = re.fullmatch(r"(\d+)(?:@(\d+))?", text, re.ASCII)
        if not match:
            raise ClicError(f'no operating point {text!r}; give a gain, such as "56", or "54@56" for a scaled copy')
        gain, refined_at = match.groups(default=match[1])
        return OperatingPoint(int(gain), int(refined_at))

    def __str__(self) -> str:
        return str(self.gain) if self.gain == self.refined_at else f"{self.gain}@{self.refined_at}"


def iterations_of(effort: str) -> int:
    """Iterations of an effort by its one spelling, "0" to "9". Raises ClicError for anything else."""
    efforts = {str(number): iterations for number, iterations in enumerate(EFFORTS)}
    if effort not in efforts:
        raise ClicError(f"codec 'clic': no effort {effort!r}; give 0 (no refinement) to {len(EFFORTS) - 1}")
    return efforts[effort]


def larger_budget(budget: int) -> int:
    """Bytes that unrefined candidates may take together, for the refined ones to take about `budget`."""
    return int(budget / BYTES_KEPT)


def refinements(
    choices: Iterable[tuple[str, OperatingPoint]], done: Mapping[str, Iterable[int]], gains: int
) -> dict[str, list[OperatingPoint]]:
    """The points to code next, by image: each refined gain followed by its scaled copies; empty when all is done.

    `choices` are (image, point) of selections for all rates, `done` each image's refined gains so far, `gains` how many
    the codec has.
    """
    plan: dict[str, list[OperatingPoint]] = {}
    for image, point in sorted(choices):
        planned = {other.refined_at for other in plan.get(image, [])}
        if all(abs(point.gain - gain) > REACH for gain in {*done.get(image, ()), *planned}):
            near = [point.gain + offset for offset in (0, *COPIES)]
            plan.setdefault(image, []).extend(OperatingPoint(gain, point.gain) for gain in near if 0 <= gain < gains)
    return plan


@dataclass(frozen=True)
class Cost:
    """Seconds of one thread a megapixel: of an iteration, of what a refinement takes beside its iterations, and of
    coding a candidate."""

    iteration: float
    refinement: float
    candidate: float


@dataclass(frozen=True)
class Workforce:
    """How many iterations each refinement has, and how many processes work, each on images of its own."""

    iterations: int
    processes: int


def estimated_seconds(
    plan: Mapping[str, list[OperatingPoint]], megapixels: Mapping[str, float], cost: Cost, workforce: Workforce
) -> float:
    """How long a plan takes by the clock."""
    once = workforce.iterations * cost.iteration + cost.refinement
    each = [
        megapixels[image] * (len({point.refined_at for point in points}) * once + len(points) * cost.candidate)
        for image, points in plan.items()
    ]
    return max(sum(each) / workforce.processes, max(each, default=0.0))
