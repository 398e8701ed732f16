"""`clic select`: one operating point per image, so that the set scores best within a budget."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "choose one operating point per image, best within a budget"


def add_arguments(parser: ArgumentParser) -> None:
    """The table of candidates, the budget, and what is best."""
    parser.add_argument("candidates", metavar="CANDIDATES.csv", type=Path)
    parser.add_argument("--budget", metavar="BYTES", type=int, required=True)
    shared.add_objective(parser)
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print the chosen point of each image, and what they come to."""
    from harness.files import as_json
    from harness.progress import log
    from harness.selection.exact import select
    from harness.sweep.table import read_candidates

    candidates = read_candidates(options.candidates, typed_points=True)
    chosen = select(candidates, options.budget, options.objective)
    if options.json:
        answer = {"points": chosen.points, "bytes": chosen.bytes, "score": chosen.score, "bound": chosen.bound}
        print(as_json(answer), end="")
        return 0
    for image, point in chosen.points.items():
        print(f"{image}\t{point}")
    log(
        f"{chosen.bytes} of {chosen.budget} bytes, {options.objective} {chosen.score:.6f}, "
        f"at most {chosen.bound:.6f} is possible"
    )
    return 0
