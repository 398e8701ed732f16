"""Figures of soft-then-hard: rate-distortion bands over seeds, and every image of the set by itself."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup
from scipy.interpolate import PchipInterpolator

from harness.progress import counted
from leaderboard.bdrate import FEWEST_POINTS
from leaderboard.curves import Curve
from leaderboard.report.axes import text
from leaderboard.report.plots import Style
from submission.study.contrasts import Contrast
from submission.study.drawing import Figure, Panel, Point, Scale, legend, limits, series, shown, side_by_side, style_of
from submission.study.measured import Study
from submission.study.names import OBJECTIVES

STAGES_DRAWN = ("soft", "soft-continued", "decoder-only", "hard", "hard-true")
SAMPLES = 25  # scores at which two curves are compared


def rd_bands(row: str, study: Study, found: Sequence[Contrast]) -> Figure | None:
    """All stages of a row: their curves, and their rate against stage a at equal score, bands over the seeds."""
    own = [one for one in _main(study, found) if one.control.about.stage == "soft-continued"]
    own = sorted(own, key=lambda one: STAGES_DRAWN.index(one.test.about.stage))
    if not own or min(len(one.levels) for one in own) < 2:
        return None
    height, parts = 330.0, list[Markup]()
    left, right = side_by_side(2, height)
    control = own[0].control
    titles = [control.title, *(one.test.title for one in own)]
    styles = {name: style_of(place) for place, name in enumerate(titles)}
    seeds = _common(own)
    if not seeds:
        return None
    curves = {one.test.title: [one.curve(one.test, seed) for seed in seeds] for one in own}
    curves[control.title] = [own[0].curve(control, seed) for seed in seeds]
    points = [point for drawn in curves.values() for curve in drawn for point in curve.points]
    measure = control.measure
    panel = Panel(
        f"{OBJECTIVES[control.about.objective]}, {study.main_set}",
        Scale(0.9 * min(p.bpp for p in points), 1.1 * max(p.bpp for p in points), *left[0], logarithmic=True),
        Scale(*limits([p.score for p in points]), *left[1]),
        "bits per pixel (logarithmic)",
        f"{measure.metric.upper()} in dB ({measure.definition}, {measure.averaging})",
    )
    parts += panel.grid()
    for name, drawn in curves.items():
        mean = _mean_curve(drawn)
        lines = [panel.line([(p.bpp, p.score) for p in curve.points], "thin") for curve in drawn]
        marks = [panel.mark(point, styles[name], f"{name}: {point[0]:.4f} bpp, {point[1]:.3f} dB") for point in mean]
        parts.append(series(styles[name], [*lines, *marks]))
    parts += _rate_against(own, seeds, styles, right)
    entries, below = legend(list(styles.items()), 58 + height + 64)
    caption = (
        f"Left: {counted(len(seeds), 'seed')}, each as a thin line, means as marks. Right: rate against stage a at "
        "equal score by PCHIP over log rate, mean and range over the seeds; with fewer than three levels, nothing."
    )
    name = "4-rate-distortion" + ("" if row == "T1" else f"-{row.lower()}")
    title = f"Rate-distortion bands over seeds ({OBJECTIVES[control.about.objective]})"
    return Figure(name, title, caption, below, Markup("").join([*parts, *entries]))


def _main(study: Study, found: Sequence[Contrast]) -> list[Contrast]:
    return [one for one in found if one.test.key.image_set == study.main_set and not one.test.key.skips]


def _common(found: Sequence[Contrast]) -> list[int]:
    """The seeds that all of them have."""
    return sorted(set.intersection(*(set(one.seeds) for one in found))) if found else []


def _mean_curve(curves: Sequence[Curve]) -> list[Point]:
    by_level = zip(*(curve.points for curve in curves), strict=True)
    return [(float(np.mean([p.bpp for p in points])), float(np.mean([p.score for p in points]))) for points in by_level]


def _rate_against(
    own: Sequence[Contrast],
    seeds: Sequence[int],
    styles: Mapping[str, Style],
    place: tuple[tuple[float, float], tuple[float, float]],
) -> list[Markup]:
    bands = {one.test.title: _band(one, seeds) for one in own}
    bands = {name: band for name, band in bands.items() if len(band)}
    if not bands:
        return []
    values = [value for band in bands.values() for value in band[:, 1:].ravel().tolist()]
    scores = [value for band in bands.values() for value in band[:, 0].tolist()]
    panel = Panel(
        "Rate against a, at equal score",
        Scale(min(scores), max(scores), *place[0]),
        Scale(*limits([0.0, *values], 1.0), *place[1]),
        "score in dB",
        "rate against a, %",
    )
    parts = list(panel.grid())
    for name, band in bands.items():
        low, mean, high = ([(x, y) for x, y in band[:, [0, column]].tolist()] for column in (2, 1, 3))
        parts.append(series(styles[name], [panel.band(low, high), panel.line(mean)]))
    return parts


def _band(one: Contrast, seeds: Sequence[int]) -> np.ndarray:
    """Scores that all curves reach, with mean, least and most rate against the control over the seeds, per cent."""
    if len(one.levels) < FEWEST_POINTS:
        return np.empty((0, 4))
    pairs = [(one.curve(one.test, seed), one.curve(one.control, seed)) for seed in seeds]
    curves = [curve for pair in pairs for curve in pair]
    if any(np.diff(curve.score).min() <= 0 for curve in curves):
        return np.empty((0, 4))
    low, high = max(min(curve.score) for curve in curves), min(max(curve.score) for curve in curves)
    if low >= high:
        return np.empty((0, 4))
    at = np.linspace(low, high, SAMPLES)
    shares = np.array([100 * np.expm1(_log_rate(test, at) - _log_rate(control, at)) for test, control in pairs])
    return np.stack([at, shares.mean(axis=0), shares.min(axis=0), shares.max(axis=0)], axis=1)


def _log_rate(curve: Curve, at: np.ndarray) -> np.ndarray:
    return PchipInterpolator(curve.score, np.log(curve.bpp))(at)


def image_by_image(row: str, study: Study, found: Sequence[Contrast]) -> Figure | None:
    """What stage hard saves against a and against b on each image, by falling saving against a."""
    by_control = {one.control.about.stage: one for one in _main(study, found) if one.test.about.stage == "hard"}
    own = [by_control[stage] for stage in ("soft-continued", "decoder-only") if stage in by_control]
    seeds = _common(own)
    if not seeds:
        return None
    frames = [one.by_image(seeds) for one in own]
    first = frames[0].sort_values("mean", ascending=False)
    order = {image: place for place, image in enumerate(first["image"])}
    row_height = 17.0
    height = row_height * len(order) + 10
    ((across, up),) = side_by_side(1, height)
    across = across[0] + 90, across[1]
    ends = [end for frame in frames for end in (*frame["low"], *frame["high"])]
    x = Scale(*limits([0.0, *ends]), *across)
    parts, top = [], up[1]
    for tick in x.ticks():
        css = "zero" if tick == 0 else "grid"
        parts.append(Markup('<path class="{}" d="M{},{}V{}"/>').format(css, x(tick), top, up[0]))
        parts.append(text(x(tick), up[0] + 18, "middle", shown(tick)))
    parts.append(
        text((across[0] + across[1]) / 2, up[0] + 38, "middle", "rate saved, to first order (dJ/R), %", "axis")
    )
    parts.append(text(across[0], top - 9, "start", f"{study.main_set}, stage c", "panel"))
    heights = {image: top + row_height * (place + 0.5) for image, place in order.items()}
    parts += [text(across[0] - 8, y + 4, "end", image) for image, y in heights.items()]
    styles = [(f"against {one.control.title}", style_of(place)) for place, one in enumerate(own)]
    for frame, (name, style) in zip(frames, styles, strict=True):
        parts.append(series(style, _marks(frame, heights, x, style, name)))
    entries, below = legend(styles, up[0] + 64)
    caption = (
        f"Each image by its own rate: mean over {counted(len(seeds), 'seed')} and all levels; lines reach from the "
        "least to the most of any seed."
    )
    name = "5-image-by-image" + ("" if row == "T1" else f"-{row.lower()}")
    title = f"Soft against hard, image by image ({OBJECTIVES[own[0].control.about.objective]})"
    return Figure(name, title, caption, below, Markup("").join([*parts, *entries]))


def _marks(frame: pd.DataFrame, heights: Mapping[str, float], x: Scale, style: Style, name: str) -> list[Markup]:
    marks = []
    for row in frame.itertuples():
        if row.image not in heights or not math.isfinite(row.mean):
            continue
        y = heights[row.image]
        marks.append(Markup('<path class="whisker" d="M{},{}H{}"/>').format(x(row.low), y, x(row.high)))
        says = f"{row.image}, {name}: {row.mean:+.2f} %"
        marks.append(
            Markup('<path class="mark" d="{}" transform="translate({},{}) scale(1.3)"><title>{}</title></path>').format(
                style.shape, x(row.mean), y, says
            )
        )
    return marks
