"""What `--dry-run` shows: what a run would take, from a first task's measure, and whether there is room for it."""

import shutil
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands import options as shared

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
    """Measure one image by each codec, on the cluster where there is one, and print the forecast.

    Returns 1 where memory or disk will not do. Raises ClicError, also where there is no such cluster.
    """
    from harness.codecs.protocol import Adaptive
    from harness.codecs.registry import open_codec
    from harness.progress import counted, duration, log
    from harness.sweep.dask import DaskCluster
    from harness.sweep.forecast import forecast, load, measure, missing
    from harness.sweep.further import foretold_seconds
    from harness.sweep.local import usable_cores
    from harness.sweep.originals import list_originals
    from harness.sweep.plan import describe

    places = shared.executor(options).places()
    cluster = DaskCluster(options.cluster) if options.cluster else None
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
        sample = measure(middle, codec, points, cluster)
        if isinstance(opened, Adaptive) and rates:
            seconds = foretold_seconds(opened, images, rates)
            beyond.append(f"{duration(seconds)} of one core on top for further points: {opened.about_further()}")
        found.append((sample, forecast(sample, wanted, len(points))))
    every = [expected for _, expected in found]
    cores = usable_cores()
    loads = [load(expected, places) for expected in every]  # one codec after the other
    tight = max(loads, key=lambda one: one.memory_bytes / max(1, one.free_bytes))
    disk = sum(expected.stream_bytes for expected in every) + rates * max(expected.png_bytes for expected in every)
    room = shutil.disk_usage(_existing(options.out)).free
    for sample, _ in found:
        print(
            f"measured  {sample.name}, {sample.pixels / 1e6:.1f} megapixels, {len(sample.places)} points: "
            f"{sample.prepare_seconds + sum(sample.seconds):.1f} s by one process, {sample.peak_bytes / 1e9:.1f} GB"
        )
    print(f"to code   {sum(expected.candidates for expected in every):,} candidates of {len(images):,} images")
    at_once = counted(max(one.images_at_once for one in loads), "image")
    threads = sum(place.tasks or 0 for place in places)
    where = f"by {counted(len(places), 'worker')} of {counted(threads, 'thread')}" if cluster else ""
    where = where or f"on {counted(cores, 'core')}"
    print(f"time      {duration(sum(one.seconds for one in loads))}, {at_once} at a time {where}")
    for what in beyond:
        print(f"          {what}")
    if rates:
        seconds = rates * max(expected.decode_seconds for expected in every) / cores
        print(f"          {duration(seconds)} more to decode and verify at {rates} rate{'s'[: rates > 1]}")
    at, there = ("in a worker at the peak", " for it") if cluster else ("at the peak", "")
    print(f"memory    {tight.memory_bytes / 1e9:.1f} GB {at}, {tight.free_bytes / 1e9:.1f} GB are free{there}")
    print(f"disk      {size(disk)}, {size(room)} are free")
    lacks = [
        what for what, short in (("memory", tight.memory_bytes > tight.free_bytes), ("disk", disk > room)) if short
    ]
    if lacks:
        fewer = "fewer threads a worker" if cluster else "fewer --workers"
        print(f"too little {' and '.join(lacks)}: make room, or take {fewer} or another --out")
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
