"""The data file: all images of a set with their names, in one sequence of bytes.

`CLIC`, a version byte, then numbers (see `decoder.bitstream.put_varint`): images, bytes of the name table; the
name table, which is the names joined by line feeds and compressed by zlib; the four-byte length of each stream;
the streams, each beginning where the one before it ends.
"""

import struct
import zlib
from collections.abc import Mapping

from decoder.bitstream import get_varint, put_varint
from decoder.errors import BitstreamError

MAGIC = b"CLIC\x01"
MAX_NAMES = 1 << 24  # bytes of all names together


def pack(streams: Mapping[str, bytes]) -> bytes:
    """The data file of streams by image name, in the order of names. Raises ValueError on names with line feeds."""
    names = sorted(streams)
    if any("\n" in name for name in names):
        raise ValueError("an image's name holds a line feed")
    table = zlib.compress("\n".join(names).encode(), 9)
    lengths = b"".join(struct.pack("<I", len(streams[name])) for name in names)
    body = b"".join(streams[name] for name in names)
    return MAGIC + put_varint(len(names)) + put_varint(len(table)) + table + lengths + body


def unpack(data: bytes) -> dict[str, bytes]:
    """Streams by name. Raises BitstreamError."""
    if data[: len(MAGIC)] != MAGIC:
        raise BitstreamError("the data file does not begin as this decoder's data files do")
    count, position = get_varint(data, len(MAGIC))
    size, position = get_varint(data, position)
    inflate = zlib.decompressobj()
    try:
        table = inflate.decompress(data[position : position + size], MAX_NAMES)
        names = table.decode().split("\n") if count else []
    except (zlib.error, UnicodeDecodeError) as error:
        raise BitstreamError(f"the data file's name table is damaged ({error})") from error
    if not inflate.eof or inflate.unused_data:  # only at its end is its checksum compared
        raise BitstreamError("the data file's name table is damaged (it does not end where it should)")
    position += size
    if len(set(names)) != count or len(data) < position + 4 * count:
        raise BitstreamError("the data file's tables do not fit each other")
    for name in names:
        if not name or "/" in name or "\\" in name or "\0" in name or name in (".", ".."):
            raise BitstreamError(f"the data file holds the image name {name!r}, which is no file name")
    lengths = struct.unpack_from(f"<{count}I", data, position)
    position += 4 * count
    streams = {}
    for name, length in zip(names, lengths, strict=True):
        streams[name] = data[position : position + length]
        position += length
    if position != len(data):
        raise BitstreamError(f"the data file has {len(data)} bytes where its tables say {position}")
    return streams
