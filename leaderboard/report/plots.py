"""The rate-distortion plots as inline SVG, one for each measure, in the colours of the page's CSS: light or dark."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from harness.imagesets import canonical
from leaderboard.curves import MEASURES, Curve
from leaderboard.report import axes
from leaderboard.report.model import Report
from leaderboard.units import decibels, fixed, rate_name

WIDTHS = {"wide": 980, "narrow": 350}  # px: inside the page's text, and inside a phone's
TITLES = {
    "msssim_competition": "MS-SSIM, competition",
    "msssim_paper": "MS-SSIM, paper",
    "psnr_competition": "PSNR, competition",
    "psnr_paper": "PSNR, paper",
}
COLOURS = 10  # of series in the page's style; further series begin again, with another shape
SHAPES = (
    "M-3,0a3,3 0 1,0 6,0a3,3 0 1,0 -6,0z",
    "M-2.7,-2.7h5.4v5.4h-5.4z",
    "M0,-3.6L3.3,2.5H-3.3z",
    "M0,-3.7L3.7,0L0,3.7L-3.7,0z",
    "M0,3.6L3.3,-2.5H-3.3z",
    "M-1.2,-3.4h2.4v2.2h2.2v2.4h-2.2v2.2h-2.4v-2.2h-2.2v-2.4h2.2z",
    "M0,-3.5L3.3,-1.1L2.1,2.8H-2.1L-3.3,-1.1z",
)
_ARCHIVED = "M-3,-3L3,3M-3,3L3,-3"


@dataclass(frozen=True)
class Style:
    """How a series is told from others: by colour and by shape, so that print without colour is enough."""

    css: str
    shape: str


@dataclass(frozen=True)
class Plot:
    """One measure's plot, wide and narrow; `left_out` archived rows lie outside of its axes."""

    name: str
    title: str
    drawn: dict[str, Markup]
    left_out: int


def styles(report: Report) -> dict[str, Style]:
    """A style for each entrant and codec; an entrant named as a codec has that codec's."""
    codecs = [curve.codec for curves in report.curves.values() for curve in curves]
    names = list(dict.fromkeys([*report.entrants, *codecs]))
    return {name: Style(f"c{n % COLOURS}", SHAPES[n % len(SHAPES)]) for n, name in enumerate(names)}


def _height(measure: str, value: float) -> float:
    return decibels(value) if MEASURES[measure].metric == "ms-ssim" else value


def _says(measure: str, value_db: float) -> str:
    if MEASURES[measure].metric == "ms-ssim":
        return f"MS-SSIM {1 - 10 ** (-value_db / 10):.5f}, {value_db:.2f} dB"
    return f"PSNR {value_db:.2f} dB"


def _points(canvas: axes.Canvas, style: Style, spots: Sequence[tuple[float, float, str]], scale: float) -> Markup:
    """Marks that say what they are: (bpp, dB, words)."""
    return Markup("").join(
        Markup('<path class="mark" d="{}" transform="translate({},{}) scale({})" data-says="{}"/>').format(
            style.shape, canvas.x(bpp), canvas.y(db), scale, says
        )
        for bpp, db, says in spots
        if math.isfinite(db)
    )


def _curve(canvas: axes.Canvas, measure: str, curve: Curve, style: Style) -> Markup:
    spots = [
        (point.bpp, point.score, f"{curve.title} at point {point.name}: {point.bpp:.4f} bpp, {says}")
        for point in curve.points
        if math.isfinite(point.score)
        for says in [_says(measure, point.score)]
    ]
    line = " ".join(f"{canvas.x(bpp)},{canvas.y(db)}" for bpp, db, _ in spots)
    return Markup(
        '<g class="series {}" data-series="{}" tabindex="0" role="img" aria-label="{}: {} operating points, '
        'read by the arrow keys" clip-path="url(#inside-{}-{})"><polyline points="{}"/>{}</g>'
    ).format(
        style.css,
        curve.codec,
        curve.title,
        len(spots),
        measure,
        canvas.width,
        line,
        _points(canvas, style, [spot for spot in spots if canvas.axes.bpp_low <= spot[0] <= canvas.axes.bpp_high], 0.9),
    )


