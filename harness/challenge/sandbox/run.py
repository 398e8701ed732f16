"""Run `./decode` as the challenge's server does, in the strongest box that this machine offers (see boxes.py)."""

import os
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from harness.challenge.archive import extract_zip
from harness.challenge.profiles import Profile
from harness.challenge.sandbox.boxes import MAX_PROCESSES, MAX_TASKS, Box, command, environment, levels, limits
from harness.challenge.sandbox.cgroup import Group, make_group
from harness.challenge.sandbox.engine import NOT_ENFORCED, engine_command, remove_container
from harness.challenge.sandbox.environment import Environment
from harness.challenge.sandbox.tree import entries_in, fetch, used_bytes
from harness.challenge.sandbox.watch import PROC, Allowance, Watch
from harness.errors import ClicError
from harness.scratch import refuse_noexec, scratch

UNPACKED_RATIO = 4  # a decoder may unpack to this many times the limit for its zip; the sources name no limit
DISK_BYTES = 2 << 30  # that a decoder may write, beside its own files
FULL_BYTES = 1 << 16  # a disk with less to spare is full
READY_SECONDS = 600  # in which a box is built and a submission copied into it
SHOWN = 20  # paths outside, at most
PLACES = ("home/decoder", "tmp", "var/tmp", "dev", "proc", "submission")  # in a sealed box, where writing is no fault


@dataclass(frozen=True)
class RunOptions:
    """How a run is made: seconds (by default the profile's), a level (the strongest), bytes on disk, threads.

    `threads` 0 leaves their number to the decoder. `tick` gets the folder that the decoder works in, twice a second.
    The interpreter is this one, or that of an `environment` apart.
    """

    time_limit: float | None = None
    level: str | None = None
    disk_bytes: int = DISK_BYTES
    threads: int = 0
    tick: Callable[[Path], None] = lambda folder: None
    environment: Environment | None = None


@dataclass(frozen=True)
class DecodeRun:
    """How a decoder did: seconds on the clock, the highest memory seen (None where it cannot be measured).

    `returncode` is negative where a signal ended it (or 128 plus the signal, from inside a box). `output` is
    the end of what it printed. `level` is the box it ran in, `not_enforced` what that box leaves open.
    `stopped` says what it was killed for: "", "time", "memory", "disk" or "processes". `outside` are files that it
    made beside its folder and those for temporary files, and `network` is whether it tried to reach anything, where the
    box can tell. `left_out` are files too large to be fetched from its folder, bytes by relative path.
    """

    returncode: int
    seconds: float
    peak_memory_bytes: int | None
    output: str
    level: str
    not_enforced: tuple[str, ...]
    stopped: str = ""
    outside: tuple[str, ...] = ()
    network: bool = False
    left_out: Mapping[str, int] = field(default_factory=dict)


def require_linux() -> None:
    """Raise ClicError where the system is not Linux, on which alone decoders can be boxed in."""
    if sys.platform != "linux":
        raise ClicError(
            "running a decoder needs Linux, whose means the sandbox is made of; "
            "encode, select, pack, score and report work here, too"
        )


def run_decoder(
    decoder_zip: Path, data_file: Path, workdir: Path, profile: Profile, options: RunOptions | None = None
) -> DecodeRun:
    """Unpack a decoder beside its data in an empty folder and run it there, without arguments or input.

    What it leaves in its folder is in `workdir` afterwards. Nothing that the decoder started is alive then. Raises
    ClicError for a folder in use, a missing data file, an archive that `extract_zip` refuses, and one without an
    executable `decode`.
    """
    require_linux()
    options = options or RunOptions()
    workdir = workdir.resolve()
    if workdir.exists() and not (workdir.is_dir() and not any(workdir.iterdir())):
        raise ClicError(f"{workdir}: not empty; give an empty or a new folder to decode in")
    for name in (".home", ".tmp"):
        (workdir / name).mkdir(parents=True)
    try:
        shutil.copyfile(data_file, workdir / data_file.name)
    except OSError as error:
        raise ClicError(
            f"{data_file}: cannot be copied to {workdir} ({error.strerror}); give the data file, and a TMPDIR with room"
        ) from error
    extract_zip(decoder_zip, workdir, UNPACKED_RATIO * profile.decoder_bytes)
    decode = workdir / "decode"
    if not (decode.is_file() and decode.stat().st_mode & 0o111):  # os.access would tell of the mount as well
        raise ClicError(f"{decoder_zip}: no executable file 'decode' at its top level; pack one of mode 0755")
    disk = used_bytes(workdir) + options.disk_bytes
    seconds = profile.seconds if options.time_limit is None else options.time_limit
    allowance = Allowance(profile.memory_bytes, disk, MAX_PROCESSES, seconds)
    if options.environment and options.environment.engine:
        return _run_in_engine(options.environment, workdir, profile.cpus, allowance, options.tick)
    box = Box(options.level or levels()[0], disk, profile.cpus, options.threads, profile.packages, options.environment)
    if not box.sealed:  # a sealed box has a copy of its own
        refuse_noexec(workdir)
    return _run(box, workdir, allowance, options.tick)


