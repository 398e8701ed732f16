"""What a decoder may see of this machine: the system, Python, and the packages that the challenge's container has.

Packages are shown one by one, with all that they require, in the place where the interpreter looks for packages. The
rest of what is installed here is not there, so that `import pandas` fails here as it would on the server.
"""

import functools
import site
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

from harness.challenge.sandbox.environment import Environment, normal_name
from harness.errors import ClicError

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/libx32", "/lib64", "/nix", "/sys/devices/system")
SETTINGS = (  # of /etc, what programs need to start, to know users, time zone and fonts
    "alternatives",
    "fonts",
    "group",
    "host.conf",
    "hosts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "ssl",
    "timezone",
)
PACKAGE_FOLDERS = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class View:
    """Read-only pairs of source and target, parents first; links as (path, text).

    `masks` are folders of packages, shown empty; in one of them appear the `packages`, pairs too.
    """

    binds: tuple[tuple[str, str], ...]
    links: tuple[tuple[str, str], ...]
    masks: tuple[str, ...]
    packages: tuple[tuple[str, str], ...]


@functools.cache
def view(packages: tuple[str, ...], environment: Environment | None = None) -> View:
    """The view with these packages and their requirements, or with an environment apart and all that is in it.

    Raises ClicError for a package that is not installed here.
    """
    links, shown = [], []
    for place in map(Path, (*SYSTEM, *(f"/etc/{name}" for name in SETTINGS))):
        if place.is_symlink():
            links.append((str(place), str(place.readlink())))
        elif place.exists():
            shown.append(place)
    own = (environment.base_prefix, environment.prefix) if environment else (Path(sys.base_prefix), Path(sys.prefix))
    for place in sorted(set(own)):
        if not any(place == known or known in place.parents for known in shown):
            shown.append(place)
    masks = _package_folders(shown, Path(sys.base_prefix) if environment is None else environment.base_prefix)
    if environment:
        return View(tuple((str(place), str(place)) for place in shown), tuple(links), tuple(map(str, masks)), ())
    target = Path(sysconfig.get_path("purelib")).resolve()
    return View(
        tuple((str(place), str(place)) for place in shown),
        tuple(links),
        tuple(map(str, masks)),
        tuple((str(source), str(target / name)) for name, source in sorted(_entries(packages).items())),
    )


def without_masked(seen: View) -> tuple[str, ...]:
    """The files and folders that together are the view's binds, where a folder cannot be hidden in another."""
    masks = [Path(mask) for mask in seen.masks]
    result: list[str] = []

    def add(place: Path) -> None:
        if place in masks or place.is_symlink():
            return
        if any(place in mask.parents for mask in masks):
            for child in sorted(place.iterdir()):
                add(child)
        else:
            result.append(str(place))

    for source, _ in seen.binds:
        add(Path(source))
    return tuple(result)


def _package_folders(shown: Sequence[Path], base: Path) -> list[Path]:
    """Folders of packages of this interpreter, of the one at `base` and of the system's, among what is shown."""
    known = [Path(path) for path in (*site.getsitepackages(), sysconfig.get_path("purelib"))]
    for prefix in (base, Path("/usr"), Path("/usr/local")):
        for name in PACKAGE_FOLDERS:
            known += prefix.glob(f"lib*/python3*/{name}")
    found = {path.resolve() for path in known if path.is_dir()}
    return sorted(path for path in found if any(place in path.parents for place in shown))


def _entries(packages: Sequence[str]) -> dict[str, Path]:
    """Top-level files and folders of the packages and all that they require, by name."""
    entries: dict[str, Path] = {}
    for found in _with_requirements(packages):
        folder = Path(str(found.locate_file("")))
        names = {file.parts[0] for file in found.files or ()}
        if not names:  # installed by the system, which keeps no list
            names = set((found.read_text("top_level.txt") or found.metadata["Name"]).split())
        for name in names - {"..", "__pycache__"}:
            if (folder / name).exists():
                entries.setdefault(name, (folder / name).resolve())
    return entries


def _with_requirements(packages: Sequence[str]) -> list[Distribution]:
    waiting, found = list(packages), dict[str, Distribution]()
    while waiting:
        name = waiting.pop()
        key = normal_name(name)
        if key in found:
            continue
        try:
            found[key] = distribution(name)
        except PackageNotFoundError as error:
            if name not in packages:
                continue  # something optional or for another system
            raise ClicError(
                f"package {name!r}, which the challenge's container has, is not installed here; install it with pip"
            ) from error
        for text in found[key].requires or ():
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name)
    return [found[key] for key in sorted(found)]
