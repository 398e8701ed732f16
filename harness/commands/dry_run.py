"""What `--dry-run` shows: what a run would take, from a first task's measure, and whether there is room for it."""

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.sweep.forecast import Forecast, Sample


def add_dry_run(parser: ArgumentParser) -> None:
    """Only say what it would take."""
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="write nothing; code one image at three points and say what time, memory and disk the run will take",
    )


def dry_run(options: Namespace, specs: Sequence[str], rates: int = 0) -> int:
    """Measure one image by each codec and print the forecast; 1 where memory or disk will not do."""
    from harness.codecs.protocol import Adaptive
    from harness.codecs.registry import open_codec
    from harness.memory import available_bytes
    from harness.progress import counted, duration, log
    from harness.sweep.forecast import forecast, load, measure, missing
    from harness.sweep.further import foretold_seconds
    from harness.sweep.local import usable_cores
    from harness.sweep.originals import list_originals
    from harness.sweep.plan import describe

    images = list_originals(options.images, options.out, options.rehash)
    found: list[tuple[Sample, Forecast]] = []
    beyond: list[str] = []
    for spec in specs:
        opened = open_codec(spec)
        codec, points = describe(opened, spec), list(dict.fromkeys(opened.points()))
        wanted = missing(images, codec, points, options.out)
        todo = sorted((entry.source for entry in wanted if entry.points), key=lambda source: source.pixels)
        middle = (todo or sorted(images, key=lambda source: source.pixels))[len(todo or images) // 2]
        log(f"dry run: coding {middle.path.name} at three points with {codec.name}")
        sample = measure(middle, codec, points)
        if isinstance(opened, Adaptive) and rates:
            seconds = foretold_seconds(opened, images, rates)
            beyond.append(f"{duration(seconds)} of one core on top for further points: {opened.about_further()}")
        found.append((sample, forecast(sample, wanted, len(points))))
    every = [expected for _, expected in found]
    cores, free = usable_cores(), available_bytes()
    loads = [load(expected, options.workers, cores, free) for expected in every]  # one codec after the other
    memory = max(one.memory_bytes for one in loads)
    disk = sum(expected.stream_bytes for expected in every) + rates * max(expected.png_bytes for expected in every)
    room = shutil.disk_usage(_existing(options.out)).free
    core_seconds = sum(expected.core_seconds for expected in every)
    for sample, _ in found:
        print(
            f"measured  {sample.name}, {sample.pixels / 1e6:.1f} megapixels, {len(sample.places)} points: "
            f"{sample.prepare_seconds + sum(sample.seconds):.1f} s by one process, {sample.peak_bytes / 1e9:.1f} GB"
        )
    print(f"to code   {sum(expected.candidates for expected in every):,} candidates of {len(images):,} images")
    if options.cluster:
        print(f"time      {duration(core_seconds)} of one core, to be divided by the cluster's")
    else:
        at_once = counted(max(one.processes for one in loads), "image")
        print(
            f"time      {duration(sum(one.seconds for one in loads))}, {at_once} at a time on {counted(cores, 'core')}"
        )
    for what in beyond:
        print(f"          {what}")
    if rates:
        seconds = rates * max(expected.decode_seconds for expected in every) / cores
        print(f"          {duration(seconds)} more to decode and verify at {rates} rate{'s'[: rates > 1]}")
    print(f"memory    {memory / 1e9:.1f} GB at the peak, {free / 1e9:.1f} GB are free")
    print(f"disk      {size(disk)}, {size(room)} are free")
    lacks = [what for what, short in (("memory", memory > free), ("disk", disk > room)) if short]
    if lacks:
        print(f"too little {' and '.join(lacks)}: make room, or take fewer --workers or another --out")
    return 1 if lacks else 0


def size(count: float) -> str:
    """Bytes as a person says them."""
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(1, count / 1e6):,.0f} MB"


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that there is."""
    path = folder.resolve()
    while not path.exists():
        path = path.parent
    return path
