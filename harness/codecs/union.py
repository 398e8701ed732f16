"""Several codecs as one: each image by whichever of them does best, one data file, one decoder.

The union of `clic` and `avif` is opened by "avif + clic", and that is its name. Its members stay codecs of their own:
they are swept one by one, and what was measured of them is what the union selects from. `union_decode.py` is its
decoder, and describes the data file.
"""

import json
import struct
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.codecs.protocol import Codec, Encoding, Submittable, codec_sha256
from harness.codecs.union_decode import LAST
from harness.errors import ClicError

PLUS = " + "  # between the members' names, and between what opens them
SCRIPT = Path(__file__).with_name("union_decode.py")
TOLD = "decode.json"  # beside the script: what it decodes, and with whose decoders
MAX_TOLD = 1 << 20  # bytes of a stranger's


class Union(Submittable):
    """At least two codecs; a stream is a member's, after a byte with the number of that member.

    A point is a member's name and its point, "avif 30". Rates rise within each member's points, not from one to the
    next. Whatever a selection uses, the decoder holds all members' decoders; members whose decoders are the same share
    one.
    """

    def __init__(self, members: Sequence[Submittable]) -> None:
        self.members = tuple(members)
        self.name = PLUS.join(member.name for member in members)
        self._numbers = {codec_sha256(member): number for number, member in enumerate(members)}
        self._points = {
            f"{member.name} {point}": (number, point)
            for number, member in enumerate(members)
            for point in member.points()
        }

    def config(self) -> Mapping[str, Any]:
        """The members' configurations, each with its name."""
        return {"codec": [{"name": member.name, "config": dict(member.config())} for member in self.members]}

    def points(self) -> Sequence[str]:
        """Those of all members, from the lowest rate to the highest of each."""
        return list(self._points)

    def prepare(self, pixels: np.ndarray) -> Any:
        """What each member prepares of pixels, uint8 (H, W, 3)."""
        return [member.prepare(pixels) for member in self.members]

    def encode(self, prepared: Any, point: str) -> Encoding:
        """The encoding of the member that the point names."""
        number, of_member = self._points[point]
        encoding = self.members[number].encode(prepared[number], of_member)
        return Encoding(bytes([number]) + encoding.stream, encoding.pixels)

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels. Raises ClicError for a stream of no member."""
        number = self._number(stream)
        return self.members[number].decode(stream[1:])

    def stream_of(self, member: str, stream: bytes) -> bytes:
        """The union's stream from that of a member, which is named by its hash (`codec_sha256`)."""
        return bytes([self._numbers[member]]) + stream

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload: what each member packs, one after the other. Raises ClicError."""
        parts: dict[int, dict[str, bytes]] = {}
        for name, stream in streams.items():
            parts.setdefault(self._number(stream), {})[name] = stream[1:]
        *others, last = sorted(parts) or [0]
        packed = bytearray()
        for number in others:
            payload = self.members[number].pack(parts[number])
            packed += bytes([number]) + struct.pack("<I", len(payload)) + payload
        return bytes(packed) + bytes([LAST + last]) + self.members[last].pack(parts.get(last, {}))

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """The members' decoders, each in a folder, and the program that calls them."""
        members = [(member.name, member.decoder_files(data_file, payload)) for member in self.members]
        return joined(members, data_file, payload)

    def _number(self, stream: bytes) -> int:
        """The member that a stream is of. Raises ClicError."""
        if not stream or stream[0] >= len(self.members):
            raise ClicError(f"codec {self.name!r}: a stream of none of its members; code it again")
        return stream[0]


def joined(members: Iterable[tuple[str, Mapping[str, bytes]]], data_file: str, payload: str) -> Mapping[str, bytes]:
    """A union's decoder from its members' names and decoders, each a table of files."""
    decoders: list[Mapping[str, bytes]] = []
    codecs = []
    for name, members_files in members:
        files = dict(members_files)
        if files not in decoders:
            decoders.append(files)
        codecs.append((name, f"decoder{decoders.index(files)}"))
    told = {"data_file": data_file, "payload": payload, "codecs": codecs}
    sent = {f"decoder{n}/{path}": content for n, files in enumerate(decoders) for path, content in files.items()}
    return {**sent, "decode": SCRIPT.read_bytes(), TOLD: json.dumps(told).encode()}


def told_members(decoder: Path) -> tuple[str, ...]:
    """The names of the codecs that a packed decoder says it is a union of; none where it is no union's, or damaged."""
    try:
        with zipfile.ZipFile(decoder) as archive:
            stored = archive.getinfo(TOLD).compress_type == zipfile.ZIP_STORED  # as it is packed here
            with archive.open(TOLD) as file:
                names = [name for name, _ in json.loads(file.read(MAX_TOLD))["codecs"]] if stored else []
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, LookupError, TypeError, ValueError):
        return ()
    return tuple(names) if len(names) <= LAST and all(isinstance(name, str) for name in names) else ()


def union(codecs: Iterable[Submittable]) -> Submittable:
    """The union of codecs, or the codec where there is one; neither their order nor repetition matters.

    Raises ClicError where two different codecs have one name, or there are too many.
    """
    by_hash = {codec_sha256(codec): codec for codec in codecs}
    by_name: dict[str, Submittable] = {}
    for codec in by_hash.values():
        for member in codec.members if isinstance(codec, Union) else [codec]:
            known = by_name.setdefault(member.name, member)
            if codec_sha256(known) != codec_sha256(member):
                raise ClicError(
                    f"two different codecs are called {member.name!r}; give one of them another name (a TOML file has "
                    "a key 'name' for it)"
                )
    members = [by_name[name] for name in sorted(by_name)]
    if len(members) > LAST:
        raise ClicError(f"a union of {len(members)} codecs; {LAST} are the most")
    return members[0] if len(members) == 1 else Union(members)


def members_of(codec: Codec) -> dict[str, Codec]:
    """The codecs whose candidates a codec packs, by their hash: a union's members, or itself."""
    members: Sequence[Codec] = codec.members if isinstance(codec, Union) else [codec]
    return {codec_sha256(member): member for member in members}


def stream_for(codec: Submittable, member: str, stream: bytes) -> bytes:
    """What `codec` packs for a candidate of the member with that hash."""
    return codec.stream_of(member, stream) if isinstance(codec, Union) else stream
