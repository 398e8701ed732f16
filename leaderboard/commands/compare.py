"""`clic compare`: several codecs on one folder of photographs, side by side, and the report."""

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from typing import Any

from harness.commands import options as shared

HELP = "compare codecs on a folder of photographs; writes DIR/report.html and DIR/comparison.json"


def add_arguments(parser: ArgumentParser) -> None:
    """Images, the comparison's folder, the codecs, and under which rules."""
    shared.add_images_and_out(parser)
    parser.add_argument(
        "--codec",
        metavar="NAME",
        action="append",
        required=True,
        dest="codecs",
        help="one of 'clic codecs', module:attribute or a .toml file; settings follow as ,key=value, and "
        "'avif + clic' is each photograph by the better; once for each codec, the report's subject first",
    )
    parser.add_argument(
        "--rates", metavar="BPP[,BPP...]", type=shared.comma_list, help="bits per pixel; default: the profile's"
    )
    shared.add_profile(parser)
    shared.add_objective(parser)
    shared.add_executor(parser)
    shared.add_rehash(parser)


def run(options: Namespace) -> int:
    """Compare, print the table and where the report is; 1 where a codec failed on some photograph."""
    from harness.errors import ClicError
    from harness.progress import log
    from harness.rates import Rate
    from leaderboard.comparing import compare_codecs
    from leaderboard.contenders import Request

    profile, _ = shared.read_rules(options)
    rates = [Rate.parse(rate) for rate in options.rates] if options.rates else profile.rates
    request = Request(options.codecs, profile, rates, options.objective)
    found = compare_codecs(options.images, options.out, request, shared.executor(options), options.rehash)
    if found.page is None:
        raise ClicError(
            f"no codec reached any of these rates; the reasons are in {options.out / 'comparison.json'}; ask for "
            "higher --rates"
        )
    _print(found.comparison)
    print(found.page)
    for name in found.failing:
        log(f"{name}: could not code everything; the reasons are in {options.out / 'failures.csv'}")
    return 1 if found.failing else 0


def _print(comparison: Mapping[str, Any]) -> None:
    from rich.console import Console

    from leaderboard.overview import objective, overview
    from leaderboard.tables import terminal

    caption = (
        f"{comparison['set']}; MS-SSIM, competition, in dB; bytes at equal MS-SSIM (BD-rate); "
        f"chosen by {objective(comparison)}"
    )
    Console().print(terminal(*overview(comparison), caption))
