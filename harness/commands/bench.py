"""`clic bench`: speed, each measurement beside its rivals in the same run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from harness.bench.decode import Measured

HELP = "measure speed: decoding, in seconds per megapixel, beside AVIF, HEIC and JPEG XL in the same run"


def add_arguments(parser: ArgumentParser) -> None:
    """What to measure, on which images."""
    parser.add_argument("what", choices=("decode",))
    parser.add_argument("--images", metavar="IMAGES", type=Path, help="default: the demo's photographs")
    parser.add_argument("--rate", metavar="BPP", type=shared.positive_float, default=0.15, help="default: 0.15")
    parser.add_argument(
        "--codec",
        metavar="NAME",
        action="append",
        help="one of 'clic codecs', or module:attribute; settings as ,key=value; may be given again; default: clic",
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the figures there too")
    shared.add_profile(parser)


def run(options: Namespace) -> int:
    """Measure and print the table."""
    from dataclasses import asdict
    from tempfile import TemporaryDirectory

    import pandas as pd
    from rich.console import Console

    from harness.bench.decode import bench_decode
    from harness.challenge.profiles import load_profile
    from harness.codecs.registry import open_submittable
    from harness.files import write_atomic
    from harness.images import list_images
    from harness.photographs import write_photographs
    from harness.progress import bar

    profile, codecs = load_profile(options.profile), [open_submittable(name) for name in options.codec or ["clic"]]
    with TemporaryDirectory() as folder, bar("encode") as progress:
        if not options.images:
            options.images = Path(folder)
            write_photographs(options.images)
        results = bench_decode(list_images(options.images), codecs, profile, options.rate, progress)
    Console().print(_table(results, options.rate))
    if options.csv:
        rows = [asdict(result) | {"seconds_per_megapixel": result.seconds_per_megapixel} for result in results]
        # Objects, so that a missing figure is empty and leaves whole numbers whole.
        text = pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n")
        write_atomic(options.csv, text.encode())
    return 0


def _table(results: "Sequence[Measured]", rate: float) -> "Table":
    """Every decoder a row, 80 columns wide; what a decoder does not print is blank."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    from harness.bench.decode import REFERENCE

    first = results[0]
    table = Table(
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1, 0, 0),
        caption_justify="left",
        caption=f"{first.images} images, {first.megapixels:.1f} megapixels, each coded near {rate:g} bpp; "
        f"{first.processes} processes. Process start and PNG writing are in the seconds; entropy decoding, "
        "synthesis and PNG are sums over the processes.",
    )
    table.add_column("decoder")
    for heading in ("bpp", "s", "s/MP", f"times\n{REFERENCE}", "entropy\ns", "synthesis\ns", "PNG\ns", "peak\nMB"):
        table.add_column(heading, justify="right", no_wrap=True)
    reference = {result.decoder: result.seconds for result in results}.get(REFERENCE)
    for result in results:
        parts = (result.entropy_seconds, result.synthesis_seconds, result.png_seconds)
        table.add_row(
            Text(result.decoder),
            f"{result.bpp:.3f}",
            f"{result.seconds:.2f}",
            f"{result.seconds_per_megapixel:.3f}",
            f"{result.seconds / reference:.1f}" if reference else "",
            *("" if part is None else f"{part:.1f}" for part in parts),
            f"{result.peak_memory_bytes / 1e6:.0f}" if result.peak_memory_bytes else "",
        )
    return table
