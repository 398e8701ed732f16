"""`clic select`: one operating point per image, so that the set scores best within a budget."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.selection.exact import Selection

HELP = "choose one operating point per image, best within a budget"


def add_arguments(parser: ArgumentParser) -> None:
    """The table of candidates, the budget, what is best, and what else must be kept to."""
    shared.add_candidates(parser, "folder of a run, or a .csv or .parquet file")
    shared.add_whose(parser, "those of all codecs that there are")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--budget", metavar="BYTES", type=shared.natural_int)
    budget.add_argument(
        "--set-budget",
        metavar="SET=BYTES",
        type=_set_budget,
        action="append",
        help="the budget of one set of images; once for each. In a run's folder SET is the folder of the photographs "
        "or the beginning of the set's hash (a wrong one lists all), in a table what the column image_set says; "
        "default in a run's folder: the set swept last",
    )
    shared.add_objective(parser)
    limits = parser.add_argument_group("limits")
    limits.add_argument(
        "--margin", metavar="BYTES", type=shared.natural_int, default=0, help="leave these bytes of the budget unused"
    )
    limits.add_argument("--cap", metavar="BYTES", type=shared.positive_int, help="no image's stream is larger")
    limits.add_argument("--worst", metavar="SCORE", type=float, help="no image scores worse, in the objective's column")
    limits.add_argument(
        "--seconds",
        metavar="SECONDS",
        type=shared.positive_float,
        help="the sum of decode_seconds over the chosen points: in a run's folder those that 'clic measure DIR IMAGES "
        "--metric decode_seconds' took, in a table the column of that name; a second resource: proven the best for "
        "sets of photographs, with a bound for thousands of images",
    )
    limits.add_argument(
        "--image-seconds",
        metavar="SECONDS",
        type=shared.positive_float,
        help="no image takes longer to decode, by the same decode_seconds",
    )
    limits.add_argument("--one-codec", action="store_true", help="all images by one codec, the one that scores best")
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print the chosen point of each image, and what they come to. Raises ClicError."""
    from harness.codecs.decoding import SECONDS
    from harness.errors import ClicError
    from harness.files import as_json
    from harness.scores.objectives import objective
    from harness.selection.exact import Constraints, select_sets, select_within
    from harness.selection.table import IMAGE_SET, read_table
    from harness.store import open_store
    from harness.sweep.table import find_codecs, read_run, with_scores

    goal = objective(options.objective)
    is_timed = options.seconds is not None or options.image_seconds is not None
    budgets = dict(options.set_budget or [])
    if options.candidates.is_dir():
        candidates = read_run(options.candidates, list(budgets))
    else:
        more = [IMAGE_SET] * bool(budgets) + [SECONDS] * is_timed
        candidates = read_table(options.candidates, goal, more)
    if options.codec:
        candidates, _ = find_codecs(candidates, options.candidates, options.codec)
    if options.candidates.is_dir():
        with open_store(options.candidates, write=False) as store:
            candidates = with_scores(candidates, store, options.objective)
            if is_timed:
                candidates = with_scores(candidates, store, SECONDS)
    limits = Constraints(
        margin=options.margin,
        cap=options.cap,
        worst=options.worst,
        seconds=options.seconds,
        image_seconds=options.image_seconds,
        one_codec=options.one_codec,
    )
    try:
        if budgets:
            selections = select_sets(candidates, budgets, goal, limits)
        else:
            selections = {"": select_within(candidates, options.budget, goal, limits)}
    except ClicError as error:
        raise ClicError(f"{options.candidates}: {error}") from error
    if options.json:
        answers = {name: _answer(chosen) for name, chosen in selections.items()}
        print(as_json(answers if budgets else answers[""]), end="")
        return 0
    for name, chosen in selections.items():
        _print(name, chosen)
    return 0


def _set_budget(text: str) -> tuple[str, int]:
    name, equals, number = text.rpartition("=")
    if not (name and equals and number.isdecimal()):
        raise ArgumentTypeError(f"{text!r} is not SET=BYTES, such as test=1477209")
    return name, int(number)


def _answer(chosen: "Selection") -> dict[str, object]:
    """What is asked for, for JSON; codecs where the candidates have several."""
    answer: dict[str, object] = {
        "points": chosen.points,
        "bytes": chosen.bytes,
        "score": chosen.score,
        "bound": chosen.bound,
    }
    return answer | {"codecs": chosen.codecs} if chosen.codecs else answer


def _print(name: str, chosen: "Selection") -> None:
    """A line per image, tabs between; then, for people, what they come to."""
    from harness.progress import log

    for image, point in chosen.points.items():
        codec = [chosen.codecs[image]] if chosen.codecs else []
        print(*([name] if name else []), image, *codec, point, sep="\t")
    gap = abs(chosen.bound - chosen.score)
    proof = "no choice scores better" if not gap else f"at most {chosen.bound:.6f} is possible, a gap of {gap:.2g}"
    log(
        (f"{name}: " if name else "") + f"{chosen.bytes} of {chosen.budget} bytes, "
        f"{chosen.objective} {chosen.score:.6f}; {proof}"
    )
