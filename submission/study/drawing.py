"""Panels with axes, marks and legends as SVG, in the colours and shapes of the report: light or dark."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

from markupsafe import Markup

from leaderboard.report.axes import text
from leaderboard.report.plots import COLOURS, SHAPES, Style

WIDTH = 980
STYLE = """
svg { background: var(--paper); font: 12px system-ui, "Segoe UI", Roboto, Arial, sans-serif; }
text { fill: var(--muted); } text.axis { fill: var(--ink); font-size: 12.5px; }
text.panel { fill: var(--ink); font-weight: 600; }
.grid { stroke: var(--grid); fill: none; } .zero { stroke: var(--faint); fill: none; }
.series polyline, .series .whisker { fill: none; stroke: var(--series); stroke-width: 1.75; stroke-linejoin: round; }
.series .mark { fill: var(--series); stroke: var(--paper); stroke-width: 0.75; }
.series .band { fill: var(--series); stroke: none; opacity: 0.22; } .series .thin { stroke-width: 0.8; opacity: 0.6; }
.truth { stroke: var(--ink); stroke-width: 2.5; fill: none; stroke-dasharray: 6 4; }
"""
"""Of a figure on its own; in the page the report's style holds, with the last lines of this one."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """From values to a stretch of the drawing; logarithmic where that is asked."""

    low: float
    high: float
    begin: float
    end: float
    logarithmic: bool = False

    def __call__(self, value: float) -> float:
        share = (self._of(value) - self._of(self.low)) / (self._of(self.high) - self._of(self.low))
        return round(self.begin + share * (self.end - self.begin), 2)

    def _of(self, value: float) -> float:
        return math.log(value) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values, some four to eight of them."""
        if self.logarithmic:
            return [tick for tick in _log_ticks(self.low, self.high) if self.low <= tick <= self.high]
        step = _step((self.high - self.low) / 6)
        first = math.ceil(self.low / step - 1e-9)
        return [round(step * number, 10) for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def _step(rough: float) -> float:
    size = 10.0 ** math.floor(math.log10(rough))
    return next(size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    digits: Sequence[float] = (1, 1.5, 2, 3, 4, 5, 7) if high / low < 6 else (1, 2, 5) if high / low < 200 else (1,)
    return [digit * 10.0**decade for decade in decades for digit in digits]


def shown(tick: float) -> str:
    """A tick's number with a minus sign of its own width."""
    return f"{tick:g}".replace("-", "−")


def limits(values: Sequence[float], least: float = 0.0, margin: float = 0.08) -> tuple[float, float]:
    """Ends of a linear axis around finite values, at least `least` long, with a margin."""
    known = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(known), max(known)
    room = max((least - (high - low)) / 2, margin * (high - low), 1e-9)
    return low - room, high + room


@dataclass(frozen=True)
class Panel:
    """One pair of axes within a figure."""

    title: str
    x: Scale
    y: Scale
    x_title: str
    y_title: str

    def grid(self) -> Iterator[Markup]:
        """Lines, numbers and titles."""
        left, right, top, bottom = self.x.begin, self.x.end, self.y.end, self.y.begin
        for tick in self.x.ticks():
            yield Markup('<path class="grid" d="M{},{}V{}"/>').format(self.x(tick), top, bottom)
            yield text(self.x(tick), bottom + 18, "middle", shown(tick))
        for tick in self.y.ticks():
            css = "zero" if tick == 0 else "grid"
            yield Markup('<path class="{}" d="M{},{}H{}"/>').format(css, left, self.y(tick), right)
            yield text(left - 8, self.y(tick) + 4, "end", shown(tick))
        yield text(left, top - 26, "start", self.title, "panel")
        yield text(left, top - 9, "start", self.y_title, "axis")
        yield text((left + right) / 2, bottom + 38, "middle", self.x_title, "axis")

    def at(self, point: Point) -> str:
        """A point as an SVG pair."""
        return f"{self.x(point[0])},{self.y(point[1])}"

    def line(self, points: Sequence[Point], css: str = "") -> Markup:
        """A line through points."""
        return Markup('<polyline class="{}" points="{}"/>').format(css, " ".join(map(self.at, points)))

    def band(self, low: Sequence[Point], high: Sequence[Point]) -> Markup:
        """What lies between two lines."""
        return Markup('<polygon class="band" points="{}"/>').format(" ".join(map(self.at, [*low, *reversed(high)])))

    def mark(self, point: Point, style: Style, says: str, size: float = 1.3) -> Markup:
        """A point that says what it is."""
        return Markup('<path class="mark" d="{}" transform="translate({}) scale({})"><title>{}</title></path>').format(
            style.shape, self.at(point), size, says
        )

    def whisker(self, point: Point, low: float, high: float) -> Markup:
        """The interval of a point, upright, cut at the panel's ends; nothing where there is none."""
        if math.isnan(low) or math.isnan(high):
            return Markup("")
        ends = [self.y(min(max(end, self.y.low), self.y.high)) for end in (low, high)]
        return Markup('<path class="whisker" d="M{},{}V{}"/>').format(self.x(point[0]), *ends)


def side_by_side(count: int, height: float, top: float = 58) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    """Places of panels in a row: begin and end of x, begin (below) and end of y."""
    gap, edge = 74.0, 60.0
    width = (WIDTH - 20 - edge - gap * (count - 1)) / count
    lefts = [edge + place * (width + gap) for place in range(count)]
    return [((left, left + width), (top + height, top)) for left in lefts]


def style_of(place: int) -> Style:
    """Colour and shape of a series by its place."""
    return Style(f"c{place % COLOURS}", SHAPES[place % len(SHAPES)])


def series(style: Style, parts: Sequence[Markup]) -> Markup:
    """What belongs together, in one colour."""
    return Markup('<g class="series {}">{}</g>').format(style.css, Markup("").join(parts))


def legend(entries: Sequence[tuple[str, Style]], top: float) -> tuple[list[Markup], float]:
    """Swatches with their names in as many lines as they need, and where the next line would be."""
    parts, x, y = [], 60.0, top
    for name, style in entries:
        width = 34 + 6.6 * len(name)
        if x + width > WIDTH - 10 and x > 60:
            x, y = 60.0, y + 20
        mark = Markup('<path class="mark" d="{}" transform="translate({},{}) scale(1.3)"/>').format(
            style.shape, x, y - 4
        )
        parts += [series(style, [mark]), text(x + 10, y, "start", name)]
        x += width
    return parts, y + 20


def palette() -> str:
    """The colours of the report's style, light and dark, and those of the series."""
    css = resources.files("leaderboard.report").joinpath("templates/report.css").read_text(encoding="utf-8")
    series_colours = " ".join(f".c{place} {{ --series: var(--c{place}); }}" for place in range(COLOURS))
    return css.partition("* {")[0] + series_colours


@dataclass(frozen=True)
class Figure:
    """A drawing by its file's name; `caption` says what it shows and on what it rests."""

    name: str
    title: str
    caption: str
    height: float
    body: Markup

    def inline(self) -> Markup:
        """For a page that has the style."""
        return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
            WIDTH, round(self.height), f"{self.title}. {self.caption}", self.body
        )

    def standalone(self) -> str:
        """A file of its own."""
        head = Markup('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img">').format(
            WIDTH, round(self.height)
        )
        described = Markup("<title>{}</title><desc>{}</desc>").format(self.title, self.caption)
        # The style is ours and has no "<": a file of XML takes it as it is.
        return f"{head}{described}<style>{palette()}{STYLE}</style>{self.body}</svg>\n"
