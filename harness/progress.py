"""What a person sees while waiting: log lines and bars with the time left, all on stderr."""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[int, int], None]
"""Called with (done, total), in any unit of work that grows evenly with time."""

PLAIN_SECONDS = 30.0
_LEFT_OUT = " ... "
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def log(message: str) -> None:
    """One line on stderr; control characters inside (a file's name may have some) are shown escaped."""
    print(_CONTROL.sub(lambda found: repr(found[0])[1:-1], message), file=sys.stderr, flush=True)


def escaped(text: str, most: int) -> str:
    """A stranger's text for one line: what is not printable (control characters too) escaped, at most `most` letters.

    Of what is longer the middle is left out: what something is stands first, an error's cause last.
    """
    ends = text[: 2 * most] + text[2 * most :][-most:]  # all that can be shown of it
    line = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in ends)
    if len(line) <= most:
        return line
    half = (most - len(_LEFT_OUT)) // 2
    return line[:half] + _LEFT_OUT + line[-half:]


def counted(count: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one: "1 finding", "2 findings"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    for unit, length in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {max(1, seconds):.0f} s"


@contextmanager
def bar(title: str, done: int = 0) -> Iterator[Progress]:
    """A transient bar with the time left on a terminal; elsewhere a plain line at most every 30 seconds.

    `done` is what an earlier run has left done: it says nothing of how long the rest takes.
    """
    if not sys.stderr.isatty():
        yield _plain(title, done)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with RichProgress(*columns, console=Console(stderr=True), transient=True) as display:
        task = display.add_task(title, total=None, completed=done)
        yield lambda now, total: display.update(task, completed=now, total=total)


def _plain(title: str, before: int) -> Progress:
    start = shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if before < done < total and now - shown >= PLAIN_SECONDS:
            shown = now
            left = (now - start) * (total - done) / (done - before)
            log(f"{title}: {done / total:.0%}, about {left:.0f} s left")

    return show
