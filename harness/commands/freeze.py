"""`clic freeze`: keep the decoder that was uploaded in the validation phase; the test phase takes no other."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared

HELP = "keep the decoder of a verified run as it was uploaded, for the test phase"


def add_arguments(parser: ArgumentParser) -> None:
    """The run, and rules of one's own."""
    parser.add_argument("directory", metavar="DIR", type=shared.folder, help="folder of a run of 'clic submit'")
    parser.add_argument("--profile", metavar="FILE", help="rules of one's own, a .toml file; others are known")
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Freeze, and print the decoder's hash with the commands of the test phase. Raises ClicError."""
    from harness.challenge.freezing import freeze
    from harness.challenge.frozen import FOLDER
    from harness.files import as_json
    from harness.progress import log

    frozen = freeze(options.directory, options.profile)
    if options.json:
        print(as_json(frozen), end="")
        return 0
    place = options.directory / FOLDER
    print(f"decoder SHA-224 {frozen.decoder_sha224}")
    log(
        f"{place}: {frozen.described} of {frozen.team}, {frozen.decoder_bytes:,} bytes, at {', '.join(frozen.rates)} "
        "bits per pixel; keep a copy of that folder elsewhere"
    )
    rules = f" --profile {options.profile}" if options.profile else ""
    log(f"in the test phase: clic submit TEST_SET --out DIR --expect-decoder {place}{rules}")
    return 0
