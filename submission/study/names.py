"""How tables and legends name a cell: no reconstruction without its letter, no setting left out."""

from fractions import Fraction

from submission.study.runs import RunRow

STAGES = {
    "soft": "soft",
    "soft-continued": "a: noise, all trained",
    "decoder-only": "b: decoder side, noise",
    "hard": "c: decoder side, hard",
    "hard-true": "d: as c, true gradient of the mean",
}
"""The stages of soft-then-hard and its controls, which rows T1 and T1m compare."""

OBJECTIVES = {"ms-ssim": "MS-SSIM", "mse": "MSE"}
"""As people write what networks were trained for."""

LETTERS = "; ".join(title for title in STAGES.values() if ":" in title) + "."

SURROGATES = {"sua-a": "SUA-A", "sua-b": "SUA-B", "sua-c": "SUA-C"}
STOPPED = {"psg-1": "PSG-1", "psg-3": "PSG-3"}
SHARPENED = ("soft-rounding", "gumbel")  # whose constant is no t from 0 to 1

RECONSTRUCTIONS = (
    "SUA-A, SUA-B, SUA-C, PSG-1 and PSG-3 are our reconstructions: of Zhang, Li and Liu (arXiv 2309.17051) only the "
    "abstract was at hand, and none of these is known to be the paper's own form."
)
BOUND = 0.11  # of the scale, unless a cell is there for another


def fraction(value: float) -> str:
    """A temperature as people write it: 1/2, 1/4, 8, 0.15."""
    exact = Fraction(value).limit_denominator(8)
    if exact.numerator == 1 and abs(float(exact) - value) < 1e-9:
        return str(exact)
    return f"{value:g}"


def surrogate_title(row: RunRow) -> str:
    """The surrogate with its temperature, routing and slope: `SUA-A t=1/2 (split, unit)`, `soft-rounding 1 to 8`."""
    name = SURROGATES.get(row.surrogate, row.surrogate)
    numbers = [fraction(float(number)) for number in row.temperature.split(" to ") if number]
    if len(numbers) == 1:
        name += f" at {numbers[0]}" if row.surrogate in SHARPENED else f" t={numbers[0]}"
    elif numbers:
        name += f" {' to '.join(numbers)}"
    choices = ", ".join(filter(None, (row.routing, row.slope)))
    return f"{name} ({choices})" if choices else name


def settings_title(row: RunRow) -> str:
    """The settings beside the surrogate that few cells have: `bound 0.04, PSG-1`; empty where there are none."""
    said = [f"bound {row.scale_bound:g}"] if row.scale_bound != BOUND else []
    said += [STOPPED[row.stop_gradient]] if row.stop_gradient in STOPPED else []
    return ", ".join(said)


def title(row: RunRow, control: RunRow | None = None) -> str:
    """Surrogate and settings; beside a control also what else differs from it."""
    said = [surrogate_title(row), settings_title(row)]
    if control is not None and is_on(row.zero_centre) != is_on(control.zero_centre):
        said.append(f"zero-centre {'on' if is_on(row.zero_centre) else 'off'}")
    return ", ".join(filter(None, said))


def stage_title(row: RunRow) -> str:
    """What a stage of soft-then-hard is called where stages are what a row compares; else empty."""
    return STAGES.get(row.stage, "") if row.row in ("T1", "T1m") else ""


def is_on(text: str) -> bool:
    """Whether a setting's text says yes."""
    return text in ("true", "on", "1")
