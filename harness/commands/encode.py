"""`clic encode`: every image at every operating point, into `candidates.csv` and streams."""

from argparse import ArgumentParser, Namespace

from harness.commands import options as shared

HELP = "code every image at every operating point; writes DIR/candidates.csv"


def add_arguments(parser: ArgumentParser) -> None:
    """Images, the run's folder, and the codec."""
    shared.add_images_and_out(parser)
    shared.add_codec(parser)
    shared.add_workers(parser)


def run(options: Namespace) -> int:
    """Sweep, and print where the table is."""
    from harness.images import left_out, list_images
    from harness.progress import bar, log
    from harness.sweep.local import exclusive, sweep

    images = list_images(options.images)
    if rest := left_out(options.images):
        log(f"{options.images}: not read: {rest}")
    with exclusive(options.out), bar("sweep") as progress:
        sweep(images, options.codec, options.out, options.workers, progress)
    print(options.out / "candidates.csv")
    return 0
