"""`clic images check`: which known set a folder of photographs is."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands import options as shared

if TYPE_CHECKING:
    from harness.imagesets import Identity

HELP = "say which known image set a folder is, and what is missing, altered or additional"


def add_arguments(parser: ArgumentParser) -> None:
    """What to do, and with which folder."""
    parser.add_argument("what", choices=("check",))
    parser.add_argument("images", metavar="FOLDER", type=Path, help="folder of photographs")
    shared.add_json(parser)


def run(options: Namespace) -> int:
    """Print the set and every difference; returns 1 unless the folder is exactly a known set."""
    from harness.files import as_json
    from harness.images import list_images
    from harness.imagesets import identify
    from harness.progress import bar

    images = list_images(options.images)
    with bar("hash") as progress:
        found = identify(images, progress=progress)
    if options.json:
        print(as_json(_fields(found)), end="")
    else:
        for line in _lines(found):
            print(line.replace("\n", "\\n"))
    return 0 if found.is_whole else 1


def _fields(found: "Identity") -> dict[str, Any]:
    return {
        "label": found.label,
        "set": found.known.title if found.known else None,
        "digest": found.digest,
        "is_whole": found.is_whole,
        "same": dict(found.same),
        "unproven": dict(found.unproven),
        "missing": list(found.missing),
        "altered": dict(found.altered),
        "additional": dict(found.additional),
    }


def _lines(found: "Identity") -> list[str]:
    """The set's name, then a line for each difference."""
    from harness.imagesets import known_sets

    lines = [found.label]
    if found.known is None:
        titles = ", ".join(known.title for known in known_sets())
        return [*lines, f"no known set; known are {titles}"]
    if found.known.aliases:
        lines[0] += f" (also called {', '.join(found.known.aliases)})"
    lines += [f"missing: {name}" for name in found.missing]
    lines += [f"altered: {name}: {reason}" for name, reason in found.altered.items()]
    lines += [f"additional: {name}: {reason}" for name, reason in found.additional.items()]
    lines += [f"renamed: {name} is {known}" for name, known in found.renamed.items()]
    if found.unproven:
        lines.append(f"{len(found.unproven)} compared by name and size alone: the set's hashes are not known")
    return lines
