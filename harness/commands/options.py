"""Options that several commands share, each said once."""

import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.challenge.expected import Expected
    from harness.challenge.profiles import Profile
    from harness.sweep.executor import Placed

CODEC = "clic"  # where none is named
_ADDRESS = re.compile(r"([a-z]+://)?(\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):[0-9]{1,5}")  # a host, or an IPv6 address in []


def add_images_and_out(parser: ArgumentParser) -> None:
    """A folder of photographs, and the folder of the run."""
    parser.add_argument("images", metavar="IMAGES", type=Path, help="folder of photographs")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=folder,
        required=True,
        help="folder of the run; a run that was interrupted goes on there",
    )


def add_profile(parser: ArgumentParser) -> None:
    """The challenge's rules, and on which of its machines."""
    parser.add_argument(
        "--profile",
        metavar="NAME",
        help="the challenge's rules, one of 'clic profiles' or a .toml file; default: the newest",
    )
    parser.add_argument("--track", metavar="NAME", help="one of the profile's tracks; default: its first")


def add_variant(parser: ArgumentParser) -> None:
    """Which of a team's decoders."""
    parser.add_argument(
        "--variant",
        metavar="N",
        type=positive_int,
        help="which of the decoders that the team declares, from 1; default: 1",
    )


def add_expect_decoder(parser: ArgumentParser) -> None:
    """The decoder that alone may be sent."""
    parser.add_argument(
        "--expect-decoder",
        metavar="HASH|DIR",
        help="take no decoder but this: a SHA-224, or a folder where 'clic freeze' put one, which is then sent itself; "
        "profile, track and variant are those of the frozen one unless they are given",
    )


def read_expect_decoder(options: Namespace) -> "Expected | None":
    """What --expect-decoder names, if it is given. Raises ClicError."""
    if options.expect_decoder is None:
        return None
    from harness.challenge.expected import read_expected

    return read_expected(options.expect_decoder)


def read_rules(options: Namespace, expected: "Expected | None" = None) -> "tuple[Profile, int]":
    """The profile on its track, and the variant's number; one line says which they are.

    What the options leave open is as it was frozen. Raises ClicError, also where they say otherwise.
    """
    from harness.challenge.profiles import load_profile, newest_profile
    from harness.progress import log

    frozen = expected.frozen if expected else None
    name = options.profile or (frozen.profile if frozen else newest_profile())
    track = options.track or (frozen.track if frozen else "") or None
    asked = getattr(options, "variant", None)
    variant = asked or (frozen.variant if frozen else 1)
    profile = load_profile(name, track)
    profile.check_variant(variant)
    if expected:
        expected.check_rules(profile, variant)
    how = "" if options.profile else ", as frozen" if frozen else ", the newest, as --profile names none"
    which = f"; variant {variant}" if hasattr(options, "variant") else ""
    log(f"rules: {profile.name}{how} ({profile.title}); {profile.describe_machine()}{which}")
    if profile.machine.gpu:
        log(f"decoders run here without the track's {profile.machine.gpu}: seconds are not those of the track")
    return profile, variant


def add_codecs(parser: ArgumentParser, several: str, default: str = CODEC) -> None:
    """The codecs that code, a list or None; `several` says what more than one do, `default` what None stands for."""
    parser.add_argument(
        "--codec",
        metavar="NAME",
        action="append",
        help="one of 'clic codecs', module:attribute, or a .toml file; settings follow as ,key=value; may be given "
        f"again: {several}; default: {default}",
    )


def add_whose(parser: ArgumentParser, default: str) -> None:
    """The codecs whose candidates are meant, a list."""
    parser.add_argument(
        "--codec",
        metavar="NAME",
        action="append",
        default=[],
        help=f"whose candidates; may be given again, for those of several; default: {default}",
    )


def add_rehash(parser: ArgumentParser) -> None:
    """Whether to trust what the disk says of files."""
    parser.add_argument(
        "--rehash",
        action="store_true",
        help="read all photographs and streams again, also where size and time of change say that they are the same",
    )


def add_candidates(parser: ArgumentParser, what: str) -> None:
    """Candidates, from a table or a run."""
    parser.add_argument("candidates", metavar="CANDIDATES", type=Path, help=what)


