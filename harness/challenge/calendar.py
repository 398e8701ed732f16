"""What is due in a challenge, and what is left to prove of each run, with the commands that prove it."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from harness.challenge.frozen import FOLDER
from harness.challenge.profiles import Profile, profile_names
from harness.challenge.proof import Proof
from harness.codecs.registry import parts
from harness.errors import ClicError

EVERYWHERE = timedelta(hours=12)  # a day ends on earth twelve hours after it ended in UTC
EVENTS = {
    "validation_closes": "the validation phase closes: what is uploaded by then is all that may decode the test set",
    "test_set": "the test set is published",
    "test_closes": "the test phase closes: data files of the test set, each with a frozen decoder",
    "white_paper": "the white paper is due",
}


@dataclass(frozen=True)
class Due:
    """A day of the challenge, what it is, and how many days are left; below 0 it is over."""

    day: date
    event: str
    days: int


def today_everywhere() -> date:
    """The day that it still is somewhere on earth."""
    return (datetime.now(UTC) - EVERYWHERE).date()


def dues(profile: Profile, today: date) -> list[Due]:
    """The days of a challenge in their order. Raises ClicError where none are known."""
    if profile.dates is None:
        raise ClicError(f"profile {profile.name}: no dates are known; add a table [dates] to it")
    days = {key: date.fromisoformat(text) for key, text in vars(profile.dates).items()}
    return [Due(day, EVENTS[key], (day - today).days) for key, day in days.items()]


def is_over(profile: Profile, event: str, today: date) -> bool:
    """Whether a day of the challenge, a key of EVENTS, has ended; never where no days are known."""
    return profile.dates is not None and today > date.fromisoformat(getattr(profile.dates, event))


def is_test(proof: Proof, proofs: Sequence[Proof]) -> Proof | None:
    """The run in which this one's decoder was frozen, where that was of other images."""
    for other in proofs:
        if other.frozen and other.frozen.decoder_sha224 == proof.decoder_sha224 and other.image_set != proof.image_set:
            return other
    return None


def steps(profile: Profile, proofs: Sequence[Proof], today: date, rules: str = "") -> Iterator[str]:
    """The commands that are left, in their order: of each run, and for each frozen decoder the test set.

    What belongs to a phase that is over is not coded any more; what was, is still proved, and kept. `rules` is what
    `profile` was loaded by, a name or a file, empty for the newest. A frozen decoder and a run know the name of theirs,
    but not a file.
    """
    named = f" --profile {shlex.quote(rules)}" if rules else ""
    of_file = named if rules.endswith(".toml") else ""
    validating, testing = (not is_over(profile, event, today) for event in ("validation_closes", "test_closes"))
    if not proofs and validating:
        yield f"clic submit VALIDATION_SET --out variant1 --team NAME --variant 1{named}"
    elif not proofs and testing:
        yield f"clic submit TEST_SET --out test1 --expect-decoder FROZEN{of_file}"
    for proof in proofs:
        validated = is_test(proof, proofs)
        expect = f" --expect-decoder {_shown(validated.folder / FOLDER)}" if validated else ""
        lacking = _lacking(profile, proof)
        images = _shown(proof.images) if proof.images else "IMAGES"
        track = f" --track {proof.track}" if proof.track else ""
        which = of_file if validated else named
        if lacking and (testing if validated else validating):
            options = expect or f" --team {shlex.quote(proof.team)}{track} --variant {proof.variant}"
            options += which + _choices(proof, validated)
            yield f"clic submit {images} --out {_shown(proof.folder)} --rates {','.join(lacking)}{options}"
        for rate in proof.verified:
            if rate not in proof.in_container:
                what = f"{_shown(proof.folder / rate)} --images {images} --rate {rate}"
                yield f"clic verify {what}{track} --in-container{expect}{which}"
        unfrozen = [rate for rate in proof.verified if not (proof.frozen and rate in proof.frozen.rates)]
        if not validated and unfrozen:
            yield f"clic freeze {_shown(proof.folder)}{of_file}"
    tested = {found.folder for proof in proofs if (found := is_test(proof, proofs))}
    for proof in proofs:
        if testing and proof.frozen and proof.folder not in tested:
            out = shlex.quote(f"test-{proof.folder.name}")
            yield f"clic submit TEST_SET --out {out} --expect-decoder {_shown(proof.folder / FOLDER)}{of_file}"


def too_late(profile: Profile, proof: Proof, validated: Proof | None, today: date) -> str:
    """What can no longer be added to a run, in words, with what to do if that is wrong; empty where all can."""
    phase = "test" if validated else "validation"
    lacking = _lacking(profile, proof)
    if not lacking or not is_over(profile, f"{phase}_closes", today):
        return ""
    told = f"too late for {', '.join(lacking)}: the {phase} phase is over"
    if proof.frozen or validated:
        return told
    return f"{told}; if these are images of the test set, name the folder too where their decoder was frozen"


def elsewhere(profile: Profile, proofs: Sequence[Proof]) -> Iterator[str]:
    """What was made by other rules than these, in words, and how to see it."""
    for name in dict.fromkeys(proof.profile for proof in proofs if proof.profile != profile.name):
        folders = ", ".join(_shown(proof.folder) for proof in proofs if proof.profile == name)
        where = f"{name} (clic calendar --profile {name})"
        if name not in profile_names():
            where = f"{name}, which do not come with the package (clic calendar --profile FILE, a file {name}.toml)"
        yield f"{folders}: not shown, made by the rules {where}"


def _lacking(profile: Profile, proof: Proof) -> list[str]:
    """The rates of the challenge that a run does not have."""
    return [str(rate) for rate in profile.rates if str(rate) not in proof.verified]


def _choices(proof: Proof, validated: Proof | None) -> str:
    """The options by which further rates are coded and chosen as the run's others were.

    A frozen decoder brings its codec along.
    """
    known = validated.frozen.codec if validated and validated.frozen else ""
    codecs = parts(proof.codec) if proof.codec and proof.codec != known else []
    named = [f" --codec {shlex.quote(codec)}" for codec in codecs]
    if proof.objective != "competition":
        named.append(f" --objective {shlex.quote(proof.objective)}")
    return "".join(named)


def _shown(path: Path) -> str:
    """A path as one types it here."""
    relative = os.path.relpath(path)
    return shlex.quote(str(path) if relative.startswith("..") else relative)
