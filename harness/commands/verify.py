"""`clic verify`: everything for which the challenge's server would reject a submission."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "find everything that the server would reject"


def add_arguments(parser: ArgumentParser) -> None:
    """The submission, the originals, and the rules."""
    parser.add_argument("directory", metavar="DIR", type=Path, help="folder of decoder.zip and data file")
    parser.add_argument("--images", metavar="ORIGINALS", type=Path, required=True)
    parser.add_argument("--rate", metavar="BPP", required=True, help="bits per pixel of the whole set")
    shared.add_profile(parser)
    shared.add_variant(parser)
    shared.add_expect_decoder(parser)
    shared.add_time_limit(parser)
    parser.add_argument(
        "--once",
        action="store_true",
        help="run the decoder once; without it one that was not packed by this installation is run twice, and must "
        "give the same pictures",
    )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="run a stranger's decoder even where nothing can lock it in: it may then do whatever you may do",
    )
    parser.add_argument(
        "--honest",
        action="store_true",
        help="also look for image data in the decoder: it decodes other data, and its members are searched",
    )
    parser.add_argument(
        "--other-data",
        metavar="FILE",
        type=Path,
        help="with --honest: a data file of other images; default: shuffled data",
    )
    parser.add_argument(
        "--in-container",
        action="store_true",
        help="decode with the server's Python and packages, as 'clic container build' puts them on this machine; the "
        "pictures must be those that 'clic submit' decoded",
    )
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print every finding; 1 where there are any."""
    from harness.challenge.container import find_container
    from harness.challenge.origin import packed_here
    from harness.challenge.proof import record_in_container
    from harness.challenge.verify import DECODER, VerifyOptions, verify
    from harness.files import as_json
    from harness.progress import counted, log

    expected = shared.read_expect_decoder(options)
    profile, _ = shared.read_rules(options, expected)
    own = packed_here(options.directory / DECODER, profile)
    how = VerifyOptions(
        options.time_limit,
        trusted=own,
        unsafe=options.unsafe,
        runs=1 if own or options.once else 2,
        honest=options.honest or options.other_data is not None,
        other_data=options.other_data,
        expected=expected,
        environment=find_container(profile) if options.in_container else None,
    )
    found = verify(options.directory, options.images, profile, options.rate, how)
    if options.in_container and record_in_container(found, options.directory, profile):
        log(f"{options.directory.resolve().parent}: the proof is in its store; see clic calendar")
    if options.json:
        print(as_json(found.to_json()), end="")
    else:
        for finding in found.findings:
            print(f"- {finding}".replace("\n", "\\n"))
        data = "no data file" if found.data_bytes is None else f"data {found.data_bytes} of {found.budget_bytes} bytes"
        log(
            f"{options.directory}: {counted(len(found.findings), 'finding')}; "
            f"{counted(found.images, 'image')} decoded; {data}; sandbox {found.sandbox or 'not reached'}"
            + (f", which leaves open: {', '.join(found.not_enforced)}" if found.not_enforced else "")
        )
    return 0 if found.ok else 1
