"""Points beyond those of a sweep: a selection for every rate, what a codec would add to it, and again.

A codec knows what is worth coding near a choice (gains between the swept ones, an image refined for its rate), and this
module need not know why. Each round selects among what its rounds have asked for, not among all that earlier runs left
in the store: so a run that was killed asks the same again when it goes on, and ends with the same candidates.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from harness.codecs.protocol import Adaptive, Codec
from harness.errors import ClicError
from harness.images import SourceImage, load_rgb
from harness.progress import bar, counted, duration, log
from harness.records import Failure
from harness.selection.exact import chosen_rows, select
from harness.store import Store
from harness.sweep.executor import Executor
from harness.sweep.measure import scored_candidates
from harness.sweep.plan import Plan
from harness.sweep.run import code_missing, export_failures
from harness.sweep.table import export_candidates

ROUNDS = 12  # of selecting and coding, at most
QUICK_SECONDS = 10.0  # a round of less is not announced

Points = dict[str, list[str]]
"""Operating points by the hash of their image."""


@dataclass(frozen=True)
class Goal:
    """What candidates are for: a budget in bytes for each rate, and the objective that a selection is best in."""

    budgets: Sequence[int]
    objective: str = "competition"


@dataclass(frozen=True)
class Swept:
    """A codec, and the plan that was swept with it."""

    codec: Codec
    plan: Plan


def sweep_further(swept: Sequence[Swept], store: Store, executor: Executor, goal: Goal) -> pd.DataFrame:
    """Code what the codecs add to the selections for the goal; returns all their candidates of the set, measured.

    All `swept` are of one set of photographs, and each image may be chosen from any of the codecs. A point that cannot
    be coded is listed in failures.csv, and the others do without it. Raises ClicError for what a codec answers wrongly.
    """
    plans = [one.plan for one in swept]
    codecs, originals = [plan.codec for plan in plans], plans[0].originals
    offered: dict[str, Points] = {
        plan.codec.sha256: {image: list(plan.points) for image in plan.images} for plan in plans
    }
    adaptive = [(one.codec, one.plan) for one in swept if isinstance(one.codec, Adaptive)]
    measured = partial(scored_candidates, store, originals, codecs, goal.objective, executor)
    candidates, is_coded = measured(), False
    for _ in range(ROUNDS if adaptive else 0):
        chosen = _chosen(candidates[_is_offered(candidates, offered)], goal)
        rounds = [_next_round(codec, plan, chosen, offered[plan.codec.sha256]) for codec, plan in adaptive]
        if not any(asked.further for asked in rounds):
            break
        for (codec, _), asked in zip(adaptive, rounds, strict=True):
            _code(codec, asked, store, executor)
            for image, points in (asked.further or {}).items():
                offered[asked.codec.sha256][image] += points
        candidates, is_coded = measured(), True
    if is_coded:  # the sweep has written the others
        export_candidates(store, originals.id)
    return candidates


def foretold_seconds(codec: Adaptive, images: Sequence[SourceImage], rates: int) -> float:
    """Seconds of one core that further points will take, if choices at so many rates stay where they are.

    The codec is asked as after a selection, with points around the middle as all images' choices, and measures itself
    on the largest image.
    """
    base = list(dict.fromkeys(codec.points()))
    chosen = [base[len(base) * (place + 1) // (rates + 1)] for place in range(rates)]
    names = [str(number) for number in range(len(images))]
    offered = {name: list(base) for name in names}
    for _ in range(ROUNDS):
        asked = codec.further(dict.fromkeys(names, chosen), offered)
        if not asked:
            break
        for name, points in asked.items():
            offered[name] += points
    largest = max(images, key=lambda source: source.pixels)
    beyond = offered[names[0]][len(base) :]
    each = sum(codec.seconds(load_rgb(largest.path), beyond)) if beyond else 0.0
    return each * sum(source.pixels for source in images) / largest.pixels


def _is_offered(candidates: pd.DataFrame, offered: Mapping[str, Points]) -> list[bool]:
    """Which candidates are of points that this run has asked for."""
    sets = {(codec, image): set(points) for codec, images in offered.items() for image, points in images.items()}
    keys = zip(candidates["codec_sha256"], candidates["image_sha256"], candidates["point"], strict=True)
    return [point in sets.get((codec, image), ()) for codec, image, point in keys]


def _chosen(candidates: pd.DataFrame, goal: Goal) -> pd.DataFrame:
    """The rows that selections for all budgets are made of; none for a budget that no choice keeps to."""
    found = [candidates.iloc[:0]]
    for budget in goal.budgets:
        with suppress(ClicError):  # of the smallest choice, which is above the budget; the packer says so
            found.append(chosen_rows(candidates, select(candidates, budget, goal.objective)))
    return pd.concat(found)


def _next_round(codec: Adaptive, plan: Plan, chosen: pd.DataFrame, offered: Points) -> Plan:
    """The plan of what the codec would add."""
    of_codec = chosen[chosen["codec_sha256"] == plan.codec.sha256]
    points = of_codec.groupby("image_sha256", sort=True)["point"].agg(lambda column: list(dict.fromkeys(column)))
    asked = codec.further(dict(points), offered) if len(points) else {}
    fresh = {image: [point for point in points if point not in offered[image]] for image, points in asked.items()}
    return replace(plan, further={image: points for image, points in fresh.items() if points})


def _code(codec: Adaptive, asked: Plan, store: Store, executor: Executor) -> None:
    """Code a round, announced by what it will take; what fails is told and left out."""
    tasks = asked.tasks(store)
    if not tasks:
        return
    points = sorted({point for task in tasks for point in task.points})
    took = codec.seconds(load_rgb(Path(tasks[0].path)), points)
    weights = {point: value / tasks[0].pixels * 1e6 for point, value in zip(points, took, strict=True)}
    asked = replace(asked, weights=weights)
    work = sum(asked.work(task, point) for task in tasks for point in task.points) / 1e6
    count = counted(sum(len(task.points) for task in tasks), "further point")
    if work > QUICK_SECONDS:
        log(f"{count} of {counted(len(tasks), 'image')}, {duration(work)} of one core: {codec.about_further()}")
    with bar("further points") as progress:
        failures: list[Failure] = code_missing(asked, store, executor, progress)
    if failures:
        path = store.folder / "failures.csv"
        export_failures(path, asked, failures)
        log(f"{counted(len(failures), 'further point')} could not be coded, see {path}; the others do without")
