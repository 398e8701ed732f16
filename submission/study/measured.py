"""What `runs.csv` says of each cell of a study: rate, distortion and their weighted sum, image by image.

J = R + lambda D with R in bits per pixel; D is what was minimised in training: the mean squared error of pixels in
0..255, or 1 - MS-SSIM by the competition's definition. A set's figure is the plain mean over its images, so that J of
the set is the mean of the images' J.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from harness.errors import ClicError
from leaderboard.curves import MEASURES, Measure
from leaderboard.units import or_nan
from submission.study.names import is_on, stage_title, title
from submission.study.runs import AROUND_ZERO, CENTRED, CODED, HARD, TRAINING, RunRow

PEAK = 255.0
MS_SSIM = "ms-ssim"
FIRST_SET = "Kodak"
TRUNK = "trunk"  # the stage from which branches go on, which nothing is compared with


@dataclass(frozen=True)
class Key:
    """A cell of the study as it was coded: with `skips`, elements of the smallest scales were left out."""

    row: str
    cell: str
    image_set: str
    skips: bool = False


@dataclass(frozen=True, eq=False)
class Block:
    """One seed at one level in one mode: figures of its images, (n,) each.

    `figures` are width, height, bits, bpp, mse, msssim_competition, msssim_paper, distortion (D) and loss (J).
    """

    images: tuple[str, ...]
    figures: Mapping[str, np.ndarray]

    def mean(self, name: str) -> float:
        """The plain mean of a figure over the images."""
        return float(self.figures[name].mean())

    def figure(self, name: str, images: Sequence[str]) -> np.ndarray:
        """A figure of these images, in this order."""
        places = {image: place for place, image in enumerate(self.images)}
        return self.figures[name][[places[image] for image in images]]


@dataclass(frozen=True, eq=False)
class Cell:
    """All that was measured of a cell on one set: `about` is one of its rows, `blocks` are by mode, seed and level."""

    key: Key
    about: RunRow
    blocks: Mapping[tuple[str, int, int], Block]
    lambdas: Mapping[int, float]

    @property
    def title(self) -> str:
        """As tables and legends print it, within its network."""
        return stage_title(self.about) or title(self.about)

    @property
    def measure(self) -> Measure:
        """By which its curves are drawn and its BD-rates computed."""
        return MEASURES["msssim_paper" if self.about.objective == MS_SSIM else "psnr_paper"]

    @cached_property
    def levels(self) -> list[int]:
        """That were measured in any mode."""
        return sorted({level for _, _, level in self.blocks})

    @cached_property
    def seeds(self) -> list[int]:
        """That were measured in any mode."""
        return sorted({seed for _, seed, _ in self.blocks})

    @property
    def is_centred(self) -> bool:
        """Whether it was trained with rounding around the mean, as it is coded."""
        return is_on(self.about.zero_centre)

    @cached_property
    def is_coded(self) -> bool:
        """Whether all images that the networks state bits of were coded too, rounded as in training."""
        if not self.is_centred:
            return False
        images = {key: set(block.images) for key, block in self.blocks.items()}
        coded = {key[1:]: found for key, found in images.items() if key[0] == CODED}
        stated = {key[1:]: found for key, found in images.items() if key[0] == HARD}
        return bool(coded) and all(coded.get(place, set()) >= found for place, found in stated.items())

    @property
    def mode(self) -> str:
        """That of its hard figures: coded bytes where all images were coded, else stated bits."""
        return CODED if self.is_coded else HARD

    def block(self, mode: str, seed: int, level: int) -> Block | None:
        """None where it was not measured. Around the mean, one that was trained so is as it was trained."""
        return self.blocks.get((HARD if mode == CENTRED and self.is_centred else mode, seed, level))

    def of(self, mode: str, level: int) -> dict[int, Block]:
        """By seed, in order."""
        found = {seed: block for (own, seed, at), block in self.blocks.items() if (own, at) == (mode, level)}
        return dict(sorted(found.items()))

    def means(self, mode: str, name: str, level: int | None = None) -> dict[int, float]:
        """A figure by seed: the mean over images, and over levels where none is given."""
        levels = self.levels if level is None else [level]
        found: dict[int, list[float]] = {}
        for at in levels:
            for seed, block in self.of(mode, at).items():
                found.setdefault(seed, []).append(block.mean(name))
        return {seed: sum(values) / len(values) for seed, values in found.items()}

    def gap(self, level: int | None = None) -> dict[int, float]:
        """By seed: how much more J is in training than hard (the gap), in per cent of the hard rate, at a level.

        The mean over levels where none is given; empty where the surrogate's own forward was not measured.
        """
        found: dict[int, list[float]] = {}
        for (mode, seed, at), block in self.blocks.items():
            hard = self.blocks.get((HARD, seed, at))
            is_asked = mode == TRAINING and level in (None, at)
            if is_asked and hard is not None and hard.images == block.images:
                share = 100 * (block.mean("loss") - hard.mean("loss")) / hard.mean("bpp")
                found.setdefault(seed, []).append(share)
        return {seed: sum(values) / len(values) for seed, values in sorted(found.items())}

    def centring(self) -> dict[int, float]:
        """By seed: what the same weights save by rounding around the mean, against around 0: dJ/R, per cent.

        Empty where not both were measured.
        """
        found: dict[int, list[float]] = {}
        for seed, level in dict.fromkeys(place[1:] for place in self.blocks):
            mean = self.block(CENTRED, seed, level)
            zero = self.block(AROUND_ZERO if self.is_centred else HARD, seed, level)
            if mean is not None and zero is not None and mean.images == zero.images:
                share = 100 * (zero.mean("loss") - mean.mean("loss")) / zero.mean("bpp")
                found.setdefault(seed, []).append(share)
        return {seed: sum(values) / len(values) for seed, values in sorted(found.items())}


@dataclass(frozen=True, eq=False)
class Study:
    """The cells of a study, in the order of their names."""

    cells: Sequence[Cell]
    rows: Sequence[RunRow]

    def of(self, row: str, image_set: str, skips: bool = False) -> Iterator[Cell]:
        """The cells of a row on one set."""
        for cell in self.cells:
            if (cell.key.row, cell.key.image_set, cell.key.skips) == (row, image_set, skips):
                yield cell

    @cached_property
    def image_sets(self) -> list[str]:
        """Titles of the sets that were coded; first the one of most cells, which answers the primary questions.

        Of two with as many, as while only row T1 has run, it is Kodak, on which all rows are coded.
        """
        counts = Counter(cell.key.image_set for cell in self.cells)
        return sorted(counts, key=lambda name: (-counts[name], name != FIRST_SET, name))

    @property
    def main_set(self) -> str:
        """The set that answers the primary questions."""
        return self.image_sets[0]


def common_seeds(cells: Sequence[Cell], level: int) -> set[int]:
    """The seeds that all of the cells have at a level, on all of its images: means of others do not stand side by side.

    A cell that has nothing at that level does not count.
    """
    found = [blocks for cell in cells if (blocks := cell.of(cell.mode, level))]
    most = max((len(block.images) for blocks in found for block in blocks.values()), default=0)
    whole = [{seed for seed, block in blocks.items() if len(block.images) == most} for blocks in found]
    return set.intersection(*whole) if whole else set()


def study_of(rows: Sequence[RunRow]) -> Study:
    """The study of a table's rows. Raises ClicError where there is none, or a measurement stands there twice."""
    found: dict[Key, dict[tuple[str, int, int], dict[str, RunRow]]] = {}
    for row in rows:
        if row.stage == TRUNK or math.isnan(distortion(row)):
            continue
        key = Key(row.row, row.cell, row.image_set, is_on(row.skip_uncoded))
        block = found.setdefault(key, {}).setdefault((row.mode, row.seed, row.level), {})
        if row.image in block:
            raise ClicError(
                f"runs.csv: two measurements of {row.row} {row.cell}, seed {row.seed}, level {row.level}, {row.image}, "
                f"{row.mode}; make it anew with clic ablate"
            )
        block[row.image] = row
    if not found:
        raise ClicError(
            "runs.csv: nothing to compare yet: trunks alone, or images too small for the papers' MS-SSIM; go on with "
            "clic ablate"
        )
    return Study([_cell(key, found[key]) for key in sorted(found, key=_order)], rows)


