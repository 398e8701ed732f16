"""`clic weights export`: a checkpoint as a shipped model, integers for everything that decides a probability."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "export a checkpoint as the weights of a shipped model"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do, with which checkpoint, and the model's name."""
    parser.add_argument("what", choices=("export",))
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path, help="of 'clic train' (.safetensors)")
    parser.add_argument("name", metavar="NUMBER-NAME", help="such as 0-clic; replaces the weights of that name")


def run(options: Namespace) -> int:
    """Write both weights files, and print them with their sizes."""
    import re

    from harness.errors import ClicError
    from submission.training.export import decoder_arrays, encoder_arrays
    from submission.training.start import load_average
    from submission.weights import ShippedWeights

    if not re.fullmatch(r"\d{1,3}-[\w-]+", options.name) or int(options.name.partition("-")[0]) > 255:
        raise ClicError(f"{options.name!r}: not a model's name; give its number from 0 to 255 and a word, as 0-clic")
    networks = load_average(options.checkpoint)
    weights = ShippedWeights(options.name)
    try:
        weights.write(decoder_arrays(networks), encoder_arrays(networks))
    except ValueError as error:
        raise ClicError(f"{options.checkpoint}: {error}; nothing was written") from error
    for path in (weights.encoder, weights.decoder):
        print(path, path.stat().st_size)
    return 0
