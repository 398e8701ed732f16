"""What is fuzzed: readers of strangers' bytes. Each target takes any bytes, and fails by an exception that it does not
expect, or by too much time, memory or writing. Seeds are what is sound or nearly so; found cases are in found/TARGET.
"""

import io
import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from decoder.bitstream import read_stream, write_stream
from decoder.container import pack, unpack
from decoder.errors import BitstreamError
from decoder.image import decode_latent
from decoder.model import Model
from harness.challenge.archive import archive_problems, extract_zip
from harness.challenge.profiles import load_profile
from harness.codecs.command import open_command
from harness.errors import ClicError
from harness.scores.objectives import objective
from harness.selection.table import check, read_table
from leaderboard.results import LEADERBOARD_COLUMNS
from leaderboard.results import read_table as read_results

FOUND = Path(__file__).parent / "found"
PIXELS = 1 << 14  # that a fuzzed stream may claim, for the sake of time
UNPACKED = 100_000  # bytes that a fuzzed archive may unpack to


def told(error: Exception) -> None:
    """An error must say something, in letters that a terminal can show."""
    assert str(error).strip(), "an error without a word"


@cache
def model() -> Model:
    """A small model, whose decoder is the shipped ones'."""
    from small_model import small_model

    return small_model("3d")[0]


def bitstream(data: bytes) -> None:
    """Read, decode to symbols, and write again: what was read is what is written."""
    try:
        stream = read_stream(data)
        again = read_stream(write_stream(stream))
        assert (again.header, again.check, again.lanes, again.escapes) == (
            stream.header,
            stream.check,
            stream.lanes,
            stream.escapes,
        )
        assert np.array_equal(again.words, stream.words)
        if stream.header.width * stream.header.height <= PIXELS and stream.header.gain < model().gains:
            decode_latent(data, {stream.header.model: model()})
    except BitstreamError as error:
        told(error)


def container(data: bytes) -> None:
    """Unpack a data file; what it holds can be packed, and unpacked as the same."""
    try:
        streams = unpack(data)
    except BitstreamError as error:
        told(error)
        return
    if not any("\n" in name for name in streams):
        assert unpack(pack(streams)) == streams


def archive(data: bytes) -> None:
    """Look through an archive and unpack it: nothing is written outside, nor more than is allowed."""
    with TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:
        folder, path = Path(name), Path(name) / "a.zip"
        path.write_bytes(data)
        problems = archive_problems(path, UNPACKED)
        try:
            extract_zip(path, folder / "out", UNPACKED)
        except ClicError as error:
            told(error)
            assert not problems or not (folder / "out").exists()
        else:
            assert not problems
        files = [Path(at) / file for at, _, files in os.walk(folder) for file in files]
        assert all(file == path or (folder / "out") in file.parents for file in files)
        assert sum(file.lstat().st_size for file in files if file != path) <= UNPACKED
        assert not any(file.is_symlink() for file in files)


def toml(data: bytes) -> None:
    """Read a challenge's rules, and a codec of external commands."""
    with TemporaryDirectory() as name:
        path = Path(name) / "x.toml"
        path.write_bytes(data)
        for read in (lambda: load_profile(str(path)), lambda: open_command(path)):
            try:
                read()
            except ClicError as error:
                told(error)


def tables(data: bytes) -> None:
    """Read candidates for a selection, and a leaderboard."""
    with TemporaryDirectory() as name:
        path = Path(name) / "x.csv"
        path.write_bytes(data)
        try:
            found = check(read_table(path, objective("competition")), objective("competition"))
            assert (found.bytes >= 0).all() and found.pixels > 0 and np.isfinite(found.gain).all()
        except ClicError as error:
            told(error)
        try:
            read_results(path, LEADERBOARD_COLUMNS)
        except ClicError as error:
            told(error)


@dataclass(frozen=True)
class Target:
    """A function, what to begin with, and the most bytes that it is given."""

    judge: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    most_bytes: int = 4096


def _streams() -> list[bytes]:
    from submission.conformance.suite import FOLDER, STREAMS

    with zipfile.ZipFile(FOLDER / STREAMS) as suite:
        names = [name for name in suite.namelist() if name.startswith("0-") and "lanes" not in name]
        return [content for name in names if len(content := suite.read(name)) < 600]


def _small_streams() -> list[bytes]:
    from small_model import photograph, small_model

    from submission.encoder import analyse, encode_latent

    found, networks = small_model("3d")
    sizes = ((1, 1), (17, 33), (40, 24), (64, 64))
    return [encode_latent(networks, found, analyse(networks, photograph(h, w)), 20)[0] for h, w in sizes]


def _containers() -> list[bytes]:
    return [pack({}), pack({"a": b"one"}), pack({"a": b"one", "b ü": b"", "c" * 90: bytes(300)})]


def _archives() -> list[bytes]:
    found = []
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as made:
            made.writestr("decode", b"#!/bin/sh\n" + bytes(300))
            made.writestr("folder/", b"")
            made.writestr("folder/weights", b"abc" * 50)
        found.append(buffer.getvalue())
    return found


def _tomls() -> list[bytes]:
    import harness.challenge.profiles

    rules = Path(harness.challenge.profiles.__file__).parent / "rules"
    command = b'encode = ["true", "{input}", "{output}", "{point}"]\ndecode = ["true", "{input}", "{output}"]\n'
    command += b'points = ["1", "2"]\nversion = "1"\nending = "x"\n'
    return [*(path.read_bytes() for path in sorted(rules.glob("*.toml"))), command, b'extends = "clic2021"\n']


def _tables() -> list[bytes]:
    head = b"image,width,height,codec,point,bytes,msssim_competition,msssim_paper,mse\n"
    rows = b"a,100,100,jpeg,1,500,0.9,0.9,12.5\na,100,100,jpeg,2,700,0.95,nan,7\nb,64,80,jpeg,1,300,0.8,0.8,20\n"
    board = ",".join(LEADERBOARD_COLUMNS).encode() + b"\n" + b",".join([b"1"] * len(LEADERBOARD_COLUMNS)) + b"\n"
    return [head + rows, head, board, head.replace(b",", b";") + rows, "\ufeff".encode() + head + rows]


TARGETS = {
    "bitstream": Target(bitstream, lambda: [*_small_streams(), *_streams()], 2048),
    "container": Target(container, _containers),
    "archive": Target(archive, _archives),
    "toml": Target(toml, _tomls, 8192),
    "tables": Target(tables, _tables),
}


def cases(name: str) -> list[bytes]:
    """The seeds of a target, and what was found before."""
    return [*TARGETS[name].seeds(), *(path.read_bytes() for path in sorted((FOUND / name).glob("*")))]
