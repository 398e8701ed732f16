"""The five primary questions, and the answers that a study's rows give: yes, no or undecided.

Yes: the criterion, fixed before the first run, holds, its intervals exclude 0 and Holm's correction over the five
leaves p below 0.05. No: an interval excludes what the question claims. All else is undecided, a question without data
too; of one without data it is said that it has not run yet.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from submission.study.contrasts import Contrast, contrast
from submission.study.measured import Cell, Study
from submission.study.names import fraction
from submission.study.risks import Risks
from submission.study.statistics import NOTHING, Interval, holm, t_interval

LEVEL = 0.05
LEAST_GAIN = -3.0  # per cent of BD-rate that P1 asks for; the paper has -5.0
FURTHER = 0.5  # per cent of mean beyond which an interval that covers 0 calls for seeds 4 and 5
SEEDS = 3

Verdict = Literal["yes", "no", "undecided", "not run yet"]


@dataclass(frozen=True)
class Part:
    """One comparison that an answer rests on: what it is, its interval in per cent, and the side that says yes."""

    label: str
    interval: Interval
    yes_above: bool

    @property
    def confirmed(self) -> bool:
        """Whether the interval lies on the side of yes."""
        return self.interval.above if self.yes_above else self.interval.below

    @property
    def refuted(self) -> bool:
        """Whether the interval lies on the other side."""
        return self.interval.below if self.yes_above else self.interval.above


@dataclass(frozen=True)
class Answer:
    """A primary question and what is known: its verdict, why, and the p-value before and after Holm's correction."""

    name: str
    question: str
    parts: tuple[Part, ...]
    verdict: Verdict
    reason: str
    p: float = math.nan
    adjusted: float = 1.0

    @property
    def further_seeds(self) -> bool:
        """Whether seeds 4 and 5 are called for: an interval covers 0 with a mean beyond half a per cent."""
        return any(
            part.interval.known
            and part.interval.seeds == SEEDS
            and not (part.confirmed or part.refuted)
            and abs(part.interval.mean) > FURTHER
            for part in self.parts
        )


QUESTIONS: Mapping[str, str] = {
    "P1": "Does soft-then-hard help (paper A)?",
    "P2": "Is it the hardness?",
    "P3": "Do straight-through and annealing learn poorer latents than noise (paper A)?",
    "P4": "Is there a trade of mismatch for gradient risk, other for other networks (paper B)?",
    "P5": "Does stochastic uniform annealing win (paper B; our reconstructions)?",
}


def answers(study: Study, risks: Risks) -> list[Answer]:
    """All five, by what the study has so far; `risks` are those of its `gradients.csv`."""
    ask: dict[str, Callable[[], tuple[list[Part], Verdict, str]]] = {
        "P1": lambda: _soft_then_hard(study),
        "P2": lambda: _hardness(study),
        "P3": lambda: _poorer_latents(study),
        "P4": lambda: _trade(study, risks),
        "P5": lambda: _annealing(study),
    }
    found = []
    for name, question in QUESTIONS.items():
        parts, verdict, reason = ask[name]()
        found.append(Answer(name, question, tuple(parts), verdict, reason, _p(parts)))
    adjusted = holm({answer.name: answer.p for answer in found})
    return [_corrected(answer, adjusted[answer.name]) for answer in found]


def _p(parts: Sequence[Part]) -> float:
    """Of all parts together: a claim that needs each of them is as sure as the least sure one."""
    if not parts or any(math.isnan(part.interval.p) for part in parts):
        return math.nan
    return max(part.interval.p for part in parts)


def _corrected(answer: Answer, adjusted: float) -> Answer:
    """A yes that does not survive the correction is undecided."""
    if answer.verdict == "yes" and adjusted >= LEVEL:
        reason = f"the criterion holds, but not after Holm's correction over the five (p {adjusted:.3f})"
        return replace(answer, verdict="undecided", reason=reason, adjusted=adjusted)
    return replace(answer, adjusted=adjusted)


