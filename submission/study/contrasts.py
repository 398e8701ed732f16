"""Two cells of a study side by side: how much rate the one saves against the other, seed by seed.

Everything is paired: the same seed (and so crops, noise and trunk), the same levels and images. dJ/R, the control's J
less the test's over the control's rate, is to first order the rate saved at equal quality; it is a mean over levels.
Where the test lies far along the curve from its control, it counts that as well, and the BD-rate does not.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import pandas as pd

from leaderboard.bdrate import FEWEST_POINTS, bd_rate
from leaderboard.curves import MEASURED, Curve, Point, set_bpp, set_score
from submission.study.measured import PEAK, Block, Cell
from submission.study.names import STAGES, stage_title, title
from submission.study.runs import CENTRED, CODED, HARD
from submission.study.statistics import Interval, percentiles, resampled, t_interval


@dataclass(frozen=True, eq=False)
class Contrast:
    """A test cell against its control, on what both have; in `mode` "coded" of real bytes, else of stated bits.

    Those are rounded as each of the two was trained ("hard"), or both around the mean ("hard-centred").

    All figures are per cent of the control's rate. Seeds that lack a level or an image are left out.
    """

    test: Cell
    control: Cell
    mode: str
    seeds: tuple[int, ...]
    levels: tuple[int, ...]
    images: tuple[str, ...]

    @property
    def label(self) -> str:
        """What is tested, within its row and network."""
        return stage_title(self.test.about) or title(self.test.about, self.control.about)

    @property
    def bits(self) -> str:
        """Which bits: coded or stated, and around what they are rounded where the two could differ in that."""
        if self.mode == CODED:
            return "coded"
        if self.test.is_centred and self.control.is_centred:
            return "stated"
        return "stated around the mean" if self.mode == CENTRED else "stated as trained"

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """By seed, level and image: J saved, and the control's rate, both in bits per pixel."""
        saved = self.figure(self.control, "loss") - self.figure(self.test, "loss")
        return saved, self.figure(self.control, "bpp")

    def figure(self, cell: Cell, name: str) -> np.ndarray:
        """A figure of either cell by seed, level and image."""
        blocks = [[self._block(cell, seed, level) for level in self.levels] for seed in self.seeds]
        return np.array([[block.figure(name, self.images) for block in of_seed] for of_seed in blocks])

    def _block(self, cell: Cell, seed: int, level: int) -> Block:
        block = cell.block(self.mode, seed, level)
        assert block is not None  # of those that the two have in common
        return block

    @cached_property
    def by_level(self) -> np.ndarray:
        """dJ/R by seed and level, per cent."""
        saved, rate = self.arrays
        return 100 * saved.mean(axis=2) / rate.mean(axis=2)

    @cached_property
    def by_seed(self) -> dict[int, float]:
        """dJ/R of each seed, per cent."""
        return dict(zip(self.seeds, self.by_level.mean(axis=1).tolist(), strict=True))

    @cached_property
    def gain(self) -> Interval:
        """dJ/R, per cent: positive where the test is better."""
        return t_interval(list(self.by_seed.values()))

    def gain_at(self, level: int) -> Interval:
        """dJ/R at one level, per cent."""
        return t_interval(self.by_level[:, self.levels.index(level)].tolist())

    @cached_property
    def over_images(self) -> tuple[float, float]:
        """The bootstrap's interval of the mean dJ/R over images, per cent; NaN of fewer than two images."""
        if len(self.images) < 2 or not self.seeds:
            return math.nan, math.nan
        saved, rate = self.arrays
        weights = resampled(len(self.images))
        share = np.einsum("sli,bi->bsl", saved, weights) / np.einsum("sli,bi->bsl", rate, weights)
        return percentiles(100 * share.mean(axis=(1, 2)))

    def by_image(self, seeds: Sequence[int]) -> pd.DataFrame:
        """By image: mean dJ/R over `seeds` and levels, and the least and the most of any seed, per cent of its rate."""
        saved, rate = (figure[[self.seeds.index(seed) for seed in seeds]] for figure in self.arrays)
        share = 100 * (saved / rate).mean(axis=1)
        spread = {"image": self.images, "mean": share.mean(axis=0), "low": share.min(axis=0), "high": share.max(axis=0)}
        return pd.DataFrame(spread)

    @cached_property
    def bd_by_seed(self) -> dict[int, float]:
        """BD-rate (PCHIP) of each seed, per cent, negative where the test is better; empty where there is none."""
        if len(self.levels) < FEWEST_POINTS:
            return {}
        found = {seed: bd_rate(self.curve(self.test, seed), self.curve(self.control, seed)) for seed in self.seeds}
        percent = {seed: one.percent for seed, one in found.items() if one.percent is not None}
        return percent if len(percent) == len(self.seeds) else {}

    @cached_property
    def bd(self) -> Interval:
        """BD-rate (PCHIP), per cent: negative where the test is better."""
        return t_interval(list(self.bd_by_seed.values()))

    @cached_property
    def moved(self) -> tuple[float, float]:
        """Where the test lies beside its control at equal lambda: per cent of rate, dB of quality; a mean over all."""
        rates, qualities = [], []
        for seed in self.seeds:
            for test, control in zip(self._points[self.test, seed], self._points[self.control, seed], strict=True):
                rates.append(100 * (test.bpp / control.bpp - 1))
                qualities.append(test.score - control.score)
        return float(np.mean(rates)), float(np.mean(qualities))

    def curve(self, cell: Cell, seed: int) -> Curve:
        """One seed's curve of either cell over this contrast's levels and images."""
        return Curve(cell.title, cell.key.image_set, cell.measure, MEASURED, self._points[cell, seed])

    @cached_property
    def _points(self) -> dict[tuple[Cell, int], list[Point]]:
        """The points of either cell and one seed, by level."""
        return {
            (cell, seed): [self._point(cell, seed, level) for level in self.levels]
            for cell in (self.test, self.control)
            for seed in self.seeds
        }

    def _point(self, cell: Cell, seed: int, level: int) -> Point:
        block = self._block(cell, seed, level)
        names = ("width", "height", "bits", "mse", "msssim_competition", "msssim_paper")
        figures = {name: block.figure(name, self.images) for name in names}
        rows = pd.DataFrame(figures | {"bytes": figures["bits"] / 8, "mse": PEAK**2 * figures["mse"]})
        return Point(set_bpp(rows, cell.measure.averaging), set_score(rows, cell.measure), str(level))


