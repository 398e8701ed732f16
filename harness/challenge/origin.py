"""Whether a decoder is one's own: packed by a codec that is installed here, or a union of such, to the byte."""

import functools
import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from harness.challenge.archive import sha224, zip_bytes
from harness.challenge.profiles import Profile
from harness.codecs.registry import codec_names, open_submittable
from harness.codecs.union import joined, told_members
from harness.errors import ClicError


def packed_here(decoder: Path, profile: Profile) -> bool:
    """Whether installed codecs pack just these bytes; loads one after the other until one does."""
    if not zipfile.is_zipfile(decoder):
        return False
    told, digest = told_members(decoder), sha224(decoder)
    possible = [told] if told else [(name,) for name in codec_names()]
    return any(_packed(names, profile.data_file, profile.payload) == digest for names in possible)


@functools.cache
def _packed(names: tuple[str, ...], data_file: str, payload: str) -> str:
    """Hex SHA-224 of the decoder that a codec packs, or a union; empty where one cannot be loaded: nothing was packed.

    Of a union's codecs the settings are not heeded, only repeated: they are a stranger's words, and may tell a codec to
    do anything. One whose decoder depends on its settings is taken for a stranger's.
    """
    try:
        decoders = [(name, _decoder(name.partition(",")[0], data_file, payload)) for name in names]
        content = zip_bytes(decoders[0][1] if len(decoders) == 1 else joined(decoders, data_file, payload))
    except ClicError:
        return ""
    return hashlib.sha224(content).hexdigest()


@functools.cache
def _decoder(name: str, data_file: str, payload: str) -> Mapping[str, bytes]:
    """The files of an installed codec's decoder. Raises ClicError where none of that name can be submitted."""
    if name not in codec_names():  # module:attribute would run what a stranger names
        raise ClicError(f"no installed codec {name!r}; clic codecs lists them")
    return open_submittable(name).decoder_files(data_file, payload)
