"""P4: whether SUA-A trades mismatch for gradient risk as its box shrinks, and whether networks differ in the best box.

Yes needs both. In each network whose gradients were measured, mismatch falls and risk rises from t = 1 over 1/2 and
1/4 to 0: means over seeds in that order, and the difference between the ends with an interval that excludes 0. And two
networks are there, each of which is better with its own best t than with the other's, with intervals that exclude 0.
No is where one of these differences, or a step between neighbouring t, lies on the other side with its interval.
Mismatch and risk are those of row G, so of trunks; the best t is that of row S, among those that both networks have.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations, pairwise

from submission.study.contrasts import contrast
from submission.study.measured import Cell, Study
from submission.study.names import fraction
from submission.study.parts import Part, Verdict, best, by_intervals, p_of
from submission.study.risks import Risk, Risks
from submission.study.statistics import NOTHING, Interval, t_interval

SHRINKING = (1.0, 0.5, 0.25, 0.0)  # the temperatures over which mismatch must fall and risk rise
Family = Mapping[float, Cell]


def trade(study: Study, risks: Risks) -> tuple[list[Part], Verdict, str]:
    """The answer to P4, by what there is so far."""
    curves = {network: risks.shrinking(network) for network in risks.networks}
    curves = {network: curve for network, curve in curves.items() if set(SHRINKING) <= set(curve)}
    if not curves:
        return [], "not run yet", "no network has gradients at all four temperatures of SUA-A"
    parts = [part for network, curve in curves.items() for part in _step(network, curve, SHRINKING[0], SHRINKING[-1])]
    families = {name: family(study, name) for name in ("F", "H", "J", "N")}
    families = {name: cells for name, cells in families.items() if {0.0, 1.0} < set(cells)}
    wrong = [part for network, curve in curves.items() for part in _wrong_steps(network, curve)]
    if any(part.refuted for part in parts + wrong):
        return by_intervals(parts + [part for part in wrong if part.refuted], "")
    if wrong:
        return parts + wrong, "undecided", f"{wrong[0].label}: against the order that is claimed"
    if len(families) < 2:
        return parts, "undecided", "row S has not two networks with noise, mixed and SUA-A between them yet"
    differing = _differing(families)
    return by_intervals(parts + differing, "") if differing else _same_best(families, parts)


def family(study: Study, network: str) -> dict[float, Cell]:
    """The cells of SUA-A (split, unit) by temperature; its ends are noise (1) and mixed (0), bit for bit."""
    found = {}
    for cell in study.of("S", study.main_set):
        about = cell.about
        if about.network == network:
            if about.surrogate in ("noise", "mixed"):
                found[1.0 if about.surrogate == "noise" else 0.0] = cell
            elif about.surrogate == "sua-a" and (about.routing, about.slope) == ("split", "unit"):
                found[float(about.temperature)] = cell
    return dict(sorted(found.items(), reverse=True))


def _change(before: Mapping[int, float], after: Mapping[int, float]) -> Interval:
    """Over the seeds that have both, per cent of the first."""
    return t_interval([100 * (after[seed] / before[seed] - 1) for seed in before if seed in after])


def _step(network: str, curve: Mapping[float, Risk], before: float, after: float) -> list[Part]:
    """What shrinking the box from one temperature to another does: mismatch should fall, gradient risk rise."""
    place = f"at t={fraction(after)} against t={fraction(before)}"
    first, last = curve[before], curve[after]
    return [
        Part(f"{network}: mismatch {place}", _change(first.mismatch, last.mismatch), yes_above=False),
        Part(f"{network}: gradient risk {place}", _change(first.risk, last.risk), yes_above=True),
    ]


def _wrong_steps(network: str, curve: Mapping[float, Risk]) -> list[Part]:
    """Steps from one temperature to the next whose mean does not go the way that is claimed."""
    steps = [part for before, after in pairwise(SHRINKING) for part in _step(network, curve, before, after)]
    return [part for part in steps if not (part.interval.mean > 0 if part.yes_above else part.interval.mean < 0)]


def _differing(families: Mapping[str, Family]) -> list[Part]:
    """The two networks whose best temperatures differ most surely; p is that of one pair times the number of pairs.

    Each pair is compared over the temperatures that both have.
    """
    tried = []
    for first, second in combinations(families, 2):
        shared = [t for t in families[first] if t in families[second]]
        ours, theirs = (_best_of(families[name], shared) for name in (first, second))
        if ours != theirs:
            tried.append([_against(families, first, ours, theirs), _against(families, second, theirs, ours)])
    if not tried:
        return []
    surest = min(tried, key=lambda pair: math.inf if math.isnan(p_of(pair)) else p_of(pair))
    return [replace(part, interval=replace(part.interval, p=min(1.0, len(tried) * part.interval.p))) for part in surest]


def _best_of(cells: Family, temperatures: Sequence[float]) -> float:
    winner = best([cells[t] for t in temperatures])
    return next(t for t in temperatures if cells[t] is winner)


def _against(families: Mapping[str, Family], network: str, own: float, other: float) -> Part:
    found = contrast(families[network][own], families[network][other])
    label = f"{network}: t={fraction(own)} against t={fraction(other)}, dJ/R"
    return Part(label, found.gain if found else NOTHING, yes_above=True)


def _same_best(families: Mapping[str, Family], parts: list[Part]) -> tuple[list[Part], Verdict, str]:
    """No where the one best temperature beats every other in every network; else that is all that is known."""
    shared = [t for t in SHRINKING if all(t in cells for cells in families.values())]
    rivals = []
    for network, cells in families.items():
        own = _best_of(cells, shared)
        rivals += [replace(_against(families, network, own, t), yes_above=False) for t in shared if t != own]
    same = "of the temperatures that they share, the same one is best in all networks"
    if all(part.refuted for part in rivals):
        return parts + rivals, "no", f"{same}, beyond their intervals"
    return parts + rivals, "undecided", f"{same}, though not beyond all intervals"
