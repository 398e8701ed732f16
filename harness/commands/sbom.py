"""`clic sbom`: what a packed decoder is made of, for those who must know what they run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "write what a packed decoder is made of as a bill of materials (CycloneDX), beside decoder.zip"


def add_arguments(parser: ArgumentParser) -> None:
    """The folder of a submission, and the rules that say which packages there are."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="folder with decoder.zip, such as run/0.15")
    shared.add_profile(parser)


def run(options: Namespace) -> int:
    """Write the bill and print its path."""
    from harness.challenge.profiles import load_profile, newest_profile
    from harness.challenge.sbom import FILE_NAME, bill_of_materials
    from harness.challenge.verify import DECODER
    from harness.errors import ClicError
    from harness.files import write_atomic

    path = options.directory / DECODER
    if not path.is_file():
        raise ClicError(f"{path}: no such file; give the folder of a packed submission")
    bill = bill_of_materials(
        path.read_bytes(), load_profile(options.profile or newest_profile(), options.track).packages
    )
    write_atomic(options.directory / FILE_NAME, bill)
    print(options.directory / FILE_NAME)
    return 0
