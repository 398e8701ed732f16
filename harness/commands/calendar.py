"""`clic calendar`: what is due, what is frozen, what is proved, and the commands that prove the rest."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.challenge.profiles import Profile
    from harness.challenge.proof import Proof

HELP = "what is due, what is frozen, what is proved, and the commands that prove the rest"


def add_arguments(parser: ArgumentParser) -> None:
    """Where the runs are, of which challenge, on which day."""
    parser.add_argument(
        "folders",
        metavar="DIR",
        type=shared.folder,
        nargs="*",
        default=[Path()],
        help="runs, or folders of runs; default: the current folder",
    )
    shared.add_profile(parser)
    parser.add_argument("--on", metavar="DAY", type=_day, help="as if it were that day; default: today")


def run(options: Namespace) -> int:
    """Print days, runs and commands. Raises ClicError for a challenge without known days, and a missing folder."""
    from harness.challenge.calendar import dues, elsewhere, steps, today_everywhere
    from harness.challenge.proof import read_proofs
    from harness.images import require_folder

    for folder in options.folders:
        require_folder(folder, "a run, or a folder of runs")
    profile, _ = shared.read_rules(options)
    today = options.on or today_everywhere()
    print(f"{profile.title}; it is still {today} somewhere on earth")
    for due in dues(profile, today):
        left = f"in {due.days} days" if due.days > 0 else "today" if due.days == 0 else "over"
        print(f"  {due.day}  {left:>12}  {due.event}")
    found = read_proofs(options.folders)
    proofs = [proof for proof in found if proof.profile == profile.name]
    for proof in proofs:
        _print(proof, proofs, profile, today)
    for line in elsewhere(profile, found):
        print(f"\n{line}")
    print("\nleft to do:")
    for command in list(steps(profile, proofs, today, options.profile or "")) or [
        "nothing that can be proved here; people decide"
    ]:
        print(f"  {command}")
    return 0


def _print(proof: "Proof", proofs: "list[Proof]", profile: "Profile", today: date) -> None:
    from harness.challenge.calendar import is_test, too_late

    track = f", track {proof.track}" if proof.track else ""
    print(f"\n{proof.folder}: variant {proof.variant}{track}, team {proof.team}")
    validated = is_test(proof, proofs)
    if validated and validated.frozen:
        print(f"  test phase, with the decoder frozen in {validated.folder} on {validated.frozen.date}")
    print(f"  decoder SHA-224 {proof.decoder_sha224}")
    frozen = () if proof.frozen is None else proof.frozen.rates
    of_profile = [str(rate) for rate in profile.rates]
    for rate in sorted({*of_profile, *proof.verified, *frozen}, key=float):
        states = {
            "verified": rate in proof.verified,
            "in the container": rate in proof.in_container,
            "frozen": rate in frozen or validated is not None,
        }
        told = [f"{'' if holds else 'not '}{state}" for state, holds in states.items()]
        told += [] if rate in of_profile else [f"(no rate of {profile.name})"]
        print(f"  {rate:>6}  {'  '.join(told)}")
    if late := too_late(profile, proof, validated, today):
        print(f"  {late}")


def _day(text: str) -> date:
    """A day as 2027-03-01. Raises ArgumentTypeError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a day such as 2027-03-01") from None
