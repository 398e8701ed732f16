"""A small submission that is sound, and how to spoil it; the data file holds the PNGs themselves."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from harness.challenge.archive import write_zip

SIZES = {"one": (96, 64), "two": (80, 72)}
PIXELS = sum(width * height for width, height in SIZES.values())
RATE = "30"  # bits per pixel; the data file takes about 24
UNPACK = """#!/bin/bash
set -e
mkdir images
python3 -m zipfile -e bs.zip images
"""
PYTHON = (
    "#!/usr/bin/env python3\nimport os, socket, sys, time, zipfile\nzipfile.ZipFile('bs.zip').extractall('images')\n"
)
RULES = """extends = "clic2025"
decoder_bytes = 1_000_000
memory_bytes = 400_000_000
seconds = 30
"""


def png(width: int, height: int, mode: str = "RGB", seed: int = 0) -> bytes:
    """A picture of noise."""
    noise = np.random.default_rng(seed + width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noise).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


PICTURES = {f"{name}.png": png(*size) for name, size in SIZES.items()}


class Submission:
    """A folder with originals, rules, and a submission that is sound until something is changed."""

    def __init__(self, folder: Path) -> None:
        """Write all of it into an empty folder."""
        self.originals, self.folder, self.rules = folder / "originals", folder / "submission", folder / "rules.toml"
        self.outside, self.rate = folder / "outside", RATE
        for place in (self.originals, self.folder, self.outside):
            place.mkdir(parents=True)
        for name, content in PICTURES.items():
            (self.originals / name).write_bytes(content)
        (self.outside / "precious").write_text("do not touch")
        self.rules.write_text(RULES)
        self.decode(UNPACK)
        self.data(PICTURES)

    @property
    def decoder_zip(self) -> Path:
        """The decoder's archive."""
        return self.folder / "decoder.zip"

    @property
    def data_file(self) -> Path:
        """The data file."""
        return self.folder / "bs.zip"

    def decode(self, program: str, more: Mapping[str, bytes] | None = None) -> None:
        """Pack this program as `decode`."""
        write_zip(self.decoder_zip, {"decode": program.encode(), **(more or {})})

    def then(self, shell: str) -> None:
        """Pack the sound decoder with more lines at its end."""
        self.decode(UNPACK + shell + "\n")

    def python(self, lines: str) -> None:
        """Pack a sound decoder in Python with more lines at its end."""
        self.decode(PYTHON + lines + "\n")

    def data(self, members: Mapping[str, bytes]) -> None:
        """Pack these members as the data file."""
        write_zip(self.data_file, members)

    def members(self, entries: Iterable[tuple[zipfile.ZipInfo | str, bytes]], method: int = zipfile.ZIP_STORED) -> None:
        """Add members to the decoder by zipfile, which refuses nothing."""
        with zipfile.ZipFile(self.decoder_zip, "a", method) as archive:
            for info, content in entries:
                archive.writestr(info, content)


def entry(name: str, mode: int = 0o100644) -> zipfile.ZipInfo:
    """A member of a name and mode that write_zip would not take."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = mode << 16
    return info
