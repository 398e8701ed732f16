"""The command line `clic`: what it takes. What the commands do is in commands.py, loaded when one runs."""

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.errors import ClicError
from harness.progress import log

INTERRUPTED = 130  # as a shell reports Ctrl-C


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 (findings: a submission would be rejected) or 2 (could not be done)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        if arguments[:1] == ["train"]:  # its options are its own; this package knows nothing of them
            return int(importlib.import_module("submission.training.train").main(arguments[1:]) or 0)
        options = _parser().parse_args(arguments)
        from harness.commands import run

        return run(options)
    except (ClicError, OSError) as error:
        log(f"clic: {error}")
        return 2
    except KeyboardInterrupt:
        log("clic: interrupted; the same command goes on where it stopped")
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="clic",
        epilog="Exit status: 0, 1 (findings), 2 (could not be done).",
        description="Enter the Challenge on Learned Image Compression: photographs in, a packed, verified "
        "and scored submission out.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")

    submit = command("submit", "the whole way: code, select, pack, verify, score and report")
    _add_images_and_out(submit)
    _add_run(submit)

    demo = command("demo", "`clic submit` on sample photographs that come with scikit-image")
    demo.add_argument("--out", metavar="DIR", type=Path, default=Path("demo-out"), help="default: demo-out")
    _add_run(demo)

    encode = command("encode", "code every image at every operating point; writes DIR/candidates.csv")
    _add_images_and_out(encode)
    _add_codec(encode)
    _add_workers(encode)

    select = command("select", "choose one operating point per image, best within a budget")
    select.add_argument("candidates", metavar="CANDIDATES.csv", type=Path)
    select.add_argument("--budget", metavar="BYTES", type=int, required=True)
    _add_objective(select)
    _add_json(select)

    pack = command("pack", "select and write decoder.zip and data file to DIR/RATE")
    pack.add_argument("candidates", metavar="CANDIDATES.csv", type=Path, help="with its streams beside it")
    pack.add_argument("--rate", metavar="BPP", required=True, help="bits per pixel of the whole set")
    pack.add_argument("--out", metavar="DIR", type=Path, required=True)
    pack.add_argument("--codec", metavar="NAME", help="default: the one that the table names")
    _add_profile(pack)
    _add_objective(pack)

    verify = command("verify", "find everything that the server would reject")
    verify.add_argument("directory", metavar="DIR", type=Path, help="folder of decoder.zip and data file")
    verify.add_argument("--images", metavar="ORIGINALS", type=Path, required=True)
    verify.add_argument("--rate", metavar="BPP", required=True, help="bits per pixel of the whole set")
    _add_profile(verify)
    _add_time_limit(verify)
    _add_json(verify)

    score = command("score", "score a folder of decoded PNGs, by both definitions of MS-SSIM and PSNR")
    score.add_argument("originals", metavar="ORIGINALS", type=Path)
    score.add_argument("decoded", metavar="DECODED", type=Path)
    _add_json(score)

    report = command("report", "write DIR/report.html again")
    report.add_argument("directory", metavar="DIR", type=Path, help="folder of a run")
    report.add_argument("--images", metavar="ORIGINALS", type=Path, required=True)

    bench = command("bench", "measure decoding: seconds per megapixel, beside AVIF, HEIC and JPEG XL in the same run")
    bench.add_argument("what", choices=("decode",))
    bench.add_argument("--images", metavar="IMAGES", type=Path, help="default: the demo's photographs")
    bench.add_argument("--rate", metavar="BPP", type=_positive_float, default=0.15, help="default: 0.15")
    bench.add_argument(
        "--codec",
        metavar="NAME",
        nargs="+",
        default=["clic"],
        help="each one of 'clic codecs', or package.module:function; default: clic",
    )
    bench.add_argument("--csv", metavar="FILE", type=Path, help="write the figures there too")
    _add_profile(bench)

    command("codecs", "list the installed codecs")
    command("train", "train the models of the codec in this repository; see 'clic train --help'")
    return parser


def _add_images_and_out(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", metavar="IMAGES", type=Path, help="folder of photographs")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of the run; a run that was interrupted goes on there",
    )


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_profile(parser)
    parser.add_argument("--rates", metavar="BPP", nargs="+", help="bits per pixel; default: the profile's")
    _add_codec(parser)
    parser.add_argument("--team", metavar="NAME", help="name on the leaderboard; default: the codec's")
    _add_objective(parser)
    _add_workers(parser)
    _add_time_limit(parser)


def _add_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--profile",
        metavar="NAME",
        default="clic2021",
        help="the challenge's rules, by name or as a .toml file; default: clic2021",
    )


def _add_codec(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--codec",
        metavar="NAME",
        default="clic",
        help="one of 'clic codecs', or package.module:function; default: clic",
    )


def _add_objective(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--objective",
        choices=("competition", "paper", "psnr"),
        default="competition",
        help="which MS-SSIM, or PSNR, the choice of points is best in; default: competition",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", metavar="N", type=_positive_int, help="processes; default: one a core")


def _add_time_limit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=_positive_float,
        help="for decoding one submission; default: the profile's",
    )


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def _positive_int(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _positive_float(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value
