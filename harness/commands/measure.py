"""`clic measure`: further scores of what was coded, without coding it again."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from harness.commands import options as shared

HELP = "measure the candidates of a run by further metrics, for --objective, or time their decoding"


def add_arguments(parser: ArgumentParser) -> None:
    """The run, its photographs, and the metrics."""
    parser.add_argument("run", metavar="DIR", type=shared.folder, help="folder of a run")
    parser.add_argument("images", metavar="IMAGES", type=Path, help="the photographs that were coded")
    parser.add_argument(
        "--metric",
        metavar="NAME",
        action="append",
        required=True,
        help="ssimulacra2, decode_seconds (for --seconds of 'clic select'), or a .toml file that says which program to "
        "call; may be given again",
    )
    shared.add_whose(parser, "those of all codecs that there are")
    shared.add_executor(parser)
    shared.add_rehash(parser)


def run(options: Namespace) -> int:
    """Measure what was not measured yet, and tell how much that was. Raises ClicError."""
    from harness.codecs.registry import parts, union_spec
    from harness.errors import ClicError
    from harness.images import list_images
    from harness.progress import bar, counted, log
    from harness.scores.metrics import open_metric
    from harness.store import open_store
    from harness.sweep.measure import measure
    from harness.sweep.originals import record_originals
    from harness.sweep.table import swept_codecs

    metrics = [open_metric(spec) for spec in dict.fromkeys(options.metric)]
    images = list_images(options.images)
    with open_store(options.run, write=False):
        pass  # so that nothing is made where there is no run
    with open_store(options.run) as store:
        with bar("read") as progress:
            originals = record_originals(images, store, options.rehash, progress)
        last = {codec.name: codec for codec in swept_codecs(store, originals.id)}
        wanted = parts(union_spec(options.codec)) if options.codec else list(last)
        codecs = [codec for codec in last.values() if {codec.name, codec.spec} & set(wanted)]
        unknown = [name for name in wanted if not any(name in (codec.name, codec.spec) for codec in codecs)]
        if unknown or not codecs:
            known = f"there are those of {', '.join(last)}" if last else "give the folder that was coded"
            of_which = f" by codec {unknown[0]!r}" if unknown else ""
            raise ClicError(f"{options.run}: no candidates of these photographs{of_which}; {known}")
        with bar("measure") as progress:
            done = measure(store, originals, codecs, metrics, shared.executor(options), progress)
    log(f"{counted(done, 'new score')} by {', '.join(metric.name for metric in metrics)}")
    return 0
