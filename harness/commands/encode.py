"""`clic encode`: every image at every operating point, into the store of a run, with `candidates.csv` for people."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared
from harness.commands.dry_run import add_dry_run, dry_run

HELP = "code every image at every operating point; writes DIR/candidates.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Images, the run's folder, and the codecs."""
    shared.add_images_and_out(parser)
    shared.add_codecs(parser, "one after the other, into the same table")
    shared.add_executor(parser)
    shared.add_rehash(parser)
    add_dry_run(parser)


def run(options: Namespace) -> int:
    """Sweep, and print where the table is."""
    from harness.codecs.registry import open_codec, parts, union_spec
    from harness.images import look_at
    from harness.progress import bar, log
    from harness.store import open_store
    from harness.sweep.originals import list_originals, record_originals
    from harness.sweep.plan import Plan, describe
    from harness.sweep.run import sweep

    specs = parts(union_spec(options.codec or [shared.CODEC]))
    executor = shared.executor(options)
    if options.dry_run:
        look_at(options.images, options.out)
        return dry_run(options, specs)
    images = list_originals(options.images, options.out, options.rehash)
    if remark := look_at(options.images, options.out):
        log(remark)
    codecs = [describe(open_codec(spec), spec) for spec in specs]
    with open_store(options.out) as store:
        with bar("read") as progress:
            originals = record_originals(images, store, options.rehash, progress)
        for codec in codecs:
            with bar(f"sweep {codec.name}" if len(codecs) > 1 else "sweep") as progress:
                sweep(Plan(originals, codec), store, executor, options.rehash, progress)
    print(options.out / "candidates.csv")
    return 0