def _order(key: Key) -> tuple[str, str, str, bool]:
    return key.row, key.cell, key.image_set, key.skips


def distortion(row: RunRow) -> float:
    """D of an image; NaN where its sides are too short for the papers' MS-SSIM, by which BD-rates are."""
    if row.objective != MS_SSIM:
        return PEAK**2 * row.mse
    if row.msssim_paper is None or row.msssim_competition is None:
        return math.nan
    return 1 - row.msssim_competition


def _cell(key: Key, blocks: Mapping[tuple[str, int, int], Mapping[str, RunRow]]) -> Cell:
    made = {place: _block(by_image) for place, by_image in sorted(blocks.items())}
    some = [next(iter(by_image.values())) for by_image in blocks.values()]
    return Cell(key, some[0], made, {row.level: row.lambda_ for row in some})


def _block(by_image: Mapping[str, RunRow]) -> Block:
    rows = [by_image[image] for image in sorted(by_image)]
    names = ("width", "height", "bits", "mse", "msssim_competition", "msssim_paper")
    figures = {name: np.array([or_nan(getattr(row, name)) for row in rows]) for name in names}
    figures["bpp"] = figures["bits"] / (figures["width"] * figures["height"])
    figures["distortion"] = np.array([distortion(row) for row in rows])
    figures["loss"] = figures["bpp"] + rows[0].lambda_ * figures["distortion"]
    return Block(tuple(row.image for row in rows), figures)
