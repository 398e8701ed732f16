"""Submissions of codecs whose streams Pillow reads: the data file's payload, and a decoder that needs Pillow alone.

`pillow_decode.py` is that decoder, and describes the payload.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path

SCRIPT = Path(__file__).with_name("pillow_decode.py")


def pack(streams: Mapping[str, bytes]) -> bytes:
    """The payload of streams by image name, in the order of names."""
    ordered = sorted(streams.items())
    sizes = json.dumps([(name, len(stream)) for name, stream in ordered], separators=(",", ":"))
    header = zlib.compress(sizes.encode(), 9)
    return struct.pack("<I", len(header)) + header + b"".join(stream for _, stream in ordered)


def decoder_files(form: str, data_file: str, payload: str) -> Mapping[str, bytes]:
    """The decoder of streams of the format that Pillow calls `form`, such as "AVIF"; names as in `Submittable`."""
    told = {"data_file": data_file, "payload": payload, "format": form}
    return {"decode": SCRIPT.read_bytes(), "decode.json": json.dumps(told).encode()}
