"""Run `./decode` as the challenge's server does, in the strongest box that this machine offers.

Levels, strongest first: "bubblewrap" (no network, no accelerator, own process space; sees the system, Python
and its own folder, and writes only there), "namespaces" (`unshare`: no network, own process space), "limits"
(neither). At each, the processor count, memory, time, size of a file and number of processes are limited.

Memory is measured and not reserved: torch maps far more address space than it touches, so RLIMIT_AS would
stop sound decoders, and RLIMIT_DATA counts untouched pages too. Twice a second the proportional set sizes of
all processes are added up, which counts shared weights once, as a container's own limit does.
"""

import functools
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from harness.challenge.archive import extract_zip
from harness.challenge.profiles import Profile
from harness.errors import ClicError

UNPACKED_RATIO = 4  # a decoder may unpack to this many times the limit for its zip; the sources name no limit
MAX_PROCESSES = 1_000
MAX_FILE_BYTES = 8 << 30  # no picture, weights or temporary file of a decoder comes near
OUTPUT_BYTES = 16_384  # kept from the end of what `decode` prints
_TICK = 0.05
_MEASURE = 0.5
_PROC = Path("/proc")

_ALWAYS_OPEN = ("allow-list of importable packages", "disk space")
_NOT_ENFORCED = {
    "bubblewrap": (),
    "namespaces": ("reads and writes outside the folder",),
    "limits": ("network", "reads and writes outside the folder", "own process space"),
}
_UNSHARE = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@dataclass(frozen=True)
class DecodeRun:
    """How a decoder did: seconds on the clock, the highest memory seen (None where it cannot be measured).

    `returncode` is negative where a signal ended it (or 128 plus the signal, from inside a box). `output` is
    the end of what it printed. `level` is the box it ran in, `not_enforced` what that box leaves open.
    `stopped` says what it was killed for: "", "time", "memory" or "processes".
    """

    returncode: int
    seconds: float
    peak_memory_bytes: int | None
    output: str
    level: str
    not_enforced: tuple[str, ...]
    stopped: str = ""


def run_decoder(
    decoder_zip: Path,
    data_file: Path,
    workdir: Path,
    profile: Profile,
    time_limit: float | None = None,
    level: str | None = None,
    tick: Callable[[], None] = lambda: None,
) -> DecodeRun:
    """Unpack a decoder beside its data in an empty folder and run it there, without arguments or input.

    `time_limit` is in seconds, by default the profile's, and `level` one of `levels()`, by default the
    strongest. `tick` is called twice a second while the decoder runs. Nothing that the decoder started is
    alive afterwards. Raises ClicError for a folder in use, a missing data file, an archive that `extract_zip`
    refuses, and one without an executable `decode`.
    """
    level = level or levels()[0]
    workdir = workdir.resolve()
    if workdir.exists() and not (workdir.is_dir() and not any(workdir.iterdir())):
        raise ClicError(f"{workdir}: not empty; give an empty or a new folder to decode in")
    environment = _environment(workdir)
    try:
        shutil.copyfile(data_file, workdir / data_file.name)
    except OSError as error:
        raise ClicError(f"{data_file}: cannot be copied ({error.strerror}); give the data file") from error
    extract_zip(decoder_zip, workdir, UNPACKED_RATIO * profile.decoder_bytes)
    decode = workdir / "decode"
    if not (decode.is_file() and os.access(decode, os.X_OK)):
        raise ClicError(f"{decoder_zip}: no executable file 'decode' at its top level; pack one of mode 0755")
    limit = profile.seconds if time_limit is None else time_limit
    return _run([*_box(level, workdir), "./decode"], workdir, environment, profile, limit, level, tick)


@functools.cache
def levels() -> tuple[str, ...]:
    """The levels that work on this machine, strongest first; each is tried once."""
    return tuple(level for level in _NOT_ENFORCED if level == "limits" or _works(level))


def _works(level: str) -> bool:
    try:
        done = subprocess.run(
            [*_box(level, Path(tempfile.gettempdir())), "true"],
            check=False,
            timeout=10,
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _box(level: str, workdir: Path) -> list[str]:
    """The command in front of the decoder's."""
    if level == "limits":
        return []
    if level == "namespaces":
        return _UNSHARE
    # The system and Python alone: neither the originals nor this project's source can be read from inside.
    system = ["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix"]
    seen = [path for path in [*system, sys.base_prefix, sys.prefix] if Path(path).exists()]
    return [
        "bwrap",
        "--unshare-all",
        "--die-with-parent",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        *(word for path in seen for word in ("--ro-bind", path, path)),
        "--bind",
        str(workdir),
        str(workdir),
        "--remount-ro",
        "/",
        "--chdir",
        str(workdir),
        "--",
    ]


def _environment(workdir: Path) -> dict[str, str]:
    """As clean as a container's; `python3` is the running interpreter, which has torch, numpy and Pillow."""
    for name in (".home", ".tmp"):
        (workdir / name).mkdir(parents=True)
    return {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": str(workdir / ".home"),
        "TMPDIR": str(workdir / ".tmp"),
        "LANG": "C.UTF-8",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _limits(cpus: int) -> Callable[[], None]:
    """What the child does to itself before it becomes the decoder."""
    # The limit counts all threads of the user, so those that run already come on top; root is exempt from it.
    loadavg = _PROC / "loadavg"
    running = int(loadavg.read_text().split()[3].split("/")[1]) if loadavg.exists() else None

    def lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))

    def apply() -> None:
        lower(resource.RLIMIT_CORE, 0)
        lower(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
        if running is not None:
            lower(resource.RLIMIT_NPROC, running + 4 * MAX_PROCESSES)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cpus])

    return apply


