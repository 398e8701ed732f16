"""Other people's programs: found, run without a shell under a time limit, ended with all that they started."""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from harness.errors import ClicError

PRINTED_BYTES = 4096  # of the end of what a program prints; more than a reason takes
REASON_LINES = 3
REASON_LETTERS = 300
_PLACE = re.compile(r"\{([a-z]+)\}")
_PR_SET_PDEATHSIG = 1


def places(words: Sequence[str]) -> set[str]:
    """The names of what a command's words leave open: {"input", "point"} for `-q {point} {input}`."""
    return {name for word in words for name in _PLACE.findall(word)}


def filled(words: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words with each `{name}` replaced by its value; a value is not looked into again."""
    return [_PLACE.sub(lambda found: values[found[1]], word) for word in words]


def find_program(name: str) -> str:
    """The absolute path of a program on PATH, or of one named by its path. Raises ClicError where there is none."""
    found = shutil.which(name)
    if found is None:
        where = "is no executable file" if "/" in name else "is not installed (not found on PATH)"
        raise ClicError(f"program {name!r} {where}; install it, or give its path")
    return str(Path(found).absolute())


def run_program(words: Sequence[str], folder: Path, seconds: float) -> str:
    """Run a command in `folder` and return the end of what it prints. Raises ClicError, one line, where it fails.

    Nothing that it started in its process group is alive afterwards. The last lines that a failing program prints are
    the reason; one that takes longer than `seconds` is ended.
    """
    program = Path(words[0]).name
    printed = folder / ".printed"
    with printed.open("wb") as file:
        try:
            process = subprocess.Popen(
                words,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent() if sys.platform == "linux" else None,
            )
        except (OSError, ValueError) as error:  # ValueError: a null byte in a word
            raise ClicError(f"{program}: cannot be started ({error}); mend the command") from error
        try:
            status = process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ClicError(
                f"{program}: not done after {seconds:g} s, ended; set a longer time limit or a faster option"
            ) from None
        finally:
            _end(process)
    with printed.open("rb") as file:
        file.seek(max(0, printed.stat().st_size - PRINTED_BYTES))
        output = file.read().decode(errors="replace")
    if status:
        how = f"status {status}" if status > 0 else f"signal {-status}"
        raise ClicError(f"{program}: ended with {how}: {last_lines(output) or 'it printed nothing'}")
    return output


def last_lines(output: str) -> str:
    """The end of what a program printed, in one line of printable letters."""
    lines = ["".join(filter(str.isprintable, line)).strip() for line in output.splitlines()]
    return "; ".join([line for line in lines if line][-REASON_LINES:])[-REASON_LETTERS:]


def _die_with_parent() -> Callable[[], None]:
    """What has the kernel end the program with the process that waits for it, even where that is killed."""
    library = ctypes.CDLL(None)
    return lambda: library.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of the program's process group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
