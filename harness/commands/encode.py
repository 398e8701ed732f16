"""`clic encode`: every image at every operating point, into the store of a run, with `candidates.csv` for people."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared
from harness.commands.dry_run import add_dry_run, dry_run

HELP = "code every image at every operating point; writes DIR/candidates.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Images, the run's folder, the codecs, and what further points are for."""
    shared.add_images_and_out(parser)
    parser.add_argument(
        "--rates",
        metavar="BPP[,BPP...]",
        type=shared.comma_list,
        default=[],
        help="code further points, too, that codecs have for these bits per pixel of the whole set",
    )
    shared.add_codecs(parser, "one after the other, into the same table")
    shared.add_executor(parser)
    shared.add_rehash(parser)
    add_dry_run(parser)


def run(options: Namespace) -> int:
    """Sweep, and print where the table is."""
    from harness.codecs.registry import open_codec, parts, union_spec
    from harness.images import look_at
    from harness.progress import bar, log
    from harness.rates import Rate
    from harness.store import open_store
    from harness.sweep.further import Goal, Swept, sweep_further
    from harness.sweep.originals import list_originals, record_originals
    from harness.sweep.plan import Plan, describe
    from harness.sweep.run import sweep

    specs = parts(union_spec(options.codec or [shared.CODEC]))
    executor = shared.executor(options)
    if options.dry_run:
        look_at(options.images, options.out)
        return dry_run(options, specs)
    images = list_originals(options.images, options.out, options.rehash, here=not options.cluster)
    if remark := look_at(options.images, options.out):
        log(remark)
    rates = [Rate.parse(rate) for rate in options.rates]
    codecs = [(open_codec(spec), spec) for spec in specs]
    with open_store(options.out) as store:
        with bar("read") as progress:
            originals = record_originals(images, store, options.rehash, progress)
        swept = [Swept(codec, Plan(originals, describe(codec, spec))) for codec, spec in codecs]
        for one in swept:
            with bar(f"sweep {one.codec.name}" if len(codecs) > 1 else "sweep") as progress:
                sweep(one.plan, store, executor, options.rehash, progress)
        pixels = sum(source.pixels for source in images)
        budgets = [rate.whole_bytes(pixels) for rate in rates]
        for one in swept if budgets else ():  # each codec for itself: what is compared must not depend on what else is
            sweep_further([one], store, executor, Goal(budgets))
    print(options.out / "candidates.csv")
    return 0
