"""Which points of an image to code beyond those that are swept: plain functions over choices, none of which codes.

Refining every point of every image would be a waste: a selection takes one a rate, and a refined latent keeps most of
its worth at gains nearby. So, after each selection (`further`): each image refined a little above its chosen gain,
since refinement saves bytes, with scaled copies near it; and again where an image is now chosen further than `REACH`
from what was refined. Without refinement: gains between the swept ones, around what is chosen. Unrefined candidates
stay on offer, so that a selection can never lose.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from harness.errors import ClicError

# Iterations of each effort; 0 is the encoder without refinement.
EFFORTS = (0, 5, 10, 15, 20, 50, 75, 100, 200, 300)
COPIES = (-3, 3)  # sixteenths of a level from a refined gain; at 8 above a copy is worse than no refinement
REACH = 3  # sixteenths of a level within which a refined gain serves a chosen one
FEW = 6  # images up to which all gains near a chosen one are worth coding, since few choices leave bytes unused
DENSE = tuple(offset for offset in range(-6, 7) if offset)  # what near means there, of copies, too
LIFT = 2  # by how many the chosen gain rises with what refinement saves: 5 % of the bytes
COARSE = 4  # how near to one another unrefined gains are coded; to code all would bring 0.004 dB
REFINEMENTS = 2  # of an image, at most, for each rate

Points = Mapping[str, Sequence["OperatingPoint"]]


@dataclass(frozen=True)
class OperatingPoint:
    """A gain in sixteenths of a level, and the gain at which its latent was refined, if it was.

    "56" is unrefined, "56@56" refined, and "54@56" was refined at gain 56 and scaled to gain 54.
    """

    gain: int
    refined_at: int | None = None

    @staticmethod
    def parse(text: str) -> "OperatingPoint":
        """The inverse of `str`. Raises ClicError."""
        match = re.fullmatch(r"(\d+)(?:@(\d+))?", text, re.ASCII)
        if not match:
            raise ClicError(
                f'no operating point {text!r}; give a gain, such as "56", "56@56" for a refined one, or "54@56" for a '
                "scaled copy of it"
            )
        gain, refined_at = match.groups()
        return OperatingPoint(int(gain), None if refined_at is None else int(refined_at))

    def __str__(self) -> str:
        return str(self.gain) if self.refined_at is None else f"{self.gain}@{self.refined_at}"


def iterations_of(effort: str) -> int:
    """Iterations of an effort by its one spelling, "0" to "9". Raises ClicError for anything else."""
    efforts = {str(number): iterations for number, iterations in enumerate(EFFORTS)}
    if effort not in efforts:
        raise ClicError(f"codec 'clic': no effort {effort!r}; give 0 (no refinement) to {len(EFFORTS) - 1}")
    return efforts[effort]


def further(chosen: Points, coded: Points, gains: int, refines: bool) -> dict[str, list[OperatingPoint]]:
    """The points to code next, by image; empty when all is done.

    `chosen` are each image's points in selections for all rates, `coded` those that every image has, `gains` how many
    gains the codec has.
    """
    few = len(coded) <= FEW
    steps: list[Callable[[Sequence[OperatingPoint], Sequence[OperatingPoint]], list[OperatingPoint]]]
    if refines:  # swept gains are near enough to say at which to refine: to know more brings 0.001 dB
        steps = [partial(refinements, copies=DENSE if few else COPIES, gains=gains)]
    else:
        steps = [partial(between, apart=COARSE), partial(around, offsets=DENSE if few else (), gains=gains)]
    for step in steps:
        found = {image: step(points, coded[image]) for image, points in chosen.items()}
        if any(found.values()):
            return {image: points for image, points in found.items() if points}
    return {}


def between(chosen: Sequence[OperatingPoint], coded: Sequence[OperatingPoint], apart: int) -> list[OperatingPoint]:
    """Unrefined gains half-way from each chosen unrefined one to its neighbours that are more than `apart` away."""
    known = sorted({point.gain for point in coded if point.refined_at is None})
    found = set()
    for gain in (point.gain for point in chosen if point.refined_at is None):
        below, above = [other for other in known if other < gain], [other for other in known if other > gain]
        for neighbour in (*below[-1:], *above[:1]):
            if abs(neighbour - gain) > apart:
                found.add((neighbour + gain) // 2)
    return [OperatingPoint(gain) for gain in sorted(found)]


def around(
    chosen: Sequence[OperatingPoint], coded: Sequence[OperatingPoint], offsets: Sequence[int], gains: int
) -> list[OperatingPoint]:
    """Unrefined gains at all offsets from each chosen unrefined one."""
    near = {point.gain + offset for point in chosen if point.refined_at is None for offset in offsets}
    known = {point.gain for point in coded if point.refined_at is None}
    return [OperatingPoint(gain) for gain in sorted(near - known) if 0 <= gain < gains]


def refinements(
    chosen: Sequence[OperatingPoint], coded: Sequence[OperatingPoint], copies: Sequence[int], gains: int
) -> list[OperatingPoint]:
    """Refined points that serve the chosen ones, each followed by its scaled copies."""
    done = {point.refined_at for point in coded if point.refined_at is not None}
    plan: list[OperatingPoint] = []
    wanted = {point.gain + (LIFT if point.refined_at is None else 0) for point in chosen}
    for gain in sorted(min(gain, gains - 1) for gain in wanted):
        if len(done) < REFINEMENTS * len(chosen) and all(abs(gain - other) > REACH for other in done):
            done.add(gain)
            near = [gain + offset for offset in (0, *copies)]
            plan.extend(OperatingPoint(copy, gain) for copy in near if 0 <= copy < gains)
    return plan


@dataclass(frozen=True)
class Cost:
    """Seconds of one thread a megapixel: of an iteration, of what a refinement takes beside its iterations, of an
    image's slope, which its refinements share, and of coding a candidate."""

    iteration: float
    refinement: float
    slope: float
    candidate: float


def seconds(points: Iterable[OperatingPoint], iterations: int, cost: Cost) -> list[float]:
    """What each point of an image takes, in seconds of one thread a megapixel; copies follow what they are copies of.

    The slope is counted with the first that is refined.
    """
    found, shared = [], cost.slope
    for point in points:
        refines = point.gain == point.refined_at
        found.append(cost.candidate + (iterations * cost.iteration + cost.refinement + shared if refines else 0))
        shared = 0.0 if refines else shared
    return found
