"""How a study's folder was made: `made.json`, with commands, commits of the code and versions beneath it."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.errors import ClicError
from harness.files import as_json, write_atomic

FILE = "made.json"


@dataclass(frozen=True)
class Made:
    """The commands, with folders by their names alone, and what they ran on. Two commits where newer code went on."""

    commands: tuple[str, ...]
    commits: tuple[str, ...]
    python: str
    torch: str
    machine: str

    @property
    def sentence(self) -> str:
        """For people."""
        commits = ", ".join(commit[:12] for commit in self.commits) or "not in a repository"
        code = f"commit{'s' * (len(self.commits) > 1)} {commits}; Python {self.python}, torch {self.torch}"
        return f"Made by: {', then '.join(self.commands)} ({code}, {self.machine})."


def write_made(folder: Path, command: str, commits: Sequence[str]) -> None:
    """Write down how a study is made, with this process's versions; commands that made a part of it before stay."""
    import torch

    known = tuple(dict.fromkeys(filter(None, commits)))
    before = read_made(folder)
    commands = tuple(dict.fromkeys([*(before.commands if before else ()), command]))
    save_made(folder, Made(commands, known, platform.python_version(), torch.__version__, platform.machine()))


def save_made(folder: Path, made: Made) -> None:
    """Write it down, in the place of what is there."""
    write_atomic(folder / FILE, as_json(asdict(made)).encode())


def joined(all_made: Sequence[Made]) -> Made | None:
    """How the parts of a study were made, as one; None of none."""
    if not all_made:
        return None

    def each(name: str) -> str:
        return " and ".join(dict.fromkeys(getattr(made, name) for made in all_made))

    commands = dict.fromkeys(command for made in all_made for command in made.commands)
    commits = dict.fromkeys(commit for made in all_made for commit in made.commits)
    return Made(tuple(commands), tuple(commits), each("python"), each("torch"), each("machine"))


def read_made(folder: Path) -> Made | None:
    """What is written there; None where nothing is. Raises ClicError where it is something else."""
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Made(**found | {name: tuple(found[name]) for name in ("commands", "commits")})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ClicError(
            f"{path}: does not say how a study was made ({error}); delete it, or go on with clic ablate"
        ) from error
