"""The command line `clic`: it finds its commands by entry point, and runs one of them.

A command is a module that an installed package names in the entry-point group `clic.commands`. It has `HELP`, one line
that begins in lower case, `add_arguments(parser)` and `run(options) -> int`. What is heavy it imports inside `run`.
"""

import argparse
import errno
import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points, version
from typing import Protocol, cast

from harness.errors import ClicError
from harness.progress import log
from harness.terminal import Ended, ending_by_signals, outlive_readers

GROUP = "clic.commands"
VERSIONS = "clic.versions"
INTERRUPTED = 130  # as a shell reports Ctrl-C
DESCRIPTION = (
    "Enter the Challenge on Learned Image Compression: photographs in, a packed, verified and scored submission out."
)
_GOES_ON = "the same command goes on where it stopped"
EPILOG = "Exit status: 0, 1 (findings), 2 (could not be done)."


class Command(Protocol):
    """A module that is a command of `clic`."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare what the command takes."""

    def run(self, options: argparse.Namespace) -> int:
        """Do it; returns the exit status."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0, 1 (findings: a submission would be rejected) or 2 (could not be done).

    Ended by Ctrl-C or another signal, it is the status that a shell reports of a program that the signal ended.
    """
    outlive_readers()
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        with ending_by_signals():
            try:
                return run_command(arguments)
            finally:
                if sys.stdout is not None:
                    sys.stdout.flush()  # while an error is still ours to tell
    except ClicError as error:
        log(f"clic: {error}")
        return 2
    except OSError as error:
        log(f"clic: {_explained(error)}")
        return 2
    except KeyboardInterrupt:
        log(f"clic: interrupted; {_GOES_ON}")
        return INTERRUPTED
    except Ended as ended:
        log(f"clic: ended by {ended}; {_GOES_ON}")
        return ended.status
    except Exception as error:  # exit status 1 is for findings alone
        log(f"clic: a fault of clic: {type(error).__name__}: {error}; the traceback is in {_keep_traceback()}")
        return 2


def _explained(error: OSError) -> str:
    """What the system refused, and for what, in one line."""
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "make room on the disk, and go on" if full else "mend what it names, and go on"
    return f"{where}{error.strerror or error}; {mend}"


def _keep_traceback() -> str:
    """Where the traceback of the present exception was written; "standard error, above" where that failed too."""
    import tempfile
    import traceback

    try:
        with tempfile.NamedTemporaryFile("w", prefix="clic-fault-", suffix=".txt", delete=False) as file:
            file.write(traceback.format_exc())
            return file.name
    except OSError:
        traceback.print_exc()
        return "standard error, above"


def run_command(arguments: Sequence[str]) -> int:
    """Run the command that the first argument names, with the others as its own; may raise ClicError."""
    installed = _installed()
    name = next(iter(arguments), "")
    if name in installed:
        command = _load(installed[name])
        options = command_parser(name, command).parse_args(arguments[1:])
        return command.run(options)
    parser = _overview(installed)
    if not arguments:
        parser.print_help()
        return 0
    if parser.parse_args(arguments).version:
        _print_versions()
    return 0


def command_parser(name: str, command: Command) -> argparse.ArgumentParser:
    """The parser of one command's options."""
    description = command.HELP[0].upper() + command.HELP[1:] + "."
    parser = argparse.ArgumentParser(f"clic {name}", description=description, epilog=EPILOG, allow_abbrev=False)
    command.add_arguments(parser)
    return parser


def _installed() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)}


def find_command(name: str) -> Command:
    """The installed command of that name. Raises ClicError where there is none, or it cannot be loaded."""
    installed = _installed()
    if name not in installed:
        raise ClicError(f"command {name!r}: not installed; 'clic --help' lists what is")
    return _load(installed[name])


def _load(entry: EntryPoint) -> Command:
    try:
        return cast(Command, entry.load())
    except ImportError as error:
        raise ClicError(f"command {entry.name!r} cannot be loaded ({error}); install its package anew") from error


def _overview(installed: dict[str, EntryPoint]) -> argparse.ArgumentParser:
    """What `clic --help` shows: every command with its line."""
    width = max(map(len, installed), default=0)
    lines = [f"  {name:{width}}  {_load(entry).HELP}" for name, entry in installed.items()]
    parser = argparse.ArgumentParser(
        "clic",
        usage="clic [--help] [--version] COMMAND ...",
        description=f"{DESCRIPTION}\n\ncommands, each with a --help of its own:\n" + "\n".join(lines),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show versions, and the weights with their hashes")
    parser.add_argument("command", metavar="COMMAND", nargs="?", choices=list(installed), help=argparse.SUPPRESS)
    return parser


def _print_versions() -> None:
    for package in ("clic-harness", "torch", "numpy", "pillow"):
        print(package, version(package))
    print("python", sys.version.split()[0])
    for entry in entry_points(group=VERSIONS):
        for line in entry.load()():
            print(line)