def add_objective(parser: ArgumentParser) -> None:
    """What the choice of points is best in."""
    parser.add_argument(
        "--objective",
        metavar="NAME",
        type=objective_name,
        default="competition",
        help="what the choice of points is best in: competition, paper (MS-SSIM by either definition), psnr, a column "
        "of the candidates (ssimulacra2, sharpness:higher, lpips:pixels:missing=1), a metric's .toml file, or a sum "
        "(0.9*competition + 0.001*ssimulacra2); default: competition",
    )


def add_executor(parser: ArgumentParser) -> None:
    """Where the work is done."""
    parser.add_argument(
        "--workers",
        metavar="N",
        type=positive_int,
        help="processes; default: one a core, or as many as memory permits by what the first took",
    )
    parser.add_argument(
        "--task-limit",
        metavar="SECONDS",
        type=positive_float,
        help="for coding one image at one point, after which its process, or Dask worker, is ended; default: an hour",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        type=cluster_address,
        help="code on the workers of the Dask scheduler at ADDRESS (tcp://HOST:PORT), which need no disk of this "
        "machine; 'local' is a cluster of this machine's cores; needs the extra dask",
    )


def executor(options: Namespace) -> "Placed":
    """What `add_executor` gave. Raises ClicError where two of its options contradict each other."""
    from harness.errors import ClicError
    from harness.sweep.dask import DaskCluster
    from harness.sweep.executor import RESULT_SECONDS
    from harness.sweep.local import LocalProcesses

    limit = options.task_limit or RESULT_SECONDS
    if not options.cluster:
        return LocalProcesses(options.workers, limit)
    if options.workers:
        raise ClicError("--workers is for processes of this machine, --cluster has workers of its own")
    return DaskCluster(options.cluster, limit)


def cluster_address(text: str) -> str:
    """An address of a Dask scheduler, or "local". Raises ArgumentTypeError, whether or not it will be asked."""
    if text != "local" and not _ADDRESS.fullmatch(text):
        what = repr(text) if text.strip() else "it is empty"
        raise ArgumentTypeError(f"{what}: give tcp://HOST:PORT, or local, or leave --cluster out for this machine")
    return text


def add_time_limit(parser: ArgumentParser) -> None:
    """How long decoding may take."""
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=positive_float,
        help="for decoding one submission; default: the profile's",
    )


def add_json(parser: ArgumentParser) -> None:
    """The answer as JSON."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def objective_name(text: str) -> str:
    """The text, if it names an objective. Raises ArgumentTypeError, before anything long has begun."""
    if text in ("competition", "paper", "psnr"):
        return text
    from harness.errors import ClicError
    from harness.scores.objectives import objective

    try:
        return objective(text).name
    except ClicError as error:
        raise ArgumentTypeError(str(error)) from error


def folder(text: str) -> Path:
    """A folder's path. Raises ArgumentTypeError for an empty one, which an unset variable gives, and for a file."""
    if not text.strip():
        raise ArgumentTypeError("it is empty; name a folder, or . for the current one")
    path = Path(text)
    there = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    if os.path.lexists(there) and not there.is_dir():
        raise ArgumentTypeError(f"{there}: a file, not a folder; name another folder, or move the file")
    return path


def positive_int(text: str) -> int:
    """A whole number above 0. Raises ArgumentTypeError."""
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def natural_int(text: str) -> int:
    """A whole number from 0 on. Raises ArgumentTypeError."""
    if not text.isdecimal():
        raise ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive_float(text: str) -> float:
    """A finite number above 0. Raises ArgumentTypeError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def comma_list(text: str) -> list[str]:
    """The parts of a list whose parts are separated by commas. Raises ArgumentTypeError where one is empty."""
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ArgumentTypeError(f"{text!r} has an empty part; write it as 0.075,0.15")
    return parts


def give_out(text: str, out: Path | None) -> None:
    """Write a text to a file and print where it is, or print the text. Raises ClicError where it cannot be written."""
    from harness.files import write_atomic

    if out is None:
        print(text, end="")
    else:
        write_atomic(out, text.encode())
        print(out)
