"""The rate-distortion plot as inline SVG, in the colours of the page's CSS: light or dark."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from leaderboard.curves import Curve
from leaderboard.units import decibels

# one shape for each archived image set, around (0, 0), with its column beside the rate in steps
MARKS = {
    "CLIC 2021 test": ("M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z", -2),
    "CLIC 2022 test": ("M-2.7,-2.7h5.4v5.4h-5.4z", -1),
    "CLIC 2024 test": ("M0,-3.4L3.2,2.4H-3.2z", 1),
    "CLIC 2025 test": ("M0,-3.7L3.7,0L0,3.7L-3.7,0z", 2),
    "CLIC 2021 validation": ("M-3,-3L3,3M-3,3L3,-3", 3),
}
COLOURS = 3  # of curves in the page's style; further curves begin again
_STOPS = (
    0.5,
    0.7,
    0.8,
    0.85,
    0.9,
    0.92,
    0.94,
    0.95,
    0.96,
    0.97,
    0.975,
    0.98,
    0.985,
    0.99,
    0.993,
    0.995,
    0.997,
    0.998,
    0.999,
)


@dataclass(frozen=True)
class Domain:
    """What the axes show: bits per pixel (log) and MS-SSIM in dB."""

    bpp_low: float
    bpp_high: float
    db_low: int
    db_high: int

    def holds(self, bpp: float, db: float) -> bool:
        """Whether a point lies within the axes."""
        return self.bpp_low <= bpp <= self.bpp_high and self.db_low <= db <= self.db_high


def domain(board: pd.DataFrame, curves: Sequence[Curve], archived: pd.DataFrame) -> Domain:
    """Axes around the board's points, the curves between its rates, and each archived set's best row."""
    low, high = (
        0.6 * min(board["rate"].min(), board["bpp"].min()),
        1.65 * max(board["rate"].max(), board["bpp"].max()),
    )
    best = archived.groupby(["rate", "image_set"])["msssim"].max()
    heights = [decibels(m) for m in (*board["msssim_competition"], *best)]
    heights += [db for curve in curves for bpp, db in zip(curve.bpp, curve.score, strict=True) if low <= bpp <= high]
    finite = [height for height in heights if math.isfinite(height)] or [0.0]
    return Domain(low, high, math.floor(min(finite) - 0.4), math.ceil(max(finite) + 0.4))


@dataclass(frozen=True)
class _Canvas:
    """Where a point of the axes lies in an SVG `width` units wide."""

    axes: Domain
    width: int

    @property
    def height(self) -> int:
        return round(min(0.56 * self.width + 80, 520))

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Left, right, top and bottom of the axes."""
        return 44, self.width - 52, 26, self.height - 48

    @property
    def per_log_bpp(self) -> float:
        return (self.box[1] - self.box[0]) / math.log(self.axes.bpp_high / self.axes.bpp_low)

    @property
    def per_db(self) -> float:
        return (self.box[3] - self.box[2]) / (self.axes.db_high - self.axes.db_low)

    def x(self, bpp: float) -> float:
        return round(self.box[0] + self.per_log_bpp * math.log(bpp / self.axes.bpp_low), 2)

    def y(self, db: float) -> float:
        return round(self.box[3] - self.per_db * (db - self.axes.db_low), 2)


def _text(x: float, y: float, anchor: str, content: str, css: str = "") -> Markup:
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}">{}</text>').format(x, y, anchor, css, content)


def _bpp_ticks(axes: Domain, rates: Sequence[float], spacing: float) -> list[float]:
    """The rates themselves, and round numbers at least `spacing` (in log bpp) from all others."""
    ticks = sorted(rates)
    for digit in (1, 2, 5, 3, 7):
        for tick in (digit * 10.0**exponent for exponent in range(-4, 3)):
            if axes.bpp_low <= tick <= axes.bpp_high and all(abs(math.log(tick / t)) >= spacing for t in ticks):
                ticks.append(tick)
    return sorted(ticks)


def _grid(canvas: _Canvas, rates: Sequence[float]) -> Iterator[Markup]:
    left, right, top, bottom = canvas.box
    for tick in _bpp_ticks(canvas.axes, rates, 40 / canvas.per_log_bpp):
        css = "rate" if tick in rates else ""
        yield Markup('<path class="grid {}" d="M{},{}V{}"/>').format(css, canvas.x(tick), top, bottom)
        yield _text(canvas.x(tick), bottom + 18, "middle", f"{tick:g}", css)
    for db in range(canvas.axes.db_low, canvas.axes.db_high + 1, 1 if canvas.per_db >= 20 else 2):
        yield Markup('<path class="grid" d="M{},{}H{}"/>').format(left, canvas.y(db), right)
        yield _text(left - 8, canvas.y(db) + 4, "end", str(db))
    above = math.inf
    for stop in _STOPS:
        at = canvas.y(decibels(stop))
        if top <= at <= bottom and above - at >= 16:
            above = at
            yield Markup('<path class="tick" d="M{},{}h5"/>').format(right, at)
            yield _text(right + 9, at + 4, "start", f"{stop:g}")
    yield _text(left - 36, 14, "start", "MS-SSIM in dB", "axis")
    yield _text(canvas.width - 4, 14, "end", "MS-SSIM", "axis")
    yield _text((left + right) / 2, canvas.height - 8, "middle", "bits per pixel (logarithmic)", "axis")


