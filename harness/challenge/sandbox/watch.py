"""A running decoder, watched from outside: its output, memory, processes and disk, and its end whatever it does.

Memory is measured and not reserved: torch maps far more address space than it touches, so RLIMIT_AS would stop sound
decoders, and RLIMIT_DATA counts untouched pages too. Twice a second the proportional set sizes of all processes are
added up, which counts shared weights once, as a container's own limit does.
"""

import os
import re
import selectors
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

OUTPUT_BYTES = 16_384  # kept from the end of what `decode` prints
TICK = 0.05
MEASURE = 0.5
PROC = Path("/proc")


@dataclass(frozen=True)
class Allowance:
    """What a decoder may take: bytes of memory and disk, processes at once, seconds on the clock."""

    memory_bytes: int
    disk_bytes: int
    processes: int
    seconds: float


class Watch:
    """A started decoder: what it printed last, its highest memory in bytes, and all of its processes."""

    def __init__(self, process: subprocess.Popen[bytes], mark: bytes, allowance: Allowance) -> None:
        """`mark` is an environment entry that no other process has, or empty. The clock starts now."""
        self.process = process
        self.mark = mark
        self.allowance = allowance
        self.start = time.monotonic()
        self.peak: int | None = None
        self.tail = b""
        self.known: set[tuple[int, str]] = set()  # its processes so far, with their start: numbers are reused

    def until_end(self, disk_used: Callable[[], int], tick: Callable[[], None]) -> str:
        """Wait, with a `tick` at every measurement; why it has to be stopped, or "" once it ended by itself."""
        assert self.process.stdout is not None
        begin = now = measure_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            os.set_blocking(self.process.stdout.fileno(), False)
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while self.process.poll() is None:
                if now >= self.start + self.allowance.seconds:
                    return "time"
                if now >= measure_at:
                    if stopped := self._measure() or ("disk" if disk_used() > self.allowance.disk_bytes else ""):
                        return stopped
                    tick()
                    measure_at = now + min(MEASURE, TICK + now - begin)  # often at first: some end soon
                if selector.select(TICK) and not self._read():
                    selector.unregister(self.process.stdout)  # it closed its output; from here on only wait
                now = time.monotonic()
        return "disk" if disk_used() > self.allowance.disk_bytes else ""

    def kill(self) -> None:
        """End all its processes, also those that left the group, and read the rest of the output."""
        left = self._processes()  # while the first one lives and its children can be told by it
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for _ in range(200):  # what forks while it is killed needs another round
            for pid in left:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            left = self._processes()
            if not left:
                break
            time.sleep(0.01)
        self.process.wait()
        assert self.process.stdout is not None
        while self._read():
            pass
        self.process.stdout.close()

    def _read(self) -> bool:
        """Take in what is printed; False where there is no more, at the end or for now."""
        assert self.process.stdout is not None
        try:
            chunk = os.read(self.process.stdout.fileno(), 65_536)
        except BlockingIOError:
            return False
        self.tail = (self.tail + chunk)[-OUTPUT_BYTES:]
        return chunk != b""

    def _measure(self) -> str:
        """Note the memory in use; return the limit that is broken, if any."""
        processes = self._processes()
        sizes = [_memory(pid) for pid in processes]
        if sizes:
            # A single process' own peak catches what came and went between two looks. The rusage of the child
            # is of no use: it starts from the size of the process that forked it.
            self.peak = max(self.peak or 0, sum(now for now, _ in sizes), *(peak for _, peak in sizes))
        if len(processes) > self.allowance.processes:
            return "processes"
        return "memory" if (self.peak or 0) > self.allowance.memory_bytes else ""

    def _processes(self) -> set[int]:
        """Living processes of the decoder: of its session, with its environment, known, or below such."""
        children: dict[int, list[int]] = {}
        started: dict[int, str] = {}
        own: set[int] = set()
        for entry in PROC.glob("[0-9]*"):  # nothing, where there is no /proc
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:  # ended meanwhile
                continue
            # proc(5): "pid (name) state ppid pgrp session ..."; the name may hold anything, parentheses too
            state, parent, _, session, *more = stat.rpartition(")")[2].split()
            if state in "ZX":
                continue
            pid = int(entry.name)
            children.setdefault(int(parent), []).append(pid)
            started[pid] = more[15]  # field 22, the time of its start
            if (pid, started[pid]) in self.known or int(session) == self.process.pid or self._is_marked(entry):
                own.add(pid)
        waiting = list(own)
        while waiting:
            below = [pid for pid in children.get(waiting.pop(), ()) if pid not in own]
            own.update(below)
            waiting += below
        self.known.update((pid, started[pid]) for pid in own)
        return own

    def _is_marked(self, entry: Path) -> bool:
        try:
            return self.mark != b"" and self.mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # ended, or another user's
            return False


def _memory(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, shared ones in proportion, and its own peak; zeros where it has ended."""
    text = ""
    for name in ("status", "smaps_rollup"):  # the second only where the kernel has it and lets us
        with suppress(OSError):
            text += (PROC / str(pid) / name).read_text(errors="replace")
    size = {key: int(kib) * 1024 for key, kib in re.findall(r"^(VmRSS|VmHWM|Pss):\s+(\d+) kB$", text, re.M)}
    return size.get("Pss", size.get("VmRSS", 0)), size.get("VmHWM", 0)
