"""A control group for one decoder, where this process may make one below its own; cgroups(7).

It stops at once what the watch would see half a second later: memory taken in one go, and forking without end. Both
versions are used, the second where its parent hands on the controllers.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "clic-"


@dataclass(frozen=True)
class Group:
    """The folders of a group, one by controller in version 1, and whether memory is limited by it."""

    folders: tuple[Path, ...]
    limits_memory: bool

    def join(self) -> None:
        """Take in the calling process and all that it will start. Only system calls: for use between fork and exec."""
        for folder in self.folders:
            handle = os.open(folder / "cgroup.procs", os.O_WRONLY)
            os.write(handle, b"0")
            os.close(handle)

    def ended_for_memory(self) -> bool:
        """Whether the kernel has killed a process of the group because its memory was spent."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(OSError, ValueError):
                    counts = dict(line.split() for line in (folder / name).read_text().splitlines())
                    if int(counts.get("oom_kill", 0)):
                        return True
        return False

    def remove(self) -> None:
        """Remove the group, whose processes are dead or dying."""
        for folder in self.folders:
            for _ in range(100):
                with suppress(OSError):
                    folder.rmdir()
                if not folder.exists():
                    break
                time.sleep(0.01)


def make_group(memory_bytes: int, tasks: int) -> Group | None:
    """A group with these limits, or None where none of the two can be set here."""
    folders: list[Path] = []
    limits_memory = False
    for parents, files in _controllers(memory_bytes, tasks):
        for parent in parents:
            folder = parent / f"{_PREFIX}{os.getpid()}-{time.monotonic_ns()}"
            if _make(folder, files):
                _sweep(parent)
                folders.append(folder)
                limits_memory = limits_memory or any(name.startswith("memory.") for name in files)
                break
    group = Group(tuple(folders), limits_memory)
    if folders and _can_be_joined(group):
        return group
    group.remove()
    return None


def _can_be_joined(group: Group) -> bool:
    """Whether a child may move there: that needs a right on the folder above both groups too."""
    try:
        return subprocess.run(["true"], check=False, preexec_fn=group.join, stdin=subprocess.DEVNULL).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _controllers(memory_bytes: int, tasks: int) -> Iterator[tuple[list[Path], dict[str, int]]]:
    """Where each kind of limit could be set, by the lines of /proc/self/cgroup: "id:controllers:path"."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            own = _ROOT / path.lstrip("/")
            yield [own, *([own.parent] if own != _ROOT else [])], {"memory.max": memory_bytes, "pids.max": tasks}
        elif "memory" in controllers.split(","):
            yield [_ROOT / "memory" / path.lstrip("/")], {"memory.limit_in_bytes": memory_bytes}
        elif "pids" in controllers.split(","):
            yield [_ROOT / "pids" / path.lstrip("/")], {"pids.max": tasks}


def _make(folder: Path, files: dict[str, int]) -> bool:
    try:
        folder.mkdir()
    except OSError:
        return False
    try:
        for name, value in files.items():
            # An existing file only: elsewhere than in /sys/fs/cgroup, writing would make one.
            handle = os.open(folder / name, os.O_WRONLY)
            os.write(handle, str(value).encode())
            os.close(handle)
        os.close(os.open(folder / "cgroup.procs", os.O_WRONLY))
    except OSError:
        folder.rmdir()
        return False
    return True


def _sweep(parent: Path) -> None:
    """Remove what runs that were killed have left behind."""
    for folder in parent.glob(f"{_PREFIX}*-*"):
        owner = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdigit() and not Path("/proc", owner).exists():
            with suppress(OSError):
                folder.rmdir()
