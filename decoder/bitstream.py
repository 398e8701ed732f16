"""The bytes of one coded image: a small header, a checksum, rare large values, the entropy coder's words.

`docs/bitstream.md` is the specification. Every field that a later encoder may want has its place: the model, the
gain in sixteenths of a level, and behind flag bits a reconstruction offset and a filter strength.
"""

import struct
import zlib
from dataclasses import dataclass, field

import numpy as np

from decoder.errors import BitstreamError
from decoder.rans import plausible

VERSION = 2
MAX_SIDE = 1 << 16
MAX_PIXELS = 1 << 26
MAX_PIXELS_PER_BYTE = 2048  # with it, no small file can claim hours of work
HAS_OFFSET, HAS_FILTER, REFINED, GREY = 1, 2, 4, 8


@dataclass(frozen=True)
class Header:
    """What is known of an image before its symbols: sides in pixels, `gain` in 1/16 level (see
    `decoder.model`), `offset` in 1/256. In a `grey` image red, green and blue are equal everywhere."""

    width: int
    height: int
    gain: int
    model: int = 0
    refined: bool = False
    offset: int = 0
    filter: int = 0
    grey: bool = False


@dataclass
class Stream:
    """A parsed stream: coder words, lanes and symbols before the tail, escaped values in coding order.

    `check` is half a checksum of header and hyper-latent (see `checksum`); that of everything is in the words."""

    header: Header
    check: int
    words: np.ndarray
    lanes: int
    main: int
    escapes: list[int] = field(default_factory=list)


def put_varint(value: int) -> bytes:
    """Little-endian base 128, seven bits a byte, the high bit set on all bytes but the last."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def get_varint(data: bytes, position: int) -> tuple[int, int]:
    """(value, position after it). Raises BitstreamError where the data end or the number exceeds 35 bits."""
    value = 0
    for shift in range(0, 35, 7):
        if position >= len(data):
            raise BitstreamError("the stream ends inside a number")
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BitstreamError("a number in the stream is too long")


def _header_bytes(header: Header) -> bytes:
    flags = HAS_OFFSET * bool(header.offset) | HAS_FILTER * bool(header.filter)
    flags |= REFINED * header.refined | GREY * header.grey
    out = bytes([VERSION << 4 | flags, header.model, header.gain])
    if header.offset:
        out += bytes([header.offset])
    if header.filter:
        out += bytes([header.filter])
    return out + put_varint(header.width) + put_varint(header.height)


def checksum(header: Header, symbols: list[np.ndarray]) -> int:
    """CRC-32 of the header's bytes and of all symbols, each as 32-bit little-endian integers."""
    crc = zlib.crc32(_header_bytes(header))
    for values in symbols:
        crc = zlib.crc32(values.astype("<i4").tobytes(), crc)
    return crc


def write_stream(stream: Stream) -> bytes:
    """The bytes that `read_stream` reads."""
    out = _header_bytes(stream.header) + struct.pack("<H", stream.check)
    out += put_varint(2 * stream.lanes + bool(stream.escapes))
    if stream.lanes > 1:
        out += put_varint(stream.main)
    if stream.escapes:
        out += put_varint(len(stream.escapes))
        out += b"".join(put_varint(2 * value if value >= 0 else -2 * value - 1) for value in stream.escapes)
    return out + stream.words.astype("<u2").tobytes()


def least_words(header: Header) -> int:
    """Words without which a decoder would not believe the header; an encoder appends zeros to have them."""
    return -(-header.width * header.height // (2 * MAX_PIXELS_PER_BYTE))


def read_header(data: bytes) -> tuple[Header, int]:
    """The header and the position after it. Raises BitstreamError on anything that no encoder writes."""
    if len(data) < 3:
        raise BitstreamError("the stream is shorter than a header")
    version, flags = data[0] >> 4, data[0] & 0xF
    if version != VERSION:
        raise BitstreamError(f"the stream is of version {version}, this decoder reads version {VERSION}")
    position, extra = 3, []
    for flag in (HAS_OFFSET, HAS_FILTER):
        if flags & flag:
            if position >= len(data):
                raise BitstreamError("the stream is shorter than a header")
            extra.append(data[position])
            position += 1
        else:
            extra.append(0)
    width, position = get_varint(data, position)
    height, position = get_varint(data, position)
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise BitstreamError(f"the stream claims an image of {width} x {height} pixels")
    header = Header(width, height, data[2], data[1], bool(flags & REFINED), extra[0], extra[1], bool(flags & GREY))
    return header, position


def read_stream(data: bytes) -> Stream:
    """Parse a stream. Raises BitstreamError."""
    header, position = read_header(data)
    if len(data) < position + 3:
        raise BitstreamError("the stream ends inside its header")
    if header.width * header.height > MAX_PIXELS_PER_BYTE * len(data):
        raise BitstreamError(f"the stream claims {header.width} x {header.height} pixels in {len(data)} bytes")
    (check,) = struct.unpack_from("<H", data, position)
    code, position = get_varint(data, position + 2)
    lanes, main, escapes = code >> 1, 1 << 62, []
    if lanes > 1:
        main, position = get_varint(data, position)
    if code & 1:
        count, position = get_varint(data, position)
        if count > len(data) - position:
            raise BitstreamError("the stream claims more escaped values than it has bytes")
        for _ in range(count):
            value, position = get_varint(data, position)
            if value >> 32:  # the checksum would not tell it from another
                raise BitstreamError("an escaped value is out of range")
            escapes.append(value >> 1 if value & 1 == 0 else -(value + 1 >> 1))
    if (len(data) - position) % 2:
        raise BitstreamError("the stream ends inside a word")
    words = np.frombuffer(data, "<u2", offset=position)
    if not plausible(lanes, len(words)):
        raise BitstreamError(f"the stream has {len(words)} words for {lanes} lanes")
    return Stream(header, check, words, lanes, main, escapes)
