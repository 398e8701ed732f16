"""What a decoder runs in: the interpreter with its packages that runs here, or one apart that is as the server's."""

import json
import platform
import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from harness.errors import ClicError

OURS = "clic-harness"
_ASKED = """import importlib.metadata, json, platform, sys
print(json.dumps({
    "prefix": sys.prefix,
    "base_prefix": sys.base_prefix,
    "versions": {"python": platform.python_version()}
    | {found.metadata["Name"]: found.version for found in importlib.metadata.distributions()},
}))"""


@dataclass(frozen=True)
class Environment:
    """An interpreter apart from this one, `python`, with all packages that are installed for it, and their versions.

    Where there is an `engine` ("docker", "podman"), all of it is in an image of that engine.
    """

    python: Path
    prefix: Path
    base_prefix: Path
    versions: Mapping[str, str] = field(hash=False)
    engine: str = ""
    image: str = ""


def read_environment(python: Path, engine: str = "", image: str = "") -> Environment:
    """The environment of an interpreter, on this machine or in an engine's image. Raises ClicError where it does not
    start."""
    inside = [engine, "run", "--rm", "--network", "none", image] if engine else []
    try:
        done = subprocess.run(
            [*inside, python, "-I", "-c", _ASKED], capture_output=True, text=True, check=True, timeout=120
        )
        told = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ClicError(f"{python}: does not start as an interpreter ({error}); build the container again") from error
    versions = {normal_name(name): text for name, text in told["versions"].items()}
    return Environment(python, Path(told["prefix"]), Path(told["base_prefix"]), versions, engine, image)


def versions_here(packages: Iterable[str]) -> Mapping[str, str]:
    """The versions of Python, of this package and of those among `packages` that are installed here."""
    versions = {"python": platform.python_version()}
    for package in (OURS, *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a decoder may do without
            continue
    return versions


def normal_name(package: str) -> str:
    """A package's name as it is compared (PyPA, name normalization)."""
    return re.sub(r"[-_.]+", "-", package).lower()
