"""The graph of a board over time as inline SVG: every entry that stays, and at each rate the best so far as steps."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd
from markupsafe import Markup

from leaderboard.report.axes import text
from leaderboard.units import decibels, fixed, rate_name

WIDTHS = {"wide": 980, "narrow": 350}
_HEIGHT = 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 64, 26, 44
_COLOURS = 10  # of the page's style
_LABEL = 15  # from one label to the next


@dataclass(frozen=True)
class _Canvas:
    """Where a time and a score lie."""

    width: int
    begin: datetime
    end: datetime
    low: float
    high: float

    def x(self, time: datetime) -> float:
        share = (time - self.begin) / (self.end - self.begin)
        return round(_LEFT + share * (self.width - _RIGHT - _LEFT), 2)

    def y(self, db: float) -> float:
        return round(_HEIGHT - _BOTTOM - (db - self.low) / (self.high - self.low) * (_HEIGHT - _BOTTOM - _TOP), 2)


def time_plot(rows: pd.DataFrame, best: pd.DataFrame, width: int) -> Markup:
    """MS-SSIM (competition) in dB over time; `rows` are the entries of one image set, `best` those that led it.

    Both have `time, team, rate, msssim_competition`. Empty without an entry.
    """
    if rows.empty:
        return Markup("")
    heights = [decibels(score) for score in rows["msssim_competition"] if score < 1]
    begin, end = rows["time"].min(), rows["time"].max()
    # A board of one moment has a day around it.
    margin = max((end - begin) * 0.04, timedelta(hours=12) if begin == end else timedelta(0))
    low, high = math.floor(min(heights, default=0) - 0.2), math.ceil(max(heights, default=1) + 0.2)
    canvas = _Canvas(width, begin - margin, end + margin, low, high)
    rates = sorted(set(rows["rate"]))
    parts = [*_grid(canvas)]
    ends = []
    for number, rate in enumerate(rates):
        line, end_height = _steps(canvas, best[best["rate"] == rate])
        ends.append(end_height)
        drawn = Markup("").join((line, *_marks(canvas, rows[rows["rate"] == rate])))
        parts.append(Markup('<g class="series c{}">{}</g>').format(number % _COLOURS, drawn))
    for rate, height in zip(rates, _spread(ends), strict=True):
        parts.append(text(width - _RIGHT + 8, height + 4, "start", rate_name(rate), "axis"))
    summary = "; ".join(_leader(rows[rows["rate"] == rate]) for rate in rates)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, _HEIGHT, f"MS-SSIM in dB over time; the best of each rate: {summary}", Markup("").join(parts)
    )


def _leader(rows: pd.DataFrame) -> str:
    row = rows.loc[rows["msssim_competition"].idxmax()]
    return f"{row['team']} at {rate_name(row['rate'])} bpp, {fixed(decibels(row['msssim_competition']), 2)} dB"


def _grid(canvas: _Canvas) -> Iterator[Markup]:
    bottom, right = _HEIGHT - _BOTTOM, canvas.width - _RIGHT
    step = max(1, round((canvas.high - canvas.low) / 10))
    for db in range(int(canvas.low), int(canvas.high) + 1, step):
        yield Markup('<path class="grid" d="M{},{}H{}"/>').format(_LEFT, canvas.y(db), right)
        yield text(_LEFT - 8, canvas.y(db) + 4, "end", str(db))
    for time, label in _ticks(canvas.begin, canvas.end, 2 if canvas.width < 600 else 6):
        yield Markup('<path class="grid" d="M{},{}V{}"/>').format(canvas.x(time), _TOP, bottom)
        yield text(canvas.x(time), bottom + 18, "middle", label)
    yield text(8, 14, "start", "MS-SSIM in dB", "axis")
    yield text(canvas.width - 4, 14, "end", "bpp", "axis")


def _ticks(begin: datetime, end: datetime, count: int) -> Sequence[tuple[datetime, str]]:
    """`count` times at equal distances within, and what stands below each: the day, and the time where days are few."""
    step = (end - begin) / (count + 1)
    form = "%Y-%m-%d" if step >= timedelta(days=1) else "%m-%d %H:%M"
    times = [begin + step * number for number in range(1, count + 1)]
    if step >= timedelta(days=1):
        times = [time.replace(hour=0, minute=0, second=0, microsecond=0) for time in times]
    return [(time, f"{time:{form}}") for time in times]


def _spread(heights: Sequence[float]) -> list[float]:
    """Heights of labels near those of their lines, far enough from each other to be read."""
    placed: dict[int, float] = {}
    below = math.inf
    for number in sorted(range(len(heights)), key=lambda number: -heights[number]):
        below = min(heights[number], below - _LABEL)
        placed[number] = below
    return [placed[number] for number in range(len(heights))]


def _steps(canvas: _Canvas, best: pd.DataFrame) -> tuple[Markup, float]:
    """The line of the best so far, and its height at the end."""
    path, height = "", 0.0
    for row in best.itertuples():
        height = canvas.y(min(decibels(row.msssim_competition), canvas.high))
        path += f"H{canvas.x(row.time)}V{height}" if path else f"M{canvas.x(row.time)},{height}"
    return Markup('<path class="steps" d="{}H{}"/>').format(path, canvas.width - _RIGHT), height


def _marks(canvas: _Canvas, rows: pd.DataFrame) -> Iterator[Markup]:
    for row in rows.itertuples():
        db = decibels(row.msssim_competition)
        says = f"{row.team}, {rate_name(row.rate)} bpp, {row.time:%Y-%m-%d %H:%M}: {fixed(row.msssim_competition, 5)}"
        yield Markup('<circle class="mark" cx="{}" cy="{}" r="4"><title>{}</title></circle>').format(
            canvas.x(row.time), canvas.y(min(db, canvas.high)), f"{says}, {fixed(db, 2)} dB"
        )
