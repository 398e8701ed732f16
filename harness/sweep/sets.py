"""The image sets that were swept in a run's folder, as people name them: by their hash's beginning, or their folder."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClicError
from harness.progress import counted
from harness.records import Member, Sweep
from harness.store import Store

DIGITS = 8  # of a set's hash that are shown


@dataclass(frozen=True)
class SweptSet:
    """A set of a store: its id there, how many images it has, and the folder where most lay, empty if not known."""

    id: str
    images: int
    folder: str

    def __str__(self) -> str:
        where = f" of {self.folder}" if self.folder else ""
        return f"{self.id[:DIGITS]} ({counted(self.images, 'image')}{where})"

    def is_called(self, name: str) -> bool:
        """Whether a person may mean it: by its folder's name, or at least four digits that its hash begins with."""
        return name == self.folder or (len(name) >= 4 and self.id.startswith(name))


def swept_ids(store: Store) -> list[str]:
    """The ids of the sets that were swept, the one that was swept last first."""
    return list(dict.fromkeys(run.image_set for run in reversed(store.rows(Sweep))))


def swept_sets(store: Store) -> list[SweptSet]:
    """The sets that were swept, in the order of `swept_ids`."""
    folders: dict[str, set[str]] = {}
    for path, file in store.known_files().items():
        folders.setdefault(file.sha256, set()).add(Path(path).parent.name)
    files = Counter(folder for names in folders.values() for folder in names)
    found = []
    for digest in swept_ids(store):
        members = store.rows(Member, image_set=digest)
        lay = Counter(folder for member in members for folder in folders.get(member.image, ()))
        folder = max(lay, key=lambda name: (lay[name], -files[name]), default="")  # not a larger one, of copies
        found.append(SweptSet(digest, len(members), folder))
    return found


def find_set(store: Store, name: str) -> SweptSet:
    """The one set that a person calls `name`. Raises ClicError where there is none, or several, and lists all."""
    known = swept_sets(store)
    called = [one for one in known if one.is_called(name)]
    if len(called) != 1:
        which = "several sets are" if called else "no set is"
        raise ClicError(f"{store.folder}: {which} called {name!r}; name one of {', '.join(map(str, known))}")
    return called[0]
