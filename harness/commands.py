"""What each `clic` command does: a call or two of the other modules, and its answer on standard output."""

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.bench.decode import REFERENCE, Measured, bench_decode
from harness.challenge.profiles import load_profile
from harness.challenge.submit import as_json, pack, rate_names, submit
from harness.challenge.verify import verify
from harness.codecs.protocol import codec_names, load_codec
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import list_images
from harness.progress import bar, log
from harness.scores.aggregate import aggregate, score_folders
from harness.selection.exact import select
from harness.sweep.local import COLUMNS, READERS, exclusive, sweep
from leaderboard.errors import LeaderboardError
from leaderboard.report.page import write_report
from leaderboard.results import read_leaderboard
from leaderboard.tables import terminal_table

PHOTOGRAPHS = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "moon.png",
    "motorcycle_left.png",
    "rocket.jpg",
)


def run(options: Namespace) -> int:
    """Run `options.command`; returns the exit status. Raises ClicError for what the user can mend."""
    try:
        return COMMANDS[options.command](options)
    except LeaderboardError as error:
        raise ClicError(str(error)) from error


def read_candidates(path: Path, typed_points: bool = False) -> pd.DataFrame:
    """A candidates table; points are text unless `typed_points`, where a column of numbers is numeric.

    Raises ClicError for a missing or unreadable file.
    """
    text = [name for name in COLUMNS if name not in READERS and not (typed_points and name == "point")]
    missing = {name: ["", "nan"] for name in READERS if READERS[name] is float}
    try:
        # An image may be called 007 or nan: nothing but numbers can be missing.
        return pd.read_csv(
            path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing, float_precision="round_trip"
        )
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: no table of candidates ({error}); give a candidates.csv") from error


def _submit(options: Namespace) -> int:
    profile = load_profile(options.profile)
    result = submit(
        options.images,
        options.out,
        profile,
        options.rates or profile.rates,
        options.codec,
        options.team,
        options.objective,
        options.time_limit,
        options.workers,
    )
    if result.passed:
        Console().print(terminal_table(read_leaderboard(options.out / "leaderboard.csv")))
    for rate, findings in result.rejected.items():
        log(f"{rate}: would be rejected, {len(findings)} findings (above and in {options.out / 'run.json'})")
    return 1 if result.rejected else 0


def write_photographs(folder: Path) -> None:
    """Copy the sample photographs that scikit-image ships to `folder`. Raises ClicError where one is missing."""
    for name in PHOTOGRAPHS:
        try:
            content = resources.files("skimage").joinpath("data", name).read_bytes()
        except (ModuleNotFoundError, FileNotFoundError) as error:
            raise ClicError(
                f"{name}: not in this installation of scikit-image; install it anew, or "
                "run 'clic submit' on photographs of your own"
            ) from error
        write_atomic(folder / name, content)


def _demo(options: Namespace) -> int:
    options.images = options.out / "photographs"
    write_photographs(options.images)
    return _submit(options)


def _encode(options: Namespace) -> int:
    images = list_images(options.images)
    with exclusive(options.out), bar("sweep") as progress:
        sweep(images, options.codec, options.out, options.workers, progress)
    print(options.out / "candidates.csv")
    return 0


def _select(options: Namespace) -> int:
    candidates = read_candidates(options.candidates, typed_points=True)
    chosen = select(candidates, options.budget, options.objective)
    if options.json:
        print(
            as_json({"points": chosen.points, "bytes": chosen.bytes, "score": chosen.score, "bound": chosen.bound}),
            end="",
        )
        return 0
    for image, point in chosen.points.items():
        print(f"{image}\t{point}")
    log(
        f"{chosen.bytes} of {chosen.budget} bytes, {options.objective} {chosen.score:.6f}, "
        f"at most {chosen.bound:.6f} is possible"
    )
    return 0


def _pack(options: Namespace) -> int:
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


def _verify(options: Namespace) -> int:
    profile = load_profile(options.profile)
    found = verify(options.directory, options.images, profile, options.rate, options.time_limit)
    if options.json:
        print(as_json(found.to_json()), end="")
    else:
        for finding in found.findings:
            print(f"- {finding}".replace("\n", "\\n"))
        log(
            f"{options.directory}: {len(found.findings)} findings; {found.images} images decoded; "
            f"data {found.data_bytes} of {found.budget_bytes} bytes; sandbox {found.sandbox or 'not reached'}"
            + (f", which leaves open: {', '.join(found.not_enforced)}" if found.not_enforced else "")
        )
    return 0 if found.ok else 1


def _score(options: Namespace) -> int:
    with bar("score") as progress:
        table = score_folders(options.originals, options.decoded, progress)
    scores = {**asdict(aggregate(table)), "images": len(table)}
    if options.json:
        print(as_json(scores), end="")
    else:
        for name, value in scores.items():
            print(f"{name} {value:.6f}" if isinstance(value, float) else f"{name} {value}")
    return 0


def _report(options: Namespace) -> int:
    with bar("report") as progress:
        originals = {source.name: source.path for source in list_images(options.images)}
        print(write_report(options.directory, originals, progress))
    return 0


def _bench(options: Namespace) -> int:
    profile, codecs = load_profile(options.profile), [load_codec(name) for name in options.codec]
    with TemporaryDirectory() as folder, bar("encode") as progress:
        if not options.images:
            options.images = Path(folder)
            write_photographs(options.images)
        results = bench_decode(list_images(options.images), codecs, profile, options.rate, progress)
    Console().print(_bench_table(results, options.rate))
    if options.csv:
        rows = [asdict(result) | {"seconds_per_megapixel": result.seconds_per_megapixel} for result in results]
        # Objects, so that a missing figure is empty and leaves whole numbers whole.
        text = pd.DataFrame(rows, dtype=object).to_csv(index=False, lineterminator="\n")
        write_atomic(options.csv, text.encode())
    return 0


def _bench_table(results: Sequence[Measured], rate: float) -> Table:
    """Every decoder a row, 80 columns wide; what a decoder does not print is blank."""
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


def _codecs(options: Namespace) -> int:
    for name in codec_names():
        print(name)
    return 0


COMMANDS: Mapping[str, Callable[[Namespace], int]] = {
    "submit": _submit,
    "demo": _demo,
    "encode": _encode,
    "select": _select,
    "pack": _pack,
    "verify": _verify,
    "score": _score,
    "report": _report,
    "codecs": _codecs,
    "bench": _bench,
}
