"""Submissions of streams that Pillow reads, or a program that is sent along: the data file's payload, and the decoder.

`pillow_decode.py` is that decoder, and describes the payload.
"""

import json
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.codecs.pillow_decode import FILES

SCRIPT = Path(__file__).with_name("pillow_decode.py")


@dataclass(frozen=True)
class Pictures:
    """How a sent decoder makes a picture of a stream.

    `format` is what Pillow reads: the stream, or what `decode` writes for it. That is a command's words with places
    {input}, {output} and {folder}, the last for the files that came along; `ending` and `pixels` are the endings of the
    two files' names.
    """

    format: str
    decode: Sequence[str] = ()
    ending: str = ""
    pixels: str = ""


def pack(streams: Mapping[str, bytes]) -> bytes:
    """The payload of streams by image name, in the order of names."""
    ordered = sorted(streams.items())
    sizes = json.dumps([(name, len(stream)) for name, stream in ordered], separators=(",", ":"))
    header = zlib.compress(sizes.encode(), 9)
    return struct.pack("<I", len(header)) + header + b"".join(stream for _, stream in ordered)


def decoder_files(
    pictures: Pictures, data_file: str, payload: str, files: Mapping[str, bytes] | None = None
) -> Mapping[str, bytes]:
    """The decoder that makes pictures so, with the files that its command needs; names as in `Submittable`."""
    told = {"data_file": data_file, "payload": payload}
    told |= {name: value for name, value in asdict(pictures).items() if value}
    sent = {f"{FILES}/{path}": content for path, content in (files or {}).items()}
    return {**sent, "decode": SCRIPT.read_bytes(), "decode.json": json.dumps(told).encode()}
