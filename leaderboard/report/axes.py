"""The axes of a rate-distortion plot: what they show, and where a point of them lies in an SVG."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from leaderboard.units import decibels

# fmt: off
_STOPS = (
    0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97, 0.975, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999,
)
# fmt: on


@dataclass(frozen=True)
class Domain:
    """What the axes show: bits per pixel (logarithmic) and a score in dB."""

    bpp_low: float
    bpp_high: float
    db_low: int
    db_high: int

    def holds(self, bpp: float, db: float) -> bool:
        """Whether a point lies within the axes."""
        return self.bpp_low <= bpp <= self.bpp_high and self.db_low <= db <= self.db_high


def domain(rates: Sequence[float], points: Iterable[tuple[float, float]]) -> Domain:
    """Axes around `rates` in bits per pixel, and around those (bpp, dB) of `points` that lie near them."""
    low, high = 0.6 * min(rates), 1.65 * max(rates)
    heights = [db for bpp, db in points if low <= bpp <= high and math.isfinite(db)] or [0.0]
    return Domain(low, high, math.floor(min(heights) - 0.4), math.ceil(max(heights) + 0.4))


@dataclass(frozen=True)
class Canvas:
    """Where a point of the axes lies in an SVG `width` units wide."""

    axes: Domain
    width: int

    @property
    def height(self) -> int:
        """Of the whole SVG."""
        return round(min(0.5 * self.width + 90, 520))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, right, top and bottom of the axes."""
        return 44, self.width - 52, 26, self.height - 48

    @property
    def per_log_bpp(self) -> float:
        """Units for a factor of e in bits per pixel."""
        return (self.box[1] - self.box[0]) / math.log(self.axes.bpp_high / self.axes.bpp_low)

    @property
    def per_db(self) -> float:
        """Units for one dB."""
        return (self.box[3] - self.box[2]) / (self.axes.db_high - self.axes.db_low)

    def x(self, bpp: float) -> float:
        """Of bits per pixel."""
        return round(self.box[0] + self.per_log_bpp * math.log(bpp / self.axes.bpp_low), 2)

    def y(self, db: float) -> float:
        """Of a score in dB."""
        return round(self.box[3] - self.per_db * (db - self.axes.db_low), 2)


def text(x: float, y: float, anchor: str, content: str, css: str = "") -> Markup:
    """A line of text; `anchor` is start, middle or end."""
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, css, content)


def _bpp_ticks(axes: Domain, rates: Sequence[float], spacing: float) -> list[float]:
    """The rates themselves, and round numbers at least `spacing` (in log bpp) from all others."""
    ticks = sorted(rates)
    for digit in (1, 2, 5, 3, 7):
        for tick in (digit * 10.0**exponent for exponent in range(-4, 3)):
            if axes.bpp_low <= tick <= axes.bpp_high and all(abs(math.log(tick / t)) >= spacing for t in ticks):
                ticks.append(tick)
    return sorted(ticks)


def grid(canvas: Canvas, rates: Sequence[float], title: str, is_msssim: bool) -> Iterator[Markup]:
    """Lines, numbers and titles; MS-SSIM has a second axis on the right, which is not in dB."""
    left, right, top, bottom = canvas.box
    for tick in _bpp_ticks(canvas.axes, rates, 40 / canvas.per_log_bpp):
        css = "rate" if tick in rates else ""
        yield Markup('<path class="grid {}" d="M{},{}V{}"/>').format(css, canvas.x(tick), top, bottom)
        yield text(canvas.x(tick), bottom + 18, "middle", f"{tick:g}", css)
    for db in range(canvas.axes.db_low, canvas.axes.db_high + 1, 1 if canvas.per_db >= 20 else 2):
        yield Markup('<path class="grid" d="M{},{}H{}"/>').format(left, canvas.y(db), right)
        yield text(left - 8, canvas.y(db) + 4, "end", str(db))
    yield text(left - 36, 14, "start", f"{title} in dB", "axis")
    yield text((left + right) / 2, canvas.height - 8, "middle", "bits per pixel (logarithmic)", "axis")
    if is_msssim:
        yield text(canvas.width - 4, 14, "end", "MS-SSIM", "axis")
        yield from _stops(canvas)


def _stops(canvas: Canvas) -> Iterator[Markup]:
    _, right, top, bottom = canvas.box
    above = math.inf
    for stop in _STOPS:
        at = canvas.y(decibels(stop))
        if top <= at <= bottom and above - at >= 16:
            above = at
            yield Markup('<path class="tick" d="M{},{}h5"/>').format(right, at)
            yield text(right + 9, at + 4, "start", f"{stop:g}")
