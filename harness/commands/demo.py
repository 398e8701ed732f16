"""`clic demo`: `clic submit` on sample photographs that come with scikit-image."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared
from harness.commands import submit

HELP = "'clic submit' on sample photographs that come with scikit-image"
CODEC = "clic,effort=0"  # a demonstration is quick


def add_arguments(parser: ArgumentParser) -> None:
    """The run's folder, and what decides the submission."""
    parser.add_argument("--out", metavar="DIR", type=shared.folder, default=Path("demo-out"), help="default: demo-out")
    submit.add_run_arguments(parser, CODEC)


def run(options: Namespace) -> int:
    """Copy the photographs into the run's folder and submit them."""
    from harness.photographs import write_photographs

    options.images = options.out / "photographs"
    write_photographs(options.images)
    options.codec = options.codec or [CODEC]
    return submit.run(options)