def _board(canvas: axes.Canvas, report: Report, measure: str, looks: dict[str, Style]) -> Iterator[Markup]:
    for entrant in report.entrants:
        rows = report.board[report.board["entrant"] == entrant].sort_values("rate")
        spots = []
        for row in rows.itertuples():
            db = _height(measure, getattr(row, measure))
            says = f"{entrant}, selected for {rate_name(row.rate)} bpp: {row.bpp:.4f} bpp, {_says(measure, db)}"
            spots.append((row.bpp, db, says))
        yield Markup(
            '<g class="series chosen {}" data-series="{}" tabindex="0" role="img" aria-label="{}">{}</g>'
        ).format(
            looks[entrant].css,
            entrant,
            f"{entrant}: selected at {len(spots)} rates, read by the arrow keys",
            _points(canvas, looks[entrant], spots, 1.9),
        )


def _archived(canvas: axes.Canvas, archived: pd.DataFrame) -> Iterator[Markup]:
    for row in archived.itertuples():
        if canvas.axes.holds(row.rate, decibels(row.msssim)):
            says = f"{row.image_set}, {row.team}: {row.msssim:g} at {row.rate:g} bpp"
            yield Markup('<path class="archived mark" d="{}" transform="translate({},{})" data-says="{}"/>').format(
                _ARCHIVED, canvas.x(row.rate), canvas.y(decibels(row.msssim)), says
            )


def comparable_boards(report: Report) -> pd.DataFrame:
    """Archived rows that were measured on the very images of the report."""
    same = [canonical(str(name)) == canonical(report.image_set) for name in report.archived["image_set"]]
    return report.archived[pd.Series(same, index=report.archived.index, dtype=bool)]


def _draw(report: Report, measure: str, looks: dict[str, Style]) -> Plot:
    curves = report.curves.get(measure, ())
    archived = comparable_boards(report) if measure == "msssim_competition" else report.archived[:0]
    known = [(row.bpp, _height(measure, getattr(row, measure))) for row in report.board.itertuples()]
    known += [(point.bpp, point.score) for curve in curves for point in curve.points]
    known += [(row.rate, decibels(row.msssim)) for row in archived.itertuples()]
    shown = axes.domain([*report.rates, *report.board["bpp"]], known)
    title = TITLES[measure]
    is_msssim = MEASURES[measure].metric == "ms-ssim"
    summary = "; ".join(
        f"{row.entrant} {fixed(getattr(row, measure), 5 if is_msssim else 2)} at {row.bpp:.4f} bpp"
        for row in report.board.itertuples()
    )
    drawn = {}
    for name, width in WIDTHS.items():
        canvas = axes.Canvas(shown, width)
        left, right, top, bottom = canvas.box
        parts = [
            *axes.grid(canvas, report.rates, title if width > 600 else title.split(",")[0], is_msssim),
            *_archived(canvas, archived),
            *(_curve(canvas, measure, curve, looks[curve.codec]) for curve in curves),
            *_board(canvas, report, measure, looks),
        ]
        drawn[name] = Markup(
            '<svg viewBox="0 0 {} {}" role="group" aria-label="{} over bits per pixel: {}"><clipPath id="inside-{}-{}">'
            '<rect x="{}" y="{}" width="{}" height="{}"/></clipPath>{}</svg>'
        ).format(
            *(width, canvas.height, title, summary, measure, width),
            *(left, top, right - left, bottom - top, Markup("").join(parts)),
        )
    left_out = sum(not shown.holds(row.rate, decibels(row.msssim)) for row in archived.itertuples())
    return Plot(measure, title, drawn, left_out)


def rd_plots(report: Report) -> list[Plot]:
    """A plot for each measure: curves, the board's points, and archived rows of the same images as faint marks.

    Text is 12 units high, so a plot should be shown near as wide as its name in `WIDTHS` says in pixels.
    """
    looks = styles(report)
    return [_draw(report, measure, looks) for measure in MEASURES]


def legend(report: Report) -> list[tuple[str, Markup, str]]:
    """Name, swatch and meaning of every series, entrants first."""
    swatch = Markup('<svg viewBox="-13 -7 26 14" width="26" height="14" aria-hidden="true"><g class="{}">{}</g></svg>')
    codecs = {curve.codec for curves in report.curves.values() for curve in curves}
    entries = []
    for name, style in styles(report).items():
        mark = Markup('<path class="mark" d="{}" transform="scale({})"/>').format(
            style.shape, 1.5 if name in report.entrants else 1
        )
        if name in codecs:
            mark = Markup('<polyline points="-12,0 12,0"/>') + mark
        entries.append((name, swatch.format(f"series {style.css}", mark), name))
    return entries
