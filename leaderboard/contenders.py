"""The codecs of a comparison: each coded over one set of photographs, and selected from at each rate.

All codecs are treated alike, whether they bring a decoder or not: a selection's bytes are those of the streams, without
the container in which a submission would put them. A union ("avif + clic") is one, too: nothing is coded for it but
what its members lack, and each photograph is by whichever of them does best.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import pandas as pd

from harness.challenge.profiles import Profile, Target
from harness.codecs.registry import canonical, open_codec, parts
from harness.errors import ClicError
from harness.images import SourceImage
from harness.progress import Progress, counted, log
from harness.rates import Rate
from harness.records import Allocation, Failure, Key
from harness.selection.exact import Selection, chosen_rows, select
from harness.store import Store
from harness.sweep.executor import Executor
from harness.sweep.further import Goal, Swept, sweep_further
from harness.sweep.originals import Originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep
from leaderboard.comparison import Reached, Unreached

Bar = Callable[[str], AbstractContextManager[Progress]]


@dataclass(frozen=True)
class Request:
    """What is to be compared: codecs by what opens them, a challenge's rules, its rates, and what is best."""

    codecs: Sequence[str]
    profile: Profile
    rates: Sequence[Rate]
    objective: str = "competition"

    def goal(self, images: Sequence[SourceImage]) -> Goal:
        """What candidates of these photographs are for."""
        pixels = sum(source.pixels for source in images)
        return Goal([Target(self.profile, rate, pixels).budget for rate in self.rates], self.objective)


@dataclass(frozen=True)
class Contender:
    """A codec after its sweep: its candidates, and why some are missing.

    `swept` are the codecs whose candidates these are: a union's members, or the codec itself.
    `failures` has a row `codec,image,point,reason` for each candidate that could not be made, with an empty point where
    the whole photograph is concerned; `failed` maps the photographs without any candidate to the reason.
    """

    plan: Plan
    swept: Sequence[Plan]
    candidates: pd.DataFrame
    failures: pd.DataFrame
    failed: dict[str, str]

    @property
    def name(self) -> str:
        """Of its codec."""
        return self.plan.codec.name

    @property
    def is_union(self) -> bool:
        """Whether its candidates are those of several codecs."""
        return len(self.swept) > 1

    def shown(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Rows of candidates as a comparison shows them: by its name, a union's points with their codec in front."""
        if not self.is_union:
            return rows
        return rows.assign(codec=self.name, point=rows["codec"] + " " + rows["point"].map(str))


@dataclass(frozen=True)
class Choice:
    """What became of a codec at a rate: its outcome, and where it was reached the rows that were chosen."""

    outcome: Reached | Unreached
    budget: int
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    selection: Selection | None = None


def plans(codecs: Sequence[str], originals: Originals) -> list[Plan]:
    """What is to be coded, a plan for each codec. Raises ClicError before anything is coded.

    That is for a codec that cannot be opened, one that is named twice, and two of one name.
    """
    made: dict[str, Plan] = {}
    for spec in codecs:
        plan = Plan(originals, describe(open_codec(spec), spec))
        name = plan.codec.name
        if name in made:
            same = made[name].codec.sha256 == plan.codec.sha256
            raise ClicError(
                f"codec {canonical(spec)!r} is named twice; name each once"
                if same
                else f"two codecs are called {name!r}; give one of them another name"
            )
        made[name] = plan
    return list(made.values())


def measure(plan: Plan, store: Store, executor: Executor, reread: bool, bar: Bar) -> Contender:
    """Code what is missing of a codec. Photographs that it cannot code are in what is returned, not raised."""
    members = parts(plan.codec.spec)
    swept = [replace(plan, codec=describe(open_codec(spec), spec)) for spec in members] if len(members) > 1 else [plan]
    for one in swept:
        try:
            with bar(f"sweep {one.codec.name}") as progress:
                sweep(one, store, executor, reread, progress)
        except ClicError:
            if _failures(one, store).empty:  # something else went wrong
                raise
    candidates = store.candidates(plan.originals.id, [one.codec.sha256 for one in swept])
    failures = pd.concat([_failures(one, store) for one in swept], ignore_index=True)
    coded = set(candidates["image"])
    reasons = dict(zip(failures["image"], failures["reason"], strict=True))
    failed = {name: reasons.get(name, "no candidate") for name in plan.originals.hashes if name not in coded}
    log(f"{plan.codec.name}: {counted(len(candidates), 'candidate')} of {counted(len(coded), 'image')}")
    return Contender(plan, swept, candidates, failures, failed)


def with_further(contender: Contender, store: Store, executor: Executor, goal: Goal) -> Contender:
    """The codec with what it adds for the goal, selected from alone: what it is worth must not depend on the others."""
    swept = [Swept(open_codec(plan.codec.spec), plan) for plan in contender.swept]
    return replace(contender, candidates=sweep_further(swept, store, executor, goal))


def _failures(plan: Plan, store: Store) -> pd.DataFrame:
    """Of the points that every image is to have; a further one that fails is done without."""
    failed = {
        (row.image, row.point): row.reason
        for row in store.rows(Failure, codec=plan.codec.sha256)
        if row.point in ("", *plan.points)
    }
    rows = [
        (plan.codec.name, name, point, reason)
        for name, digest in plan.originals.hashes.items()
        for (image, point), reason in failed.items()
        if image == digest
    ]
    return pd.DataFrame(rows, columns=["codec", "image", "point", "reason"])


def choose(contender: Contender, store: Store, target: Target, objective: str) -> Choice:
    """The best choice of a codec's candidates within a target's budget, recorded in the store as an allocation."""
    name, rate, budget = contender.name, str(target.rate), target.budget
    if contender.failed:
        image, reason = next(iter(contender.failed.items()))
        count = counted(len(contender.failed), "image")
        return Choice(Unreached(name, rate, f"it could not code {count}, the first is {image}: {reason}"), budget)
    smallest = int(contender.candidates.groupby("image")["bytes"].min().sum())
    if smallest > budget:
        bpp = math.ceil(1e4 * 8 * smallest / target.pixels) / 1e4
        reason = f"its smallest streams take {smallest} bytes, {bpp:.4f} bits per pixel, and the budget is {budget}"
        return Choice(Unreached(name, rate, reason), budget)
    selection = select(contender.candidates, budget, objective)
    rows = chosen_rows(contender.candidates, selection).drop_duplicates("image")
    _record(contender, store, target, selection, rows)
    shown = contender.shown(rows)
    points = {str(image): point for image, point in zip(shown["image"], shown["point"], strict=True)}
    return Choice(Reached(name, rate, points, selection.bytes), budget, rows, selection)


def _record(contender: Contender, store: Store, target: Target, selection: Selection, rows: pd.DataFrame) -> None:
    """Put the selection into the store, unless the very same is there."""
    keys = {row.image: Key(row.image_sha256, row.codec_sha256, row.point) for row in rows.itertuples()}
    allocation = Allocation(
        id=None,
        image_set=contender.plan.originals.id,
        objective=selection.objective,
        target=f"{target.profile.name} {target.rate}",
        budget_bytes=selection.budget,
        overhead_bytes=0,
        bytes=selection.bytes,
        score=selection.score,
        bound=selection.bound,
    )
    same = {key: value for key, value in vars(allocation).items() if key not in ("id", "score", "bound")}
    for known in store.rows(Allocation, **same):
        chosen = store.chosen(known.id or 0)
        there = {row.image: Key(row.image_sha256, row.codec_sha256, row.point) for row in chosen.itertuples()}
        if there == keys:
            return
    store.allocate(allocation, keys)
