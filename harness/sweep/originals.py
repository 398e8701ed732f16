"""The originals of a run: each photograph by the hash of its file, and the set of them by the hash of those."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.files import sha256
from harness.images import SourceImage
from harness.progress import Progress
from harness.records import Image, ImageFile, Member
from harness.store import Store

# Of so new a file, a further change might leave size and time as they are: file systems count in up to two seconds.
SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Originals:
    """A set of photographs, and the hash of each one's file by its name. `id` names the set in the store."""

    id: str
    images: tuple[SourceImage, ...]
    hashes: Mapping[str, str]


def record_originals(
    images: Sequence[SourceImage], store: Store, rehash: bool = False, progress: Progress | None = None
) -> Originals:
    """Hash the photographs and put the set into the store.

    A file whose size and time of change are those that the store knows is not read again, unless `rehash` is set.
    """
    hashes = {}
    for done, source in enumerate(images, 1):
        hashes[source.name] = _hash(source, store, rehash)
        if progress:
            progress(done, len(images))
    image_set = sha256("".join(f"{name}\n{digest}\n" for name, digest in hashes.items()).encode())
    store.put(
        *(Image(hashes[source.name], source.width, source.height, source.note) for source in images),
        *(Member(image_set, source.name, hashes[source.name]) for source in images),
    )
    return Originals(image_set, tuple(images), hashes)


def _hash(source: SourceImage, store: Store, rehash: bool) -> str:
    path, state = source.path.resolve(), source.path.stat()
    for known in () if rehash else store.rows(ImageFile, path=str(path)):
        if (known.size, known.modified_ns) == (state.st_size, state.st_mtime_ns):
            return known.sha256
    digest = sha256(path.read_bytes())
    if time.time_ns() - state.st_mtime_ns > SETTLED_NS:
        store.put(ImageFile(str(path), state.st_size, state.st_mtime_ns, digest))
    return digest