def _archived(canvas: _Canvas, archived: pd.DataFrame) -> Iterator[Markup]:
    step = min(11.0, canvas.width / 66)
    for row in archived.itertuples():
        if canvas.axes.holds(row.rate, decibels(row.msssim)):
            shape, column = MARKS[row.image_set]
            says = f"{row.image_set}, {row.team}: {row.msssim:g} at {row.rate:g} bpp"
            yield Markup(
                '<path class="archived" d="{}" transform="translate({:.2f},{})"><title>{}</title></path>'
            ).format(shape, canvas.x(row.rate) + column * step, canvas.y(decibels(row.msssim)), says)


def _curve(canvas: _Canvas, curve: Curve, number: int) -> Iterator[Markup]:
    spots = [
        (point.name, point.bpp, canvas.x(point.bpp), canvas.y(point.score))
        for point in curve.points
        if math.isfinite(point.score)
    ]
    line = " ".join(f"{x},{y}" for _, _, x, y in spots)
    yield Markup('<g class="curve c{}" clip-path="url(#inside{})"><polyline points="{}"/>').format(
        number % COLOURS, canvas.width, line
    )
    for point, bpp, x, y in spots:
        yield Markup('<circle cx="{}" cy="{}" r="2.6"><title>{}</title></circle>').format(
            x, y, f"{curve.title}, every image at {point}: {bpp:.4f} bpp"
        )
    yield Markup("</g>")


def _board(canvas: _Canvas, board: pd.DataFrame) -> Iterator[Markup]:
    for row in board.itertuples():
        db = decibels(row.msssim_competition)
        if math.isfinite(db):
            yield Markup('<circle class="ours" cx="{}" cy="{}" r="5.5"><title>{}</title></circle>').format(
                canvas.x(row.bpp),
                canvas.y(db),
                f"{row.team} at {row.rate:g} bpp: {row.msssim_competition:.5f}, {db:.2f} dB",
            )


def rd_plot(board: pd.DataFrame, curves: Sequence[Curve], archived: pd.DataFrame, axes: Domain, width: int) -> Markup:
    """An SVG `width` units wide: the board's points, the curves, and the archived rows as faint marks.

    `board` as `read_leaderboard` gives it, `archived` as `archived_rows`, `axes` from `domain`. Text is
    12 units high, so `width` should be near the width in pixels at which it is shown.
    """
    canvas = _Canvas(axes, width)
    left, right, top, bottom = canvas.box
    summary = "; ".join(f"{row.msssim_competition:.5f} at {row.bpp:.4f} bpp" for row in board.itertuples())
    drawn = [*_grid(canvas, list(board["rate"])), *_archived(canvas, archived)]
    for number, curve in enumerate(curves):
        drawn += _curve(canvas, curve, number)
    drawn += _board(canvas, board)
    return Markup(
        '<svg viewBox="0 0 {} {}" role="img" aria-label="MS-SSIM over bits per pixel: {}"><clipPath '
        'id="inside{}"><rect x="{}" y="{}" width="{}" height="{}"/></clipPath>{}</svg>'
    ).format(width, canvas.height, summary, width, left, top, right - left, bottom - top, Markup("").join(drawn))


def legend(curves: Sequence[Curve], archived: pd.DataFrame) -> list[tuple[Markup, str]]:
    """Swatch and meaning of everything that `rd_plot` draws, in the order of weight."""
    swatch = Markup('<svg viewBox="-12 -7 24 14" width="24" height="14" aria-hidden="true">{}</svg>')
    entries = [
        (
            swatch.format(Markup('<circle class="ours" r="5.5"/>')),
            "this run, points chosen over the whole set",
        )
    ]
    for number, curve in enumerate(curves):
        drawn = Markup('<g class="curve c{}"><polyline points="-11,0 11,0"/><circle r="2.6"/></g>').format(
            number % COLOURS
        )
        entries.append((swatch.format(drawn), f"uniform quality, {curve.title}: every image at the same point"))
    for name in (name for name in MARKS if name in set(archived["image_set"])):
        entries.append((swatch.format(Markup('<path class="archived" d="{}"/>').format(MARKS[name][0])), name))
    return entries
