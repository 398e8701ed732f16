"""What ends a run from outside: signals, a closed terminal, and output that nobody reads any more."""

import errno
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

NOBODY_READS = (errno.EPIPE, errno.EIO)  # a pipe whose reader has left, a terminal that was closed


class Ended(BaseException):
    """A signal asks this process to end; `status` is what a shell reports of a program that it ended.

    It is no Exception, so that nothing takes it for a fault and goes on; whatever cleans up after itself does.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class _Descriptor(io.FileIO):
    """A descriptor to write to, which swallows everything once it was refused; only a reader that left is no error."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            if error.errno not in NOBODY_READS:
                raise
            return super().write(data)  # type: ignore[arg-type]


def outlive_readers() -> None:
    """Let standard output and standard error be closed by their readers, as by `| head`, without any harm.

    The command goes on to its own exit status. Bytes in names that are no UTF-8 are printed as they are.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None or stream is not getattr(sys, f"__{name}__"):  # closed, or somebody takes it in
            continue
        stream.flush()
        buffer = io.BufferedWriter(_Descriptor(stream.fileno(), "w", closefd=False))
        utf8 = stream.encoding.lower().replace("-", "") == "utf8"
        errors = "surrogateescape" if utf8 and name == "stdout" else "backslashreplace"
        line = name == "stderr" or stream.isatty()
        setattr(sys, name, io.TextIOWrapper(buffer, stream.encoding, errors, line_buffering=line))


@contextmanager
def ending_by_signals() -> Iterator[None]:
    """Inside, SIGTERM and SIGHUP raise `Ended`; further ones are ignored while it is being cleaned up.

    One that is ignored already, as `nohup` has it, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}

    def end(number: int, frame: FrameType | None) -> None:
        for other in numbers:
            signal.signal(other, signal.SIG_IGN)
        raise Ended(number)

    for number, handler in before.items():
        if handler == signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
