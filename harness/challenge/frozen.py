"""A decoder that was uploaded in the validation phase, kept as it is: the test phase takes no other, to the bit.

`FOLDER` in a run's folder holds the archive itself and a record of it, so that a later version of this package, or
another machine, sends those very bytes instead of packing anew. It may be copied to wherever the test set is coded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from harness.challenge.archive import DECODER, members_sha256, sha224
from harness.challenge.profiles import Profile
from harness.errors import ClicError

FOLDER = "frozen"
RECORD = "frozen.json"


@dataclass(frozen=True)
class Frozen:
    """What was uploaded: `rates` maps each rate to the SHA-224 of its data file, `members` the decoder's to SHA-256.

    `codec` is what opens the codec, empty where it is not known. `versions` are those of Python, of this package and of
    the packages with which the decoder was verified. `image_set` is the hash of the images that were sent, as the store
    has it. `date` is when it was frozen, in UTC.
    """

    team: str
    profile: str
    track: str
    variant: int
    date: str
    decoder_sha224: str
    decoder_bytes: int
    codec: str
    image_set: str
    rates: Mapping[str, str]
    members: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def described(self) -> str:
        """Variant, track and rules in words."""
        track = f", track {self.track}" if self.track else ""
        return f"variant {self.variant} of {self.profile}{track}"

    def lacking(self, profile: Profile) -> list[str]:
        """The profile's rates at which nothing is frozen."""
        return [str(rate) for rate in profile.rates if str(rate) not in self.rates]


def read_frozen(folder: Path) -> tuple[Frozen, bytes]:
    """The record in a folder that `freeze` wrote, or in a run's folder, and the decoder itself.

    Raises ClicError where there is none, and where the decoder is not that of the record.
    """
    place = folder / FOLDER if (folder / FOLDER / RECORD).exists() else folder
    path = place / RECORD
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        frozen = Frozen(**{field.name: told[field.name] for field in fields(Frozen)})
    except FileNotFoundError as error:
        raise ClicError(f"{folder}: nothing is frozen there; freeze a run by 'clic freeze DIR'") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClicError(f"{path}: no record of a frozen decoder ({error}); copy it again") from error
    decoder = place / DECODER
    if not decoder.is_file():
        raise ClicError(f"{decoder}: missing; copy it again from where it was frozen")
    if sha224(decoder) != frozen.decoder_sha224:
        raise ClicError(
            f"{decoder}: not what was frozen on {frozen.date}: {changes(frozen.members, decoder)}; copy it again from "
            "where it was frozen, or from what was uploaded"
        )
    return frozen, decoder.read_bytes()


def changes(members: Mapping[str, str], decoder: Path) -> str:
    """How an archive differs from the members that were frozen, in words."""
    try:
        found = members_sha256(decoder)
    except ClicError:
        return "it is no readable zip any more"
    altered = [name for name in members if name in found and found[name] != members[name]]
    parts = {
        "altered": altered,
        "missing": [name for name in members if name not in found],
        "additional": [name for name in found if name not in members],
    }
    told = [f"{', '.join(sorted(names))} {what}" for what, names in parts.items() if names]
    return "; ".join(told) or "the same members, packed otherwise"