def _by_intervals(parts: Sequence[Part], missing: str) -> tuple[list[Part], Verdict, str]:
    """Yes where all parts are confirmed, no where one is refuted."""
    if not parts:
        return [], "not run yet", missing
    short = [part for part in parts if not part.interval.known]
    if short:
        return list(parts), "undecided", f"{short[0].label}: fewer than two seeds"
    if all(part.confirmed for part in parts):
        return list(parts), "yes", "all intervals exclude 0 on the side that the question claims"
    refuted = [part for part in parts if part.refuted]
    if refuted:
        return list(parts), "no", f"{refuted[0].label}: the interval lies on the other side of 0"
    covering = next(part for part in parts if not part.confirmed)
    return list(parts), "undecided", f"{covering.label}: the interval covers 0"


def _stages(study: Study, row: str, test: str, control: str) -> Contrast | None:
    """Two stages of a row, on the set that answers the primary questions."""
    cells = {cell.about.stage: cell for cell in study.of(row, study.main_set)}
    if test not in cells or control not in cells:
        return None
    return contrast(cells[test], cells[control])


def _soft_then_hard(study: Study) -> tuple[list[Part], Verdict, str]:
    found = _stages(study, "T1", "hard", "soft-continued")
    if found is None or not found.bd.seeds:
        return [], "not run yet", "stages c and a of row T1 have no BD-rate"
    bd = found.bd
    parts = [Part("T1: c against a, BD-rate", bd, yes_above=False)]
    if not bd.known:
        return parts, "undecided", "fewer than two seeds"
    if bd.mean <= LEAST_GAIN and bd.below:
        return parts, "yes", f"BD-rate of at most {LEAST_GAIN:g} %, with an interval below 0"
    if bd.low > LEAST_GAIN:
        side = "below" if bd.below else "above" if bd.above else "around"
        return parts, "no", f"the interval, {side} 0, excludes a BD-rate of {LEAST_GAIN:g} %"
    return parts, "undecided", f"the interval excludes neither 0 nor {LEAST_GAIN:g} %, or the mean is above the latter"


def _hardness(study: Study) -> tuple[list[Part], Verdict, str]:
    found = _stages(study, "T1", "hard", "decoder-only")
    parts = [Part("T1: c against b, BD-rate", found.bd, yes_above=False)] if found and found.bd.seeds else []
    return _by_intervals(parts, "stages c and b of row T1 have no BD-rate")


def _poorer_latents(study: Study) -> tuple[list[Part], Verdict, str]:
    cells = [cell for cell in study.of("S2", study.main_set) if cell.about.network == "H"]
    by_name = {cell.about.surrogate: cell for cell in cells}
    parts = []
    for other in ("straight-through", "soft-rounding"):
        found = contrast(by_name["noise"], by_name[other]) if {"noise", other} <= set(by_name) else None
        if found is None:
            return [], "not run yet", f"row S2 lacks noise or {other} of network H"
        parts.append(Part(f"H after stage hard: noise against {other}, dJ/R", found.gain, yes_above=True))
    return _by_intervals(parts, "row S2 has nothing")


# Paper B.


def family(study: Study, network: str) -> dict[float, Cell]:
    """The cells of SUA-A (split, unit) by temperature; its ends are noise (1) and mixed (0), bit for bit."""
    found = {}
    for cell in study.of("S", study.main_set):
        about = cell.about
        if about.network == network:
            if about.surrogate in ("noise", "mixed"):
                found[1.0 if about.surrogate == "noise" else 0.0] = cell
            elif about.surrogate == "sua-a" and (about.routing, about.slope) == ("split", "unit"):
                found[about.temperature or 0.0] = cell
    return dict(sorted(found.items(), reverse=True))


def _trade(study: Study, risks: Risks) -> tuple[list[Part], Verdict, str]:
    families = {name: family(study, name) for name in ("F", "H", "J", "N")}
    families = {name: cells for name, cells in families.items() if {0.0, 1.0} < set(cells)}
    parts = []
    for name, cells in families.items():
        hard, soft = cells[0.0].mismatch(), cells[1.0].mismatch()
        falls = [abs(soft[seed]) - abs(hard[seed]) for seed in soft if seed in hard]
        rises = risks.rise(name)
        if falls and rises.seeds:
            parts.append(Part(f"{name}: mismatch at t=1 less that at t=0", t_interval(falls), yes_above=True))
            parts.append(Part(f"{name}: gradient risk at t=0 less that at t=1", rises, yes_above=True))
    if not parts:
        return [], "not run yet", "no network has mismatch and gradient risk at both ends of SUA-A"
    differing = _best_temperatures(families)
    if differing:
        return _by_intervals(parts + differing, "")
    return _same_best(families, parts)


