"""The boxes that a decoder can run in: how each is made, and what it cannot keep a decoder from.

"bubblewrap" and "namespaces" are alike: spaces of their own for users, files, processes, network and messages; a root
that is a tmpfs of limited size, in which only the system, Python and the challenge's packages appear, read-only; no
capabilities, nor a way to them. The first is made by a maintained program, the second by inside.py. "landlock", for
where namespaces are forbidden, as in most containers, leaves the decoder among the machine's processes and binds it to
a list of folders. "limits" is no box: a decoder there may do what its user may.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.challenge.sandbox import inside
from harness.challenge.sandbox.environment import Environment
from harness.challenge.sandbox.view import View, view, without_masked
from harness.scratch import scratch

WORK = "/home/decoder"  # the decoder's folder in a box with a root of its own
SHARED_MEMORY = 1 << 30  # bytes in /dev/shm
MAX_PROCESSES = 1_000
MAX_TASKS = 2 * MAX_PROCESSES  # processes and threads
MAX_FILE_BYTES = 8 << 30  # no picture, weights or temporary file of a decoder comes near
PACKAGES = ("torch", "numpy", "pillow")

_SYSTEM_CALLS = "filter of system calls"
NOT_ENFORCED = {
    "bubblewrap": (_SYSTEM_CALLS,),
    "namespaces": (_SYSTEM_CALLS,),
    "landlock": (
        _SYSTEM_CALLS,
        "disk space between two looks",
        "files in /dev/shm",
        "network other than TCP",
        "own process space",
        "sight of names of files",
    ),
    "limits": (
        _SYSTEM_CALLS,
        "allow-list of importable packages",
        "disk space between two looks",
        "network",
        "own process space",
        "reads and writes outside the folder",
    ),
}


@dataclass(frozen=True)
class Box:
    """A level, and what it is built with: bytes on `disk`, processors, threads (0: as many as the decoder likes).

    The decoder sees `packages` of those that are installed here, or an `environment` apart instead.
    """

    level: str
    disk: int
    cpus: int
    threads: int = 0
    packages: tuple[str, ...] = PACKAGES
    environment: Environment | None = None

    @property
    def python(self) -> Path:
        """The interpreter that builds the box, where nothing else of Python need be seen, and runs the decoder."""
        return Path(sys.executable) if self.environment is None else self.environment.python

    @property
    def view(self) -> View:
        """What the decoder sees of this machine."""
        return view(self.packages, self.environment)

    @property
    def sealed(self) -> bool:
        """Whether the box has a root of its own, which the decoder's folder is part of."""
        return self.level in ("bubblewrap", "namespaces")

    @property
    def not_enforced(self) -> tuple[str, ...]:
        """What this level leaves open."""
        found = NOT_ENFORCED[self.level]
        abi = inside.landlock_abi() if self.level == "landlock" else 0
        if self.level == "landlock" and abi < 4:
            found = (*(what for what in found if what != "network other than TCP"), "network")
        return (*found, "signals to other processes") if self.level == "landlock" and abi < 6 else found


@functools.cache
def levels() -> tuple[str, ...]:
    """The levels that work on this machine, strongest first; each is tried once."""
    return tuple(level for level in NOT_ENFORCED if level == "limits" or not why_not(level))


