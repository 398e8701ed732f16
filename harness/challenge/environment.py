"""What a decoder runs in: an interpreter with its packages, this one or one built as the server's."""

import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version

OURS = "clic-harness"


def versions_here(packages: Iterable[str]) -> Mapping[str, str]:
    """The versions of Python, of this package and of those among `packages` that are installed here."""
    versions = {"python": platform.python_version()}
    for package in (OURS, *packages):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a decoder may do without
            continue
    return versions
