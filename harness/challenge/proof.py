"""What a run's folder proves of its submission: decoded here, decoded in the server's container, frozen.

A verification in the container is an entry of the run's store, of its own `source`, for the hashes of both files: it
proves nothing of files that have changed since.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from harness.challenge.archive import DECODER, sha224
from harness.challenge.board import SOURCE
from harness.challenge.frozen import FOLDER, RECORD, Frozen, read_frozen
from harness.challenge.profiles import Profile
from harness.challenge.verify import Verification
from harness.files import as_json
from harness.records import Allocation, Entry, ImageFile, Member
from harness.store import DATABASE, Store, open_store

IN_CONTAINER = "clic verify --in-container"


@dataclass(frozen=True)
class Proof:
    """A run's folder: what was verified last there. `verified` and `in_container` are rates whose files are as then.

    `images` is the folder that the photographs were read from, None where they were in several. `codec` is what opened
    the codec, empty where that is not known, `objective` what the choice of points was best in.
    """

    folder: Path
    team: str
    profile: str
    track: str
    variant: int
    image_set: str
    decoder_sha224: str
    images: Path | None
    verified: tuple[str, ...]
    in_container: tuple[str, ...]
    frozen: Frozen | None
    codec: str = ""
    objective: str = "competition"


def record_in_container(found: Verification, directory: Path, profile: Profile) -> bool:
    """Note in the store of the run that `directory` is a rate of what the container gave; whether there is one."""
    run, data = directory.resolve().parent, directory / profile.data_file
    if not (run / DATABASE).is_file() or not data.is_file():
        return False
    with open_store(run) as store:
        digest = sha224(data)
        of = store.rows(Entry, source=SOURCE, data_sha224=digest, decoder_sha224=found.decoder_sha224)
        if not of:
            return False
        changed = {
            "id": None,
            "date": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
            "decode_seconds": found.decode_seconds,
            "accepted": found.ok,
            "findings": json.dumps([str(finding) for finding in found.findings]),
            "source": IN_CONTAINER,
            "inputs_sha256": "",
            "verification": as_json(found.to_json()),
        }
        store.append(Entry(**{**vars(of[-1]), **changed}))
    return True


def read_proofs(folders: Sequence[Path]) -> list[Proof]:
    """What each run proves among the folders and those directly in them, in the order of names; others are left out."""
    inside = (path for folder in folders if folder.is_dir() for path in (folder, *sorted(folder.iterdir())))
    runs = dict.fromkeys(path for path in inside if (path / DATABASE).is_file())
    return [proof for run in runs if (proof := _proof(run)) is not None]


def _proof(folder: Path) -> Proof | None:
    with open_store(folder, write=False) as store:
        entries = store.rows(Entry, source=SOURCE, accepted=True)
        if not entries:
            return None
        last = entries[-1]
        of = {"profile": last.profile, "track": last.track, "variant": last.variant, "accepted": True}
        [allocation] = store.rows(Allocation, id=last.allocation)
        rates = {source: _rates(store, source, of) for source in (SOURCE, IN_CONTAINER)}
        images = _images(store, allocation.image_set)
    frozen = read_frozen(folder)[0] if (folder / FOLDER / RECORD).is_file() else None
    return Proof(
        folder,
        last.team,
        last.profile,
        last.track,
        last.variant,
        allocation.image_set,
        last.decoder_sha224,
        images,
        rates[SOURCE],
        rates[IN_CONTAINER],
        frozen,
        json.loads(last.verification).get("codec", ""),
        allocation.objective,
    )


def _rates(store: Store, source: str, of: Mapping[str, object]) -> tuple[str, ...]:
    """Rates whose decoder and data file are still those of an accepted entry."""
    found = set()
    for entry in store.rows(Entry, source=source, **of):
        folder = store.folder / entry.rate
        names = [path.name for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
        digests = {name: sha224(folder / name) for name in names}
        if digests.get(DECODER) == entry.decoder_sha224 and entry.data_sha224 in digests.values():
            found.add(entry.rate)
    return tuple(sorted(found, key=float))


def _images(store: Store, image_set: str) -> Path | None:
    hashes = {member.image for member in store.rows(Member, image_set=image_set)}
    folders = {Path(file.path).parent for file in store.rows(ImageFile) if file.sha256 in hashes}
    return folders.pop() if len(folders) == 1 else None
