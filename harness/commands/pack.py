"""`clic pack`: selected candidates as a submission, without decoding it."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "select and write decoder.zip and data file to DIR/RATE"


def add_arguments(parser: ArgumentParser) -> None:
    """The table of candidates, the rate, and the rules."""
    parser.add_argument("candidates", metavar="CANDIDATES.csv", type=Path, help="with its streams beside it")
    parser.add_argument("--rate", metavar="BPP", required=True, help="bits per pixel of the whole set")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True)
    parser.add_argument("--codec", metavar="NAME", help="default: the one that the table names")
    shared.add_profile(parser)
    shared.add_objective(parser)


def run(options: Namespace) -> int:
    """Pack, and print the submission's folder. Raises ClicError."""
    from harness.challenge.profiles import load_profile
    from harness.challenge.submit import pack, rate_names
    from harness.codecs.protocol import load_codec
    from harness.errors import ClicError
    from harness.progress import log
    from harness.sweep.local import COLUMNS, exclusive
    from harness.sweep.table import read_candidates

    candidates = read_candidates(options.candidates)
    missing = [name for name in COLUMNS if name not in candidates]
    if missing or candidates.empty:
        lacking = f"no column {', '.join(missing)}" if missing else "no rows"
        raise ClicError(f"{options.candidates}: {lacking}; give a candidates.csv as 'clic encode' writes it")
    profile = load_profile(options.profile)
    codec = load_codec(options.codec or candidates["codec"].iloc[0])
    [rate] = rate_names([options.rate])
    folder = options.out / rate
    with exclusive(options.out):
        packed = pack(
            candidates, codec, options.candidates.parent / "streams", profile, rate, folder, options.objective
        )
    log(f"{rate}: {packed.bytes} of {packed.budget} bytes, {options.objective} {packed.score:.6f}")
    print(folder)
    return 0
