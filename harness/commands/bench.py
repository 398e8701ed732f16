"""`clic bench`: speed, each measurement beside its rivals in the same run."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from harness.commands import options as shared

if TYPE_CHECKING:
    from collections.abc import Sequence

    from _typeshed import DataclassInstance
    from rich.table import Table

    from harness.bench.decode import Measured

HELP = (
    "measure speed: decoding beside AVIF, HEIC and JPEG XL, scoring beside the server's way, selection of a million, "
    "sweeps by each executor"
)


def add_arguments(parser: ArgumentParser) -> None:
    """What to measure, on which images."""
    parser.add_argument("what", choices=("decode", "score", "select", "sweep"))
    parser.add_argument(
        "--images",
        metavar="IMAGES",
        type=Path,
        help="to decode or to score; default: the demo's photographs, to score one of them enlarged",
    )
    parser.add_argument(
        "--sizes",
        metavar="N,N,...",
        type=_sizes,
        help="how many images to select from; default: 41,2000,20000,1000000 (the last takes 5 GB)",
    )
    parser.add_argument("--rate", metavar="BPP", type=shared.positive_float, default=0.15, help="default: 0.15")
    parser.add_argument(
        "--codec",
        metavar="NAME",
        action="append",
        help="one of 'clic codecs', or module:attribute; settings as ,key=value; may be given again; "
        "default: clic, for sweep jpeg",
    )
    parser.add_argument("--csv", metavar="FILE", type=Path, help="write the figures there too")
    shared.add_profile(parser)


def run(options: Namespace) -> int:
    """Measure and print the table."""
    return {"decode": _decode, "score": _score, "select": _select, "sweep": _sweep}[options.what](options)


def _sizes(text: str) -> list[int]:
    return [shared.positive_int(part) for part in shared.comma_list(text)]


def _score(options: Namespace) -> int:
    import numpy as np
    from PIL import Image

    from harness.bench.alone import processor
    from harness.bench.score import bench_score, scored_by_all
    from harness.images import list_images, load_rgb
    from harness.photographs import write_photographs
    from harness.progress import counted, log

    with TemporaryDirectory() as folder:
        if options.images:
            originals = [load_rgb(source.path) for source in scored_by_all(list_images(options.images))]
        else:
            write_photographs(Path(folder))
            small = Image.fromarray(load_rgb(Path(folder) / "coffee.png"))
            originals = [np.asarray(small.resize((2048, 1366), Image.Resampling.LANCZOS))]
    log("scoring in six ways, three rounds; about ten seconds a megapixel and round")
    results = bench_score(originals)
    _print(
        ("", "definition", "s", "times\nclic", "original\ngiven", "MS-SSIM", "off the\nserver's"),
        [
            (
                row.method,
                row.definition,
                f"{row.seconds:.3f}",
                f"{row.times_ours:.1f}",
                f"{row.times_ours_given_reference:.1f}",
                f"{row.score:.9f}",
                "" if row.difference_to_server is None else f"{row.difference_to_server:.0e}",
            )
            for row in results
        ],
        f"{counted(len(originals), 'pair')}, {results[0].megapixels:.2f} megapixels, one thread, {processor()}.",
    )
    _write(options.csv, results)
    return 0


def _select(options: Namespace) -> int:
    from harness.bench.alone import processor
    from harness.bench.select import SIZES, bench_select
    from harness.progress import bar

    with bar("select") as progress:
        results = bench_select(options.sizes or SIZES, progress)
    _print(
        ("images", "points", "s", "score", "gap to the bound", "bytes unused", "peak MB"),
        [
            (
                f"{row.images:,}",
                f"{row.points}",
                f"{row.seconds:.2f}",
                f"{row.score:.6f}",
                f"{row.gap:.1e}" if row.gap else "0, proven",
                f"{row.unused_bytes}",
                f"{row.peak_memory_bytes / 1e6:,.0f}",
            )
            for row in results
        ],
        f"synthetic sets at 0.15 bpp, from arrays to the choice, one thread, {processor()}.",
    )
    _write(options.csv, results)
    return 0


def _sweep(options: Namespace) -> int:
    from harness.bench.alone import processor
    from harness.bench.sweep import bench_sweep
    from harness.images import list_images
    from harness.photographs import write_photographs
    from harness.progress import bar

    spec = (options.codec or ["jpeg"])[0]
    with TemporaryDirectory() as folder, bar("sweep") as progress:
        if not options.images:
            options.images = Path(folder)
            write_photographs(options.images)
        images = list_images(options.images)
        results = bench_sweep(images, spec, progress)
    _print(
        ("executor", "processes", "candidates", "s", "times\nbare"),
        [
            (row.executor, f"{row.processes}", f"{row.candidates}", f"{row.seconds:.1f}", f"{row.times_bare:.2f}")
            for row in results
        ],
        f"{len(images)} images by {spec}, from an empty folder to the table, start of all processes included, "
        f"{processor()}.",
    )
    _write(options.csv, results)
    return 0


def _print(headings: "Sequence[str]", rows: "Sequence[Sequence[str]]", caption: str) -> None:
    """A table of text, the first column to the left, the others to the right."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=caption, caption_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _write(path: Path | None, results: "Sequence[DataclassInstance]") -> None:
    """The figures as CSV; what was not measured is empty."""
    from dataclasses import asdict

    import pandas as pd

    from harness.files import write_atomic

    if path:
        # Objects, so that a missing figure is empty and leaves whole numbers whole.
        text = pd.DataFrame([asdict(row) for row in results], dtype=object).to_csv(index=False, lineterminator="\n")
        write_atomic(path, text.encode())


def _decode(options: Namespace) -> int:
    from dataclasses import asdict

    import pandas as pd
    from rich.console import Console

    from harness.bench.decode import bench_decode
    from harness.files import write_atomic
    from harness.images import list_images
    from harness.photographs import write_photographs
    from harness.progress import bar

    (profile, _), codecs = shared.read_rules(options), options.codec or ["clic"]
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
    for heading in (
        "bpp",
        "s",
        "s/MP",
        f"times\n{REFERENCE.partition(',')[0]}",
        "entropy\ns",
        "synthesis\ns",
        "PNG\ns",
        "peak\nMB",
    ):
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
