"""`clic conformance`: whether this machine's decoder reads the bitstream as it is specified."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "decode the conformance suite of our bitstream and say in one line how that went; or write it anew"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do, and with which weights."""
    parser.add_argument(
        "what", choices=["run", "generate"], help="hold this decoder against the suite; or make it anew"
    )
    parser.add_argument("--weights", metavar="DIR", type=Path, help="other weights than the shipped ones, for run")


def run(options: Namespace) -> int:
    """The line on standard output, each problem on standard error; 1 where there are any."""
    from decoder.model import WEIGHTS
    from harness.progress import bar, log
    from submission.conformance.run import generate
    from submission.conformance.run import run as run_suite

    with bar("conformance") as progress:
        if options.what == "generate":
            log(f"conformance: {generate(progress)} vectors written")
            return 0
        result = run_suite(progress, options.weights or WEIGHTS)
    for problem in result.problems:
        log(f"conformance: {problem}")
    print(result.line)
    return 1 if result.problems else 0
