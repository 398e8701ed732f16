"""How much memory there is for further processes, and how much a process has taken."""

import re
import sys
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUPS = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available_bytes() -> int:
    """What can be taken without swapping, and within the limit of the control group that a container sets."""
    free = [int(psutil.virtual_memory().available)]
    for limit, usage in _CGROUPS:
        with suppress(OSError, ValueError):  # no such version, or "max"
            root = Path("/sys/fs/cgroup")
            free.append(int((root / limit).read_text()) - int((root / usage).read_text()))
    return max(0, min(free))


def peak_bytes() -> int:
    """The most memory that this process has held at once, since it runs its present program."""
    # Of getrusage(2), Linux keeps the peak of the parent that started the process; of /proc, it does not.
    with suppress(OSError):
        if found := re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M):
            return int(found[1]) * 1024
    info = psutil.Process().memory_info()
    with suppress(ImportError):
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return int(peak) * (1 if sys.platform == "darwin" else 1024)
    return int(getattr(info, "peak_wset", info.rss))
