"""The five primary questions, and the answers that a study's rows give: yes, no or undecided.

Yes: the criterion, fixed before the first run, holds, its intervals exclude 0 and Holm's correction over the five
leaves p below 0.05. No: an interval excludes what the question claims. All else is undecided, a question without data
too; of one without data it is said that it has not run yet.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from submission.study.contrasts import Contrast, contrast
from submission.study.measured import Study
from submission.study.parts import Part, Verdict, best, by_intervals, p_of
from submission.study.risks import Risks
from submission.study.statistics import holm, t_interval
from submission.study.trade import trade

LEVEL = 0.05
LEAST_GAIN = -3.0  # per cent of BD-rate that P1 asks for; the paper has -5.0
FURTHER = 0.5  # per cent of mean beyond which an interval that covers 0 calls for seeds 4 and 5
SEEDS = 3


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
        "P4": lambda: trade(study, risks),
        "P5": lambda: _annealing(study),
    }
    found = []
    for name, question in QUESTIONS.items():
        parts, verdict, reason = ask[name]()
        found.append(Answer(name, question, tuple(parts), verdict, reason, p_of(parts)))
    adjusted = holm({answer.name: answer.p for answer in found})
    return [_corrected(answer, adjusted[answer.name]) for answer in found]


def _corrected(answer: Answer, adjusted: float) -> Answer:
    """A yes that does not survive the correction is undecided."""
    if answer.verdict == "yes" and adjusted >= LEVEL:
        reason = f"the criterion holds, but not after Holm's correction over the five (p {adjusted:.3f})"
        return replace(answer, verdict="undecided", reason=reason, adjusted=adjusted)
    return replace(answer, adjusted=adjusted)


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
    return by_intervals(parts, "stages c and b of row T1 have no BD-rate")


def _poorer_latents(study: Study) -> tuple[list[Part], Verdict, str]:
    cells = [cell for cell in study.of("S2", study.main_set) if cell.about.network == "H"]
    by_name = {cell.about.surrogate: cell for cell in cells}
    parts = []
    for other in ("straight-through", "soft-rounding"):
        found = contrast(by_name["noise"], by_name[other]) if {"noise", other} <= set(by_name) else None
        if found is None:
            return [], "not run yet", f"row S2 lacks noise or {other} of network H"
        parts.append(Part(f"H after stage hard: noise against {other}, dJ/R", found.gain, yes_above=True))
    return by_intervals(parts, "row S2 has nothing")


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
            winner, rival = best(ours, without=seed), best(others, without=seed)
            found = contrast(winner, rival)
            if found and seed in found.by_seed:
                differences.append(found.by_seed[seed])
                chosen.append(f"{winner.title} against {rival.title}")
        names = " or ".join(dict.fromkeys(chosen))
        parts.append(Part(f"{network}: {names}, dJ/R", t_interval(differences), yes_above=True))
    return by_intervals(parts, "")
