"""A decoder in a container of Docker or podman: its limits are the engine's; clock and disk are watched from here."""

import os
import subprocess
from pathlib import Path

from harness.challenge.sandbox.environment import Environment
from harness.challenge.sandbox.watch import Allowance

WORK = "/home/decoder"
NOT_ENFORCED = ("measured memory", "disk space between two looks", "writes outside the folder")


def engine_command(environment: Environment, work: Path, name: str, cpus: int, allowance: Allowance) -> list[str]:
    """What runs `./decode` of the folder `work` in a container called `name`, without a network."""
    limits = {
        "--cpus": cpus,
        "--memory": allowance.memory_bytes,
        "--memory-swap": allowance.memory_bytes,  # so that there is no swap beside
        "--pids-limit": 2 * allowance.processes,
    }
    user = ["--userns", "keep-id"] if environment.engine == "podman" and os.getuid() else []
    variables = {"HOME": f"{WORK}/.home", "TMPDIR": f"{WORK}/.tmp", "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
    return [
        *(environment.engine, "run", "--rm", "--name", name, "--network", "none"),
        *(text for option, value in limits.items() for text in (option, str(value))),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--user", f"{os.getuid()}:{os.getgid()}", *user),
        *(text for key, value in variables.items() for text in ("--env", f"{key}={value}")),
        *("--volume", f"{work}:{WORK}", "--workdir", WORK, environment.image, "./decode"),
    ]


def remove_container(engine: str, name: str) -> None:
    """End a container and what runs in it, where it is still there: the engine's client dies without it."""
    subprocess.run([engine, "rm", "--force", name], capture_output=True, check=False)
