"""`clic codecs`: the installed codecs, their settings, and what is missing before they can be used."""

from argparse import ArgumentParser, Namespace

HELP = "list the installed codecs with their settings, and what to install for those that lack something"


def add_arguments(parser: ArgumentParser) -> None:
    """Nothing."""


def run(options: Namespace) -> int:
    """Print a codec a line: its name, its settings with their defaults, and what it lacks."""
    from harness.codecs.registry import installed

    found = installed()
    width = max((len(codec.name) for codec in found), default=0)
    for codec in found:
        settings = " ".join(f"{key}={default}" for key, default in codec.settings.items())
        missing = f"({codec.missing})" if codec.missing else ""
        print(" ".join(filter(None, [codec.name.ljust(width), settings, missing])).rstrip())
    return 0
