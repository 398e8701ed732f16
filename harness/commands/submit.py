"""`clic submit`: the whole way from photographs to a packed, verified and scored submission, and the report."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared
from harness.commands.dry_run import add_dry_run, dry_run

HELP = "the whole way: code, select, pack, verify, score and report"


def add_arguments(parser: ArgumentParser) -> None:
    """Images, the run's folder, and what decides the submission."""
    shared.add_images_and_out(parser)
    add_run_arguments(parser)


def add_run_arguments(parser: ArgumentParser, codec: str = shared.CODEC) -> None:
    """What decides a submission, whatever its images; `codec` is the one where none is named."""
    shared.add_profile(parser)
    shared.add_variant(parser)
    parser.add_argument(
        "--rates", metavar="BPP[,BPP...]", type=shared.comma_list, help="bits per pixel; default: the profile's"
    )
    shared.add_codecs(parser, "one submission with each image by whichever does best", codec)
    shared.add_expect_decoder(parser)
    parser.add_argument("--team", metavar="NAME", help="name on the leaderboard; default: the codec's")
    shared.add_objective(parser)
    shared.add_executor(parser)
    shared.add_time_limit(parser)
    shared.add_rehash(parser)
    add_dry_run(parser)


def run(options: Namespace) -> int:
    """Submit, then write the report by the command of that name; 1 where a rate would be rejected."""
    from harness.challenge.submit import Request, submit
    from harness.cli import run_command
    from harness.codecs.registry import parts, union_spec
    from harness.images import look_at
    from harness.progress import counted, log
    from harness.rates import Rate

    expected = shared.read_expect_decoder(options)
    profile, variant = shared.read_rules(options, expected)
    codec = union_spec(options.codec or [expected.codec if expected and expected.codec else shared.CODEC])
    rates = [Rate.parse(rate) for rate in options.rates] if options.rates else profile.rates
    if remark := look_at(options.images, options.out):
        log(remark)
    if options.dry_run:
        return dry_run(options, parts(codec), len(rates))
    team = expected.team if options.team is None and expected else options.team
    request = Request(codec, profile, rates, options.objective, team, options.time_limit, variant, expected)
    result = submit(options.images, options.out, request, shared.executor(options), options.rehash)
    if (options.out / "leaderboard.csv").exists():
        run_command(["report", str(options.out), "--images", str(options.images)])
    for rate, findings in result.rejected.items():
        log(f"{rate}: would be rejected, {counted(len(findings), 'finding')} (above and in {options.out / 'run.json'})")
    return 1 if result.rejected else 0
