"""The study's five figures; each is left out where its measurements are not there yet."""

import math
from collections.abc import Iterator, Mapping, Sequence

from markupsafe import Markup

from harness.progress import counted
from leaderboard.report.axes import text
from leaderboard.report.plots import Style
from submission.study.bins import gradient_curves
from submission.study.contrasts import Contrast
from submission.study.drawing import Figure, Panel, Scale, legend, limits, series, side_by_side, style_of
from submission.study.measured import Cell, Study
from submission.study.names import RECONSTRUCTIONS
from submission.study.rd_figures import image_by_image, rd_bands
from submission.study.risks import Risk, Risks
from submission.study.statistics import Interval, t_interval

SHRINKING = "SUA-A (split, unit)"


def figures_of(study: Study, risks: Risks, contrasts: Mapping[str, Sequence[Contrast]]) -> list[Figure]:
    """All that can be drawn."""
    found = [_mismatch_and_risk(risks), _gradients_in_a_bin(), _bounds(study, contrasts.get("D", ()))]
    for row in ("T1", "T1m"):
        found += [rd_bands(row, study, contrasts.get(row, ())), image_by_image(row, study, contrasts.get(row, ()))]
    return [figure for figure in found if figure is not None]


def _mean(values: Mapping[int, float]) -> float:
    return sum(values.values()) / len(values)


def _mismatch_and_risk(risks: Risks) -> Figure | None:
    if not risks.all:
        return None
    names = sorted({one.family for one in risks.all})
    styles = {name: style_of(place) for place, name in enumerate(names)}
    height, parts = 300.0, list[Markup]()
    heights = [_mean(one.risk) for one in risks.all]
    ends = min(heights) / 1.25, max(heights) * 1.25
    for network, (across, up) in zip(risks.networks, side_by_side(len(risks.networks), height), strict=True):
        own = [one for one in risks.all if one.network == network]
        x = Scale(*limits([0.0, *(_mean(one.mismatch) for one in own)]), *across)
        y = Scale(*ends, *up, logarithmic=True)
        panel = Panel(f"Network {network}", x, y, "mismatch, steps²", "gradient risk (logarithmic)")
        parts += [*panel.grid(), *_families(panel, own, styles)]
    entries, below = legend(list(styles.items()), 58 + height + 64)
    caption = (
        "Mismatch is the mean square of what the synthesis sees less the rounded latent; risk the root of squared "
        "bias and variance of one draw's gradient, in units of the true gradient. A curve joins one surrogate's "
        "temperatures; "
        f"that of {SHRINKING} ends in noise and in mixed. Means over seeds. {RECONSTRUCTIONS}"
    )
    body = Markup("").join([*parts, *entries])
    return Figure("1-mismatch-and-risk", "Mismatch against gradient risk", caption, below, body)


def _families(panel: Panel, own: Sequence[Risk], styles: Mapping[str, Style]) -> Iterator[Markup]:
    families: dict[str, list[Risk]] = {}
    for one in own:
        families.setdefault(one.family, []).append(one)
    ends = [one for one in own if one.surrogate in ("noise", "mixed")]
    for name, members in families.items():
        joined = [*members, *ends] if name == SHRINKING else members
        joined = sorted(joined, key=lambda one: -_temperature(one))
        places = [(_mean(one.mismatch), _mean(one.risk)) for one in joined]
        marks = []
        for one in members:
            place = (_mean(one.mismatch), _mean(one.risk))
            says = f"{one.title}: mismatch {place[0]:.4f}, risk {place[1]:.3f}"
            marks.append(panel.mark(place, styles[name], says))
        lines = [panel.line(places)] if len(places) > 1 else []
        yield series(styles[name], [*lines, *marks])


def _temperature(one: Risk) -> float:
    ends = {"noise": 1.0, "mixed": 0.0}
    return ends.get(one.surrogate, one.temperature or 0.0)


