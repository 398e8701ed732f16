"""The originals of a run: each photograph by the hash of its file, and the set of them by the hash of those."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.files import sha256
from harness.images import SourceImage, describe_image, list_images, require_room
from harness.progress import Progress
from harness.records import Image, ImageFile, KnownFile, Member, Record
from harness.store import DATABASE, Store, open_store

# Of so new a file, a further change might leave size and time as they are: file systems count in up to two seconds.
SETTLED_NS = 2_000_000_000
BATCH = 1000  # records that are written together


@dataclass(frozen=True)
class Originals:
    """A set of photographs, and the hash of each one's file by its name. `id` names the set in the store."""

    id: str
    images: tuple[SourceImage, ...]
    hashes: Mapping[str, str]


def list_originals(folder: Path, out: Path, rehash: bool = False, here: bool = True) -> list[SourceImage]:
    """As `list_images`, but a file whose size and time of change the run in `out` knows is not opened again.

    Raises ClicError, too, where the largest cannot be coded with the memory that is free, unless it is not done `here`.
    """
    images = _list_originals(folder, out, rehash)
    if here:
        require_room(images)
    return images


def _list_originals(folder: Path, out: Path, rehash: bool) -> list[SourceImage]:
    if rehash or not (out / DATABASE).exists():
        return list_images(folder)
    with open_store(out, write=False) as store:
        known = store.known_files()
    parent = str(folder.resolve())

    def describe(path: Path) -> SourceImage:
        found = known.get(os.path.join(parent, path.name))  # noqa: PTH118  asked a hundred thousand times
        if found and _is_same(found, path):
            return SourceImage(path.stem, path, found.width, found.height, found.note)
        return describe_image(path)

    return list_images(folder, describe)


def record_originals(
    images: Sequence[SourceImage], store: Store, rehash: bool = False, progress: Progress | None = None
) -> Originals:
    """Hash the photographs and put the set into the store.

    A file whose size and time of change are those that the store knows is not read again, unless `rehash` is set.
    """
    known = {} if rehash else store.known_files()
    folders = {folder: str(folder.resolve()) for folder in {source.path.parent for source in images}}
    hashes: dict[str, str] = {}
    read: list[Record] = []
    for done, source in enumerate(images, 1):
        path = os.path.join(folders[source.path.parent], source.path.name)  # noqa: PTH118
        found = known.get(path)
        if found and _is_same(found, source.path):
            digest = found.sha256
        else:
            state = source.path.stat()
            digest = sha256(source.path.read_bytes())
            read.append(Image(digest, source.width, source.height, source.note))
            if time.time_ns() - state.st_mtime_ns > SETTLED_NS:
                read.append(ImageFile(path, state.st_size, state.st_mtime_ns, digest))
        hashes[source.name] = digest
        if read and (len(read) >= BATCH or done == len(images)):
            store.put(*read)
            read.clear()
        if progress:
            progress(done, len(images))
    image_set = sha256("".join(f"{name}\n{digest}\n" for name, digest in hashes.items()).encode())
    if not store.has_set(image_set):
        store.put(*(Member(image_set, name, digest) for name, digest in hashes.items()))
    return Originals(image_set, tuple(images), hashes)


def _is_same(file: KnownFile, path: Path) -> bool:
    """Whether a file has the size and the time of change that are known of it."""
    state = path.stat()
    return (file.size, file.modified_ns) == (state.st_size, state.st_mtime_ns)