def _same_best(families: Mapping[str, Mapping[float, Cell]], parts: list[Part]) -> tuple[list[Part], Verdict, str]:
    """No where the one best temperature beats every other in every network; else that is all that is known."""
    rivals = []
    for name, cells in families.items():
        best = _best(list(cells.values()))
        found = [(cell, contrast(best, cell)) for cell in cells.values() if cell is not best]
        rivals += [
            Part(f"{name}: {best.title} against {cell.title}, dJ/R", one.gain if one else NOTHING, yes_above=False)
            for cell, one in found
        ]
    if rivals and all(part.refuted for part in rivals):
        return parts + rivals, "no", "the same temperature is best in all networks, beyond their intervals"
    return parts + rivals, "undecided", "the same temperature is best in all networks, though not beyond all intervals"


def _best_temperatures(families: Mapping[str, Mapping[float, Cell]]) -> list[Part]:
    """The two networks whose best temperatures differ most surely; p is that of one pair times the number of pairs."""
    best = {name: _best(list(cells.values())) for name, cells in families.items()}
    tried = []
    for first, second in combinations(families, 2):
        ours, theirs = _temperature(best[first]), _temperature(best[second])
        if ours == theirs:
            continue
        pair = []
        for name, own, other in ((first, ours, theirs), (second, theirs, ours)):
            cells = families[name]
            found = contrast(cells[own], cells[other]) if other in cells else None
            label = f"{name}: t={fraction(own)} against t={fraction(other)}, dJ/R"
            pair.append(Part(label, found.gain if found else NOTHING, yes_above=True))
        tried.append(pair)
    if not tried:
        return []
    count = len(tried)
    surest = min(tried, key=lambda pair: math.inf if math.isnan(_p(pair)) else _p(pair))
    return [replace(part, interval=replace(part.interval, p=min(1.0, count * part.interval.p))) for part in surest]


def _temperature(cell: Cell) -> float:
    return 1.0 if cell.about.surrogate == "noise" else cell.about.temperature or 0.0


def _best(cells: Sequence[Cell], without: int | None = None) -> Cell:
    """The one of least J against the first, by the seeds but `without`."""

    def gain(cell: Cell) -> float:
        found = contrast(cell, cells[0]) if cell is not cells[0] else None
        kept = [value for seed, value in found.by_seed.items() if seed != without] if found else [0.0]
        return sum(kept) / len(kept) if kept else -math.inf

    return max(cells, key=gain)


def _annealing(study: Study) -> tuple[list[Part], Verdict, str]:
    """Which form is best is chosen by the other seeds: a choice by the seed that judges would favour many forms."""
    parts = []
    for network in ("H", "N"):
        cells = [cell for cell in study.of("S", study.main_set) if cell.about.network == network]
        ours = [cell for cell in cells if cell.about.surrogate.startswith("sua-")]
        others = [cell for cell in cells if not cell.about.surrogate.startswith("sua-")]
        if not ours or not others:
            return [], "not run yet", f"row S lacks a form of stochastic uniform annealing, or all others, of {network}"
        differences, chosen = [], []
        for seed in sorted({seed for cell in cells for seed in cell.seeds}):
            best, rival = _best(ours, without=seed), _best(others, without=seed)
            found = contrast(best, rival)
            if found and seed in found.by_seed:
                differences.append(found.by_seed[seed])
                chosen.append(f"{best.title} against {rival.title}")
        names = " or ".join(dict.fromkeys(chosen))
        parts.append(Part(f"{network}: {names}, dJ/R", t_interval(differences), yes_above=True))
    return _by_intervals(parts, "")