def _gradients_in_a_bin() -> Figure:
    found = gradient_curves()
    height = 360.0
    ((across, up),) = side_by_side(1, height)
    truth = found.truth
    shown = [y for _, points in found.curves for _, y in points] + [y for _, y in truth]
    panel = Panel(
        "One latent, one bin",
        Scale(-0.5, 0.5, *across),
        Scale(*limits(shown), *up),
        "place in the bin, steps from its integer",
        "expected gradient of the encoder, bits a step",
    )
    parts = list(panel.grid())
    styles = {name: style_of(place) for place, (name, _) in enumerate(found.curves)}
    for place, (name, points) in enumerate(found.curves):  # marks apart: one curve may lie on another
        marks = [panel.mark(point, styles[name], name, 1.0) for point in points[3 + place :: 10]]
        parts.append(series(styles[name], [panel.line(points), *marks]))
    for begin in range(0, len(truth), 2):
        parts.append(panel.line(truth[begin : begin + 2], "truth"))
    entries, below = legend(list(styles.items()), 58 + height + 64)
    caption = (
        f"{found.describes} Of so smooth a loss SUA-B and SUA-C have the same expected gradient: the curve of the one "
        f"lies on the other's. Computed, not measured: it rests on no training. {RECONSTRUCTIONS}"
    )
    title = "Expected encoder gradient over one bin against the true loss difference"
    return Figure("2-gradient-in-a-bin", title, caption, below, Markup("").join([*parts, *entries]))


def _bounds(study: Study, found: Sequence[Contrast]) -> Figure | None:
    """Cells of row D that differ from their control in the bound alone, with the control itself."""
    own = [one for one in found if one.test.key.image_set == study.main_set and _is_of_a_bound(one)]
    if not own:
        return None
    control = own[0].control
    gains = {one.test.about.scale_bound: one.gain for one in own}
    gains[control.about.scale_bound] = Interval(0.0, math.nan, math.nan, math.nan, len(own[0].seeds))
    cells: list[Cell] = [control, *(one.test for one in own)]
    gaps = {cell.about.scale_bound: t_interval(list(cell.gap().values())) for cell in cells}
    gaps = {bound: one for bound, one in gaps.items() if one.seeds}
    shown = [("Loss", "dJ/R, % of rate saved", gains), ("Gap", "J training less hard, % of R", gaps)]
    shown = [panel for panel in shown if panel[2]]
    height, parts = 280.0, list[Markup]()
    for place, (across, up) in enumerate(side_by_side(len(shown), height)):
        title, y_title, points = shown[place]
        ordered = sorted(points.items())
        ends = [end for _, one in ordered for end in (one.mean, one.low, one.high)]
        scales = Scale(*limits([b for b, _ in ordered]), *across), Scale(*limits([0.0, *ends], 0.5), *up)
        panel = Panel(f"{title}: {control.about.network} {control.title}", *scales, "bound of the scale", y_title)
        drawn = [panel.line([(bound, one.mean) for bound, one in ordered])]
        for bound, one in ordered:
            says = f"bound {bound:g}: {one.mean:+.2f} %"
            drawn += [panel.whisker((bound, one.mean), one.low, one.high)]
            drawn += [panel.mark((bound, one.mean), style_of(place), says, 1.5)]
        parts += [*panel.grid(), series(style_of(place), drawn)]
    caption = (
        f"Against the bound {control.about.scale_bound:g}, on {study.main_set}. Uprights are 95 % intervals over "
        f"{counted(len(own[0].seeds), 'seed')}."
    )
    note = text(60, 58 + height + 62, "start", "above 0: rate saved, to first order; uprights: 95 % over seeds")
    return Figure(
        "3-bound-of-the-scale",
        "Loss, and its gap between training and coding, over the bound",
        caption,
        58 + height + 78,
        Markup("").join([*parts, note]),
    )


def _is_of_a_bound(one: Contrast) -> bool:
    names = ("network", "surrogate", "zero_centre", "stop_gradient")
    same = all(getattr(one.test.about, name) == getattr(one.control.about, name) for name in names)
    return same and one.test.about.scale_bound != one.control.about.scale_bound and not one.test.key.skips