@lru_cache(maxsize=1024)
def contrast(test: Cell, control: Cell) -> Contrast | None:
    """What the two have in common, None where that is nothing: on coded bytes where both have them.

    Else it is on stated bits, of each as it was trained.
    """
    found = _common(test, control, CODED) if test.is_coded and control.is_coded else None
    return found or _common(test, control, HARD)


@lru_cache(maxsize=1024)
def centred_contrast(test: Cell, control: Cell) -> Contrast | None:
    """The same, both rounded around their means; None where they share nothing, or both were trained so."""
    return None if test.is_centred and control.is_centred else _common(test, control, CENTRED)


def _common(test: Cell, control: Cell, mode: str) -> Contrast | None:
    """On the levels and images of the seed that has most: one that is not yet evaluated does not take them away."""
    shared: dict[int, dict[int, set[str]]] = {}
    for seed, level in dict.fromkeys(place[1:] for place in test.blocks):
        own, other = (cell.block(mode, seed, level) for cell in (test, control))
        if own is not None and other is not None:
            shared.setdefault(seed, {})[level] = set(own.images) & set(other.images)
    if not shared:
        return None
    whole = {seed: set.intersection(*by_level.values()) for seed, by_level in shared.items()}
    fullest = max(shared, key=lambda seed: (len(shared[seed]), len(whole[seed]), -seed))
    levels, images = set(shared[fullest]), whole[fullest]
    seeds = [seed for seed in sorted(shared) if levels <= set(shared[seed]) and images <= whole[seed]]
    if not images:
        return None
    return Contrast(test, control, mode, tuple(seeds), tuple(sorted(levels)), tuple(sorted(images)))


# What each row of the run table is held against.


def control_of(cell: Cell, among: Sequence[Cell]) -> Cell | None:
    """The control that the run table gives a cell: None for one that has none, or where it has not run yet."""
    own = [other for other in among if _alike(other, cell)]
    row = [other for other in own if other.key.row == cell.key.row]
    if cell.about.stage in STAGES:
        continued = [other for other in row if other.about.stage == "soft-continued"]
        if continued:
            return _other(continued, cell)
    if cell.key.row == "D":  # one setting of a cell of row S
        return _other([other for other in own if other.key.row == "S" and _same_surrogate(other, cell)], cell)
    if cell.key.row == "X":  # one part of the network: as long trained, with that part as it is usually
        usual = cell.about.network.partition("-")[0]
        return _other([other for other in row if other.about.network == usual and _same_surrogate(other, cell)], cell)
    return _other([other for other in row if _is_noise_of(other, cell)], cell)


def _is_noise_of(other: Cell, cell: Cell) -> bool:
    return (other.about.network, other.about.surrogate) == (cell.about.network, "noise")


def _alike(other: Cell, cell: Cell) -> bool:
    """Measured in the same way, on networks of one kind: N-none is of the kind N."""
    return (
        other.key.image_set == cell.key.image_set
        and other.key.skips == cell.key.skips
        and other.about.objective == cell.about.objective
        and other.about.network.partition("-")[0] == cell.about.network.partition("-")[0]
    )


def _same_surrogate(other: Cell, cell: Cell) -> bool:
    names = ("surrogate", "temperature", "routing", "slope")
    return all(getattr(other.about, name) == getattr(cell.about, name) for name in names)


def _other(found: Sequence[Cell], cell: Cell) -> Cell | None:
    """One of them that is not the cell itself, and of these the one whose settings are nearest."""

    def differing(other: Cell) -> int:
        names = ("zero_centre", "stop_gradient", "scale_bound", "mean_gradient")
        return sum(getattr(other.about, name) != getattr(cell.about, name) for name in names)

    return min((other for other in found if other is not cell), key=differing, default=None)
