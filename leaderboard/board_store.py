"""The entries of a board in its store: taken from runs, from what others exported, and given out again."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from harness.challenge.board import SOURCE as SUBMITTED
from harness.errors import ClicError
from harness.files import as_json, sha256
from harness.images import SourceImage, list_images
from harness.imagesets import identify
from harness.records import Allocation, Entry, Image, ImageFile, Member
from harness.store import DATABASE, Store, open_store
from leaderboard.entries import checked

SOURCE = "clic leaderboard"
_PRIVATE = ("id", "allocation", "inputs_sha256", "verification", "source")  # of the store that an entry is in
_HINTS = get_type_hints(Entry)
_SAME = ("team", "image_set", "phase", "track", "rate", "decoder_sha224", "data_sha224", "elo")


@dataclass(frozen=True)
class Occasion:
    """What a run does not say of its entries, or says otherwise where these are given: team, phase and track."""

    phase: str = "validation"
    team: str = ""
    track: str = ""


def entries_of_run(run: Path, occasion: Occasion, originals: Path | None = None) -> list[Entry]:
    """The submissions in a run's folder that passed, each as it was verified.

    The image set is named by the photographs, looked for where they were or in `originals`. Raises ClicError for a
    folder without such a submission, and photographs that are gone or others.
    """
    with open_store(run, write=False) as store:
        found = store.rows(Entry, source=SUBMITTED, accepted=True)
        if not found:
            raise ClicError(f"{run}: no submission that passed; run 'clic submit' there first")
        names: dict[str, str] = {}
        entries = []
        for entry in found:
            [allocation] = store.rows(Allocation, id=entry.allocation)
            if allocation.image_set not in names:
                names[allocation.image_set] = _name(store, allocation.image_set, originals)
            entries.append(
                replace(
                    entry,
                    team=occasion.team or entry.team,
                    phase=occasion.phase,
                    track=occasion.track or entry.track,
                    image_set=names[allocation.image_set],
                    budget_bytes=json.loads(entry.verification)["budget_bytes"],
                )
            )
    return entries


def _name(store: Store, image_set: str, originals: Path | None) -> str:
    members = store.rows(Member, image_set=image_set)
    paths = {file.sha256: Path(file.path) for file in store.rows(ImageFile)}
    if originals is not None:
        paths = {sha256(source.path.read_bytes()): source.path for source in list_images(originals)}
    sizes = {image.sha256: (image.width, image.height) for image in store.rows(Image)}
    sources = []
    for member in members:
        path = paths.get(member.image)
        if path is None or not path.is_file() or sha256(path.read_bytes()) != member.image:
            where = "not in that folder" if originals is not None else "not where it was coded from"
            raise ClicError(f"{member.name}: {where}, or changed since; give the photographs' folder with --images")
        sources.append(SourceImage(member.name, path, *sizes[member.image]))
    return identify(sources).label


def add(board: Path, entries: Sequence[Entry]) -> list[Entry]:
    """Put entries on a board; returns those that were not there yet.

    Raises ClicError, before anything is put there, for what is no entry, and for one that is there in the other phase:
    the phases have photographs of their own, so the same files of the same images were sent in one of them alone.
    """
    entries = [checked(entry) for entry in entries]
    with open_store(board) as store:
        known = store.rows(Entry, source=SOURCE)
        there = {_identity(entry) for entry in known}
        phases = {_identity(entry, without="phase"): entry.phase for entry in known}
        for entry in entries:
            phase = phases.get(_identity(entry, without="phase"), entry.phase)
            if phase != entry.phase and _identity(entry) not in there:
                raise ClicError(
                    f"{board}: {entry.team} at {entry.rate} bpp is there as an entry of the {phase} phase, with the "
                    f"same files of the same images; give the run of the {entry.phase} phase's photographs"
                )
        added = []
        for entry in entries:
            if _identity(entry) not in there:
                there.add(_identity(entry))
                kept = replace(entry, id=None, allocation=None, source=SOURCE)
                added.append(replace(kept, id=store.append(kept)))
    return added


def _identity(entry: Entry, without: str = "") -> tuple[Any, ...]:
    return tuple(getattr(entry, name) for name in _SAME if name != without)


def entries(board: Path) -> list[Entry]:
    """What is on a board, in the order in which it came. Raises ClicError for a folder that holds none."""
    if not (board / DATABASE).exists():
        raise ClicError(
            f"{board}: no {DATABASE}, so no board; give the folder of one, or begin it with "
            f"'clic leaderboard add {board} RUN'"
        )
    with open_store(board, write=False) as store:
        found = store.rows(Entry, source=SOURCE)
    if not found:
        raise ClicError(f"{board}: no entries; add those of a run with 'clic leaderboard add {board} RUN'")
    return found


def to_json(entries: Sequence[Entry]) -> str:
    """The entries as a JSON list: what `from_json` reads, here or at somebody else's."""
    return as_json([{k: v for k, v in asdict(entry).items() if k not in _PRIVATE} for entry in entries])


def from_json(path: Path) -> list[Entry]:
    """The entries in a file that `to_json` made. Raises ClicError that names the entry which is none."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: not readable as JSON ({error}); give what 'clic leaderboard export' wrote") from error
    if not isinstance(rows, list):
        raise ClicError(f"{path}: a list of entries is expected; give what 'clic leaderboard export' wrote")
    return [_entry(path, number, row) for number, row in enumerate(rows, 1)]


def _entry(path: Path, number: int, row: Any) -> Entry:
    where = f"{path}: entry {number}"
    if not isinstance(row, Mapping):
        raise ClicError(f"{where}: not an entry; remove it")
    given: dict[str, Any] = {
        name: math.nan if value is None and _HINTS.get(name) is float else value for name, value in row.items()
    }
    try:
        entry = Entry(id=None, allocation=None, inputs_sha256="", verification="", source=SOURCE, **given)
    except TypeError as error:
        raise ClicError(f"{where}: not an entry ({error}); remove it") from error
    for name, value in given.items():
        if not _fits(name, value):
            raise ClicError(f"{where}: {name} is {value!r}; mend or remove it")
    return checked(entry)


def _fits(name: str, value: Any) -> bool:
    """Whether a value may be that of a field."""
    hint = _HINTS[name]
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, hint) or (isinstance(value, int) and isinstance(0.0, hint))
