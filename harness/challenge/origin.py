"""Whether a decoder is one's own: packed by a codec that is installed here, to the byte."""

import functools
import hashlib
import zipfile
from pathlib import Path

from harness.challenge.archive import sha224, zip_bytes
from harness.challenge.profiles import Profile
from harness.codecs.registry import codec_names, open_submittable
from harness.errors import ClicError


def packed_here(decoder: Path, profile: Profile) -> bool:
    """Whether one of the installed codecs packs just these bytes; loads one after the other until one does."""
    if not zipfile.is_zipfile(decoder):
        return False
    digest = sha224(decoder)
    return any(_packed(name, profile.data_file, profile.payload) == digest for name in codec_names())


@functools.cache
def _packed(name: str, data_file: str, payload: str) -> str:
    """Hex SHA-224 of the decoder that a codec packs; empty where it cannot be loaded, so that nothing was packed."""
    try:
        content = zip_bytes(open_submittable(name).decoder_files(data_file, payload))
    except ClicError:
        return ""
    return hashlib.sha224(content).hexdigest()