@functools.cache
def why_not(level: str) -> str:
    """Why a level does not work here, in a word or two; empty where it does."""
    if level == "landlock" and not inside.landlock_abi():
        return "the kernel has no Landlock"
    if level == "bubblewrap" and not shutil.which("bwrap"):
        return "bubblewrap is not installed"
    box = Box(level, disk=10_000_000, cpus=1)
    with scratch("box") as folder:
        work, root = folder / "work", folder / "root"
        work.mkdir()
        root.mkdir()
        try:
            done = subprocess.run(
                command(box, work, root, None, ["/usr/bin/env", "python3", "-c", "import numpy"]),
                env=environment(box, work, root),
                cwd=work,
                check=False,
                timeout=30,
                stdin=subprocess.DEVNULL,
                capture_output=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
    lines = done.stderr.decode(errors="replace").strip().split("\n")
    return "" if done.returncode == 0 else lines[-1] or f"ends with code {done.returncode}"


def command(box: Box, work: Path, root: Path, socket: int | None, decoder: Sequence[str]) -> list[str]:
    """The command that builds the box and runs `decoder` in it; `work` holds the submission.

    A sealed box takes a copy and is mounted on the empty folder `root`, in its own sight alone; it sends handles of its
    folder and its root through `socket`, a descriptor, and waits for a byte before the decoder starts. With Landlock,
    `root` is filled with links to the packages.
    """
    python = [str(box.python), "-I", "-S", "-c", Path(inside.__file__).read_text(encoding="utf-8")]
    if box.level == "limits":
        plan: inside.Plan = {"level": box.level, "submission": "", "work": str(work), "socket": None, "tasks": 0}
        return [*python, json.dumps({**plan, "command": list(decoder)})]
    seen = box.view
    wrap: list[str] = []
    if box.level == "bubblewrap":
        wrap = [*_bubblewrap(box, seen, work), *python]
    if not box.sealed:
        # Python lists a folder to find what is in it, so that what is hidden can be listed there, and not be read.
        listed = tuple(source for source, _ in seen.binds if Path(source).is_dir())
        binds = (*((place, place) for place in without_masked(seen)), (str(root), str(root)))
        _link_packages(seen, root)
        seen = replace(seen, binds=binds, masks=listed)
    plan = {
        "level": box.level,
        "wrap": wrap,
        "root": str(root),
        "disk": box.disk,
        "shared_memory": SHARED_MEMORY,
        "folders": [WORK, "/tmp", "/var/tmp", inside.SUBMISSION],
        "binds": [*seen.binds, (str(work), inside.SUBMISSION)] if box.sealed else seen.binds,
        "links": seen.links,
        "masks": seen.masks,
        "packages": seen.packages,
        "submission": inside.SUBMISSION if box.sealed else "",
        "work": WORK if box.sealed else str(work),
        "socket": socket,
        "tasks": MAX_TASKS if box.sealed else 0,
        "command": list(decoder),
    }
    return [*python, json.dumps(plan)]


def _link_packages(seen: View, folder: Path) -> None:
    """A folder for PYTHONPATH with links to the packages, instead of the places where the others would be found too."""
    for source, target in seen.packages:
        (folder / Path(target).name).symlink_to(source)
    hidden = f"import sys\n\nsys.path[:] = [path for path in sys.path if path not in {seen.masks!r}]\n"
    (folder / "sitecustomize.py").write_text(hidden, encoding="utf-8")


def _bubblewrap(box: Box, seen: View, work: Path) -> list[str]:
    arguments = ["--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    arguments += ["--die-with-parent", "--hostname", "decoder", "--cap-add", "ALL"]  # dropped by inside.py
    arguments += ["--perms", "0777", "--size", str(box.disk), "--tmpfs", "/"]
    shown = [Path(target) for _, target in seen.binds]
    above = {str(parent) for target in shown for parent in target.parents} - {"/"}  # by itself it makes them 0700
    for folder in sorted({*above, "/home", WORK, "/tmp", "/var", "/var/tmp"}):
        if not any(target in Path(folder).parents for target in shown):
            arguments += ["--perms", "0777", "--dir", folder]
    for target, text in seen.links:
        arguments += ["--symlink", text, target]
    for source, target in (*seen.binds, (str(work), inside.SUBMISSION)):
        arguments += ["--ro-bind", source, target]
    for target in seen.masks:
        arguments += ["--size", "1000000", "--tmpfs", target]
    for source, target in seen.packages:
        arguments += ["--ro-bind", source, target]
    for target in seen.masks:
        arguments += ["--remount-ro", target]
    arguments += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(SHARED_MEMORY)]
    arguments += ["--tmpfs", "/dev/shm", "--remount-ro", "/dev", "--ro-bind", "/proc/sys", "/proc/sys"]
    return [shutil.which("bwrap") or "bwrap", *arguments, "--"]


def environment(box: Box, work: Path, root: Path) -> dict[str, str]:
    """As clean as a container's; `python3` is the environment's interpreter, or the running one."""
    folder = WORK if box.sealed else str(work)
    result = {
        "PATH": os.pathsep.join([str(box.python.parent), "/usr/local/bin", "/usr/bin", "/bin"]),
        "HOME": f"{folder}/.home",
        "TMPDIR": f"{folder}/.tmp",
        "LANG": "C.UTF-8",
        "PYTHONNOUSERSITE": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if box.threads:
        result |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(box.threads))
    if box.level == "landlock":
        result["PYTHONPATH"] = str(root)
    return result


def limits(box: Box) -> Callable[[], None]:
    """What a child does to itself, before it becomes whatever is to run in the box."""
    import resource  # not everywhere

    # The limit counts all threads of the user, so those that run already come on top; root is exempt from it. A
    # sealed box has its own count, and sets its own limit.
    loadavg = Path("/proc/loadavg")
    running = int(loadavg.read_text().split()[3].split("/")[1]) if loadavg.exists() else None

    def lower(kind: int, value: int) -> None:
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))

    def apply() -> None:
        lower(resource.RLIMIT_CORE, 0)
        lower(resource.RLIMIT_FSIZE, MAX_FILE_BYTES)
        if running is not None and not box.sealed:
            lower(resource.RLIMIT_NPROC, running + MAX_TASKS)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: box.cpus])

    return apply
