"""`clic codecs`: the installed codecs."""

from argparse import ArgumentParser, Namespace

HELP = "list the installed codecs"


def add_arguments(parser: ArgumentParser) -> None:
    """Nothing."""


def run(options: Namespace) -> int:
    """Print a name a line."""
    from harness.codecs.registry import codec_names

    for name in codec_names():
        print(name)
    return 0
