"""`clic score`: a folder of decoded PNGs against their originals."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "score a folder of decoded PNGs, by both definitions of MS-SSIM and PSNR"


def add_arguments(parser: ArgumentParser) -> None:
    """The two folders."""
    parser.add_argument("originals", metavar="ORIGINALS", type=Path)
    parser.add_argument("decoded", metavar="DECODED", type=Path)
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print the set's scores."""
    from dataclasses import asdict

    from harness.files import as_json
    from harness.progress import bar
    from harness.scores.aggregate import aggregate, score_folders

    with bar("score") as progress:
        table = score_folders(options.originals, options.decoded, progress)
    scores = {**asdict(aggregate(table)), "images": len(table)}
    if options.json:
        print(as_json(scores), end="")
    else:
        for name, value in scores.items():
            print(f"{name} {value:.6f}" if isinstance(value, float) else f"{name} {value}")
    return 0
