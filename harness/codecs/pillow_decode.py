#!/usr/bin/env python3
"""A decoder for the challenge that needs Python and Pillow alone: every image of the data file to images/NAME.png.

This file is sent as `decode`; `decode.json` beside it names the data file, its payload, and either the format of the
streams, which Pillow reads, or the command that decodes one. A command's own files are in the folder `files` beside.
The payload is a header and the streams one after the other. The header is the four-byte length (little-endian) of what
follows, which is a zlib-compressed JSON list of [name, bytes], one for each stream in its order.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image

MAX_HEADER = 1 << 24  # bytes of all names and lengths together
FILES = "files"


class DataError(Exception):
    """What is wrong with the data file."""


class ProgramError(Exception):
    """Why a command decoded nothing."""


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


def unpack(data: bytes) -> "dict[str, bytes]":
    """Streams by image name."""
    size = struct.unpack_from("<I", data)[0] if len(data) >= 4 else len(data)
    inflate = zlib.decompressobj()
    try:
        header = inflate.decompress(data[4 : 4 + size], MAX_HEADER)
        entries = [(str(name), int(length)) for name, length in json.loads(header)]
    except (zlib.error, ValueError, TypeError) as error:
        raise DataError(f"the header is damaged ({error})") from error
    if not inflate.eof or inflate.unused_data:  # only at its end is its checksum compared
        raise DataError("the header is damaged (it does not end where it should)")
    streams: dict[str, bytes] = {}
    position = 4 + size
    for name, length in entries:
        if not name or set(name) & set("/\\\0") or name in (".", "..") or name in streams:
            raise DataError(f"{name!r} is no file name, or there twice")
        if not 0 <= length <= len(data) - position:
            raise DataError(f"the stream of {name!r} is cut off")
        streams[name] = data[position : position + length]
        position += length
    if position != len(data):
        raise DataError(f"{len(data) - position} bytes too many")
    return streams


def to_png(name: str, stream: bytes, told: "dict[str, Any]") -> str:
    """Decode one stream. What went wrong, if anything did."""
    try:
        if "decode" in told:
            stream = run_command(stream, told)
        elif told["format"] == "AVIF":
            from PIL import AvifImagePlugin

            vars(AvifImagePlugin)["DEFAULT_MAX_THREADS"] = 1  # there is a process for each core
        with Image.open(io.BytesIO(stream), formats=[told["format"]]) as image:
            image.convert("RGB").save(Path("images", f"{name}.png"), compress_level=1)
    except Exception as error:  # damaged streams make Pillow raise nearly everything
        return f"{name}: {error or type(error).__name__}"
    return ""


def run_command(stream: bytes, told: "dict[str, Any]") -> bytes:
    """What the command writes for a stream, run in a folder of its own. Raises ProgramError."""
    with tempfile.TemporaryDirectory(dir=".") as made:
        folder = Path(made).resolve()
        source, target = folder / f"image.{told['ending']}", folder / f"decoded.{told['pixels']}"
        source.write_bytes(stream)
        values = {
            "input": str(source),
            "output": str(target),
            "folder": str(Path(__file__).resolve().with_name(FILES)),
        }
        words = [re.sub(r"\{([a-z]+)\}", lambda found: values[found[1]], word) for word in told["decode"]]
        done = subprocess.run(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
        )
        if done.returncode or not target.is_file():
            said = "; ".join(done.stdout.decode(errors="replace").split("\n")[-4:]).strip("; ")
            raise ProgramError(f"{words[0]} ended with {done.returncode} and no picture: {said}")
        return target.read_bytes()


def main() -> int:
    """Exit status: 0, 1 where an image failed, 2 where none could be decoded."""
    began = time.monotonic()
    told = json.loads(Path(__file__).with_name("decode.json").read_text())
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # the photographs may be larger than what Pillow takes for an attack
    if told["format"] not in Image.OPEN:
        print(f"decode: this Pillow cannot read {told['format']}", file=sys.stderr)
        return 2
    try:
        streams = unpack(read_payload(told["data_file"], told["payload"]))
    except (DataError, OSError, zipfile.BadZipFile) as error:
        print(f"decode: {error}", file=sys.stderr)
        return 2
    for path in Path(__file__).with_name(FILES).glob("**/*"):
        with suppress(OSError):  # of a folder that cannot be written; then it may be executable already
            path.chmod(0o755)  # of a file below the top level an unpacker may have lost it
    Path("images").mkdir(exist_ok=True)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    workers = max(1, min(cores, len(streams)))
    largest_first = sorted(streams, key=lambda name: -len(streams[name]))
    with ProcessPoolExecutor(workers) as pool:
        jobs = [pool.submit(to_png, name, streams[name], told) for name in largest_first]
        problems = [problem for job in jobs if (problem := job.result())]
    for problem in problems:
        print(f"decode: {problem}", file=sys.stderr)
    good = len(streams) - len(problems)
    print(f"{good} of {len(streams)} images in {time.monotonic() - began:.1f} s by {workers} processes")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