def _run(
    command: list[str],
    workdir: Path,
    environment: dict[str, str],
    profile: Profile,
    time_limit: float,
    level: str,
    tick: Callable[[], None],
) -> DecodeRun:
    """Start the command, watch it to its end or its limits, and kill whatever is left of it."""
    not_enforced = [*_NOT_ENFORCED[level], *_ALWAYS_OPEN]
    if not _PROC.exists():
        not_enforced += ["memory", "number of processes", "end of processes that leave their group"]
    if not hasattr(os, "sched_setaffinity"):
        not_enforced.append("processor count")
    start = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            cwd=workdir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_limits(profile.cpus),
        )
    except OSError as error:  # without a box: no interpreter of that name, or no program at all
        return DecodeRun(126, 0.0, None, f"cannot start: {error.strerror}", level, tuple(not_enforced))
    watch = _Watch(process, f"HOME={environment['HOME']}".encode(), profile.memory_bytes, start + time_limit)
    try:
        stopped = watch.until_end(tick)
        seconds = time.monotonic() - start
    finally:
        watch.kill()
    return DecodeRun(
        process.returncode,
        seconds,
        watch.peak,
        watch.tail.decode(errors="replace"),
        level,
        tuple(not_enforced),
        stopped,
    )


class _Watch:
    """A started decoder: what it printed last, its highest memory in bytes, and all of its processes."""

    def __init__(self, process: subprocess.Popen[bytes], mark: bytes, memory_bytes: int, deadline: float) -> None:
        """`mark` is an environment entry that no other process has; `deadline` is in time.monotonic()."""
        self.process = process
        self.mark = mark
        self.memory_bytes = memory_bytes
        self.deadline = deadline
        self.peak: int | None = None
        self.tail = b""
        self.known: set[tuple[int, str]] = set()  # its processes so far, with their start: numbers are reused

    def until_end(self, tick: Callable[[], None]) -> str:
        """Wait, calling `tick` at every measurement; return why it has to be stopped, or "" once it ended by itself."""
        assert self.process.stdout is not None
        begin = now = measure_at = time.monotonic()
        with selectors.DefaultSelector() as selector:
            os.set_blocking(self.process.stdout.fileno(), False)
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while self.process.poll() is None:
                if now >= self.deadline:
                    return "time"
                if now >= measure_at:
                    if stopped := self._measure():
                        return stopped
                    tick()
                    measure_at = now + min(_MEASURE, _TICK + now - begin)  # often at first: some end soon
                if selector.select(_TICK) and not self._read():
                    selector.unregister(self.process.stdout)  # it closed its output; from here on only wait
                now = time.monotonic()
        return ""

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
        if len(processes) > MAX_PROCESSES:
            return "processes"
        return "memory" if (self.peak or 0) > self.memory_bytes else ""

    def _processes(self) -> set[int]:
        """Living processes of the decoder: of its session, with its environment, known, or below such."""
        parents: dict[int, int] = {}
        started: dict[int, str] = {}
        own: set[int] = set()
        for entry in _PROC.glob("[0-9]*"):  # nothing, where there is no /proc
            try:
                stat = (entry / "stat").read_text(errors="replace")
            except OSError:  # ended meanwhile
                continue
            # proc(5): "pid (name) state ppid pgrp session ..."; the name may hold anything, parentheses too
            state, parent, _, session, *more = stat.rpartition(")")[2].split()
            if state in "ZX":
                continue
            pid = int(entry.name)
            parents[pid], started[pid] = int(parent), more[15]  # field 22, the time of its start
            if (pid, started[pid]) in self.known or int(session) == self.process.pid or self._is_marked(entry):
                own.add(pid)
        for pid in parents:
            line = [pid]
            while line[-1] in parents and line[-1] not in own:
                line.append(parents[line[-1]])
            if line[-1] in own:
                own.update(line)
        self.known.update((pid, started[pid]) for pid in own)
        return own

    def _is_marked(self, entry: Path) -> bool:
        try:
            return self.mark in (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # ended, or another user's
            return False


def _memory(pid: int) -> tuple[int, int]:
    """Bytes that a process holds, shared ones in proportion, and its own peak; zeros where it has ended."""
    text = ""
    for name in ("status", "smaps_rollup"):  # the second only where the kernel has it and lets us
        with suppress(OSError):
            text += (_PROC / str(pid) / name).read_text(errors="replace")
    size = {key: int(kib) * 1024 for key, kib in re.findall(r"^(VmRSS|VmHWM|Pss):\s+(\d+) kB$", text, re.M)}
    return size.get("Pss", size.get("VmRSS", 0)), size.get("VmHWM", 0)