def _run_in_engine(
    environment: Environment, workdir: Path, cpus: int, allowance: Allowance, tick: Callable[[Path], None]
) -> DecodeRun:
    """Run the decoder in a container of Docker or podman, to its end or its limits."""
    name = f"clic-{secrets.token_hex(8)}"
    process = subprocess.Popen(
        engine_command(environment, workdir, name, cpus, allowance),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    watch = Watch(process, b"", allowance)
    try:
        stopped = watch.until_end(lambda: used_bytes(workdir), lambda: tick(workdir))
        seconds = time.monotonic() - watch.start
    finally:
        remove_container(environment.engine, name)
        watch.kill()
    output = watch.tail.decode(errors="replace")
    return DecodeRun(process.returncode, seconds, None, output, environment.engine, NOT_ENFORCED, stopped)


def _run(box: Box, workdir: Path, allowance: Allowance, tick: Callable[[Path], None]) -> DecodeRun:
    """Start the box, watch it to its end or its limits, kill whatever is left of it, and fetch what it wrote."""
    group = make_group(allowance.memory_bytes + allowance.disk_bytes, MAX_TASKS)
    not_enforced = (*box.not_enforced, *_beyond(group))
    with ExitStack() as stack:
        if group:
            stack.callback(group.remove)
        root = stack.enter_context(scratch("root"))
        variables = environment(box, workdir, root)
        ours, its = (stack.enter_context(end) for end in socket.socketpair())
        try:
            process = subprocess.Popen(
                command(box, workdir, root, its.fileno() if box.sealed else None, ["./decode"]),
                cwd=workdir,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(its.fileno(),) if box.sealed else (),
                preexec_fn=_prepare(box, group),
            )
        except OSError as error:  # without a box: no interpreter of that name, or no program at all
            return DecodeRun(126, 0.0, None, f"cannot start: {error.strerror}", box.level, not_enforced)
        its.close()
        # What leaves its session stays below the first process of a sealed box; elsewhere its environment tells.
        watch = Watch(process, b"" if box.sealed else f"HOME={variables['HOME']}".encode(), allowance)
        work, top, counters = workdir, None, None
        try:
            if box.sealed:
                work, top, counters = _handles(ours, watch, stack)
                ours.send(b"g")
            watch.start = time.monotonic()
            stopped = watch.until_end(lambda: _taken(box, work, allowance.disk_bytes), lambda: tick(work))
            seconds = time.monotonic() - watch.start
        finally:
            watch.kill()
        if group and not stopped and group.ended_for_memory():
            stopped = "memory"
        left_out = fetch(work, workdir, allowance.disk_bytes) if work != workdir else {}
        output = watch.tail.decode(errors="replace")
        outside = tuple(_written(top, box)) if top else ()
        network = counters is not None and _tried_network(counters.read_text())
        done = DecodeRun(process.returncode, seconds, watch.peak, output, box.level, not_enforced, stopped)
        return replace(done, outside=outside, network=network, left_out=left_out)


def _prepare(box: Box, group: Group | None) -> Callable[[], None]:
    lower = limits(box)

    def prepare() -> None:
        if group:
            group.join()
        lower()

    return prepare


def _beyond(group: Group | None) -> Iterator[str]:
    """What is not enforced here whatever the box."""
    if not (group and group.limits_memory):
        yield "memory between two looks"
    if not PROC.exists():
        yield from ("memory", "number of processes", "end of processes that leave their group")
    if not hasattr(os, "sched_setaffinity"):
        yield "processor count"


def _handles(ours: socket.socket, watch: Watch, stack: ExitStack) -> tuple[Path, Path, Path]:
    """A sealed box's folder, root and network counters, as paths that only this process can use."""
    ours.settimeout(READY_SECONDS)
    try:
        _, handles, _, _ = socket.recv_fds(ours, 16, 3)
    except TimeoutError:
        handles = []
    for handle in handles:
        stack.callback(os.close, handle)
    if len(handles) != 3:
        watch.kill()
        said = watch.tail.decode(errors="replace").strip().split("\n")[-1]
        raise ClicError(
            f"sandbox: the box could not be made ({said or 'no reason given'}); make room in memory, or run again"
        )
    work, top, counters = (Path(f"/proc/self/fd/{handle}") for handle in handles)
    return work, top, counters


def _tried_network(snmp: str) -> bool:
    """Whether /proc/net/snmp counts packets without a route, or to a port of the box itself where nobody listens.

    The second is how a name server is asked for where none is known.
    """
    rows = [line.split() for line in snmp.splitlines()]
    counts = {
        f"{names[0]}{name}": int(value)
        for names, values in zip(rows[::2], rows[1::2], strict=True)
        for name, value in zip(names[1:], values[1:], strict=True)
    }
    return counts.get("Ip:OutNoRoutes", 0) + counts.get("Udp:NoPorts", 0) > 0


def _taken(box: Box, work: Path, disk_bytes: int) -> int:
    """Bytes on disk; above `disk_bytes` where a sealed box has none left."""
    if not box.sealed:
        return used_bytes(work)
    state = os.statvfs(work)
    full = state.f_bavail * state.f_frsize < FULL_BYTES or state.f_favail == 0
    return disk_bytes + 1 if full else disk_bytes - state.f_bavail * state.f_frsize


def _written(top: Path, box: Box) -> Iterator[str]:
    """What a decoder has left outside of its places, at most `SHOWN` paths; not the box's own mount points."""
    seen = box.view
    own = {target.lstrip("/") for _, target in (*seen.binds, *seen.packages)}
    own |= {target.lstrip("/") for target, _ in seen.links}
    found = (path for path, state in entries_in(top, {*PLACES, *own}) if not stat.S_ISDIR(state.st_mode))
    yield from (f"/{path}" for path in islice(found, SHOWN))
