#!/usr/bin/env python3
"""A decoder for the challenge that hands each image to the decoder of the codec that coded it. It needs Python alone.

This file is sent as `decode`; `decode.json` beside it names the data file, its payload, and the codecs with the folders
of their decoders. Each decoder finds a data file of its own there, as if it were alone. One runs after the other, so
that each has the whole machine.

The payload is one part for each codec that has images here. A part begins with a byte, the codec's number in
`decode.json`, plus 128 in the last part, which goes on to the end. In the others the four-byte length (little-endian)
of what follows comes next. What follows is the payload of that codec.
"""

import json
import shutil
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

LAST = 128
IMAGES = Path("images")


class DataError(Exception):
    """What is wrong with the data file."""


def read_payload(data_file: str, payload: str) -> bytes:
    """The payload, as it lies there unpacked, or out of the zip, or the data file itself where that is none."""
    for path in (Path(payload), Path(data_file)):
        if path.is_file():
            break
    else:
        raise DataError(f"{data_file} is missing")
    if path.name == payload or not zipfile.is_zipfile(path):
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        if payload not in archive.namelist():
            raise DataError(f"{data_file} does not hold {payload}")
        return archive.read(payload)


def unpack(data: bytes) -> "dict[int, bytes]":
    """Each codec's payload, by the codec's number."""
    parts: dict[int, bytes] = {}
    position, head = 0, 0
    while not head & LAST:
        if position >= len(data):
            raise DataError("the data are cut off")
        head = data[position]
        position += 1
        size = len(data) - position
        if not head & LAST:
            if size < 4:
                raise DataError("the data are cut off")
            size = struct.unpack_from("<I", data, position)[0]
            position += 4
        if size > len(data) - position or head & ~LAST in parts:
            raise DataError("a part is cut off, or there twice")
        parts[head & ~LAST] = data[position : position + size]
        position += size
    return parts


def decode(payload: bytes, folder: Path, told: "dict[str, str]") -> "tuple[int, int]":
    """Run one codec's decoder on its own data, and take its pictures. Its exit status, and how many there are."""
    data_file, program = folder / told["data_file"], folder / "decode"
    if told["payload"] == told["data_file"]:
        data_file.write_bytes(payload)
    else:
        with zipfile.ZipFile(data_file, "w") as archive:
            archive.writestr(told["payload"], payload)
    program.chmod(0o755)  # of a file below the top level an unpacker may have lost it
    sys.stdout.flush()
    status = subprocess.run(["./decode"], cwd=folder, check=False).returncode
    given = folder / IMAGES
    pictures = sorted(given.iterdir()) if given.is_dir() else []
    for picture in pictures:
        picture.replace(IMAGES / picture.name)
    data_file.unlink()
    shutil.rmtree(given, ignore_errors=True)  # another codec may have the same decoder
    return status, len(pictures)


def main() -> int:
    """Exit status: 0, 1 where an image failed, 2 where none could be decoded."""
    began = time.monotonic()
    here = Path(__file__).resolve().parent
    told = json.loads((here / "decode.json").read_text())
    try:
        parts = unpack(read_payload(told["data_file"], told["payload"]))
        if max(parts) >= len(told["codecs"]):
            raise DataError(f"there is no codec number {max(parts)}")
    except (DataError, OSError, zipfile.BadZipFile) as error:
        print(f"decode: {error}", file=sys.stderr)
        return 2
    IMAGES.mkdir(exist_ok=True)
    done, failed = [], []
    for number, payload in sorted(parts.items()):
        name, folder = told["codecs"][number]
        try:
            status, pictures = decode(payload, here / folder, told)
        except OSError as error:
            print(f"decode: {name}: {error}", file=sys.stderr)
            status, pictures = 2, 0
        done.append(f"{name} {pictures}")
        if status:
            print(f"decode: {name}: ended with {status}", file=sys.stderr)
            failed.append(status)
    print(f"images by codec: {'; '.join(done)}; {time.monotonic() - began:.1f} s")
    if not failed:
        return 0
    return 2 if len(failed) == len(parts) and set(failed) == {2} else 1


if __name__ == "__main__":
    raise SystemExit(main())
