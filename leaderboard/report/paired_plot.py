"""The plot of paired encodes as inline SVG: how the ratios of two codecs are spread over the images."""

import math
from collections.abc import Callable, Iterator, Sequence

from markupsafe import Markup

from leaderboard.pairs import Paired
from leaderboard.report.axes import text

_TICKS = (0.1, 0.2, 0.25, 0.33, 0.5, 0.67, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4, 5, 10)
_ROW = 58
_TOP = 14


def paired_plot(paired: Sequence[Paired], width: int) -> Markup:
    """A row for each two codecs that have pairs: middle half and eighty per cent of the ratios, and the images' means.

    The axis is logarithmic, so that half and double are equally far from 1. Empty where no codecs have pairs.
    """
    rows = [one for one in paired if one.geometric_mean is not None]
    if not rows:
        return Markup("")
    ratios = [ratio for one in rows for ratio in (*one.by_image()["ratio"], *one.quantiles((0.1, 0.9)).values())]
    reach = max(max(abs(math.log(ratio)) for ratio in ratios if 0 < ratio < math.inf) * 1.1, math.log(1.12))
    left, right, height = 12, width - 12, _TOP + _ROW * len(rows) + 44

    def x(ratio: float) -> float:
        share = (min(max(math.log(ratio), -reach), reach) + reach) / (2 * reach)
        return round(left + share * (right - left), 2)

    parts = [*_scale(x, reach, height, width)]
    for number, one in enumerate(rows):
        parts += _row(x, one, _TOP + _ROW * number, left)
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        width, height, "Ratios of paired encodes; the table below has the figures", Markup("").join(parts)
    )


def _scale(x: Callable[[float], float], reach: float, height: int, width: int) -> Iterator[Markup]:
    last = -math.inf
    for tick in _TICKS:
        if abs(math.log(tick)) <= reach and (x(tick) - last >= 34 or tick == 1):
            last = x(tick)
            css = "grid rate" if tick == 1 else "grid"
            yield Markup('<path class="{}" d="M{},{}V{}"/>').format(css, x(tick), 4, height - 40)
            yield text(x(tick), height - 24, "middle", f"{tick:g}")
    yield text(
        width / 2, height - 6, "middle", "ratio, first to second (logarithmic): left of 1 the first is better", "axis"
    )


def _row(x: Callable[[float], float], one: Paired, top: int, left: int) -> Iterator[Markup]:
    quantiles = one.quantiles((0.1, 0.25, 0.5, 0.75, 0.9))
    tenth, quarter, median, three_quarters, nine_tenths = (x(value) for value in quantiles.values())
    middle = top + 36
    yield text(left, top + 12, "start", f"{one.first} to {one.second}", "axis")
    yield Markup('<path class="reach" d="M{},{}H{}"/>').format(tenth, middle, nine_tenths)
    yield Markup('<rect class="half" x="{}" y="{}" width="{}" height="16"/>').format(
        quarter, middle - 8, max(1.0, round(three_quarters - quarter, 2))
    )
    for row in one.by_image().itertuples():
        if 0 < row.ratio < math.inf:
            yield Markup('<circle class="image" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(
                x(row.ratio), middle, f"{row.image}: {row.ratio:.3f}, mean of {row.pairs}"
            )
    yield Markup('<path class="median" d="M{},{}v20"/>').format(median, middle - 10)
