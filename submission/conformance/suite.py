"""The suite's files: two lists in the format of fluster, what each stream is due to give, the streams themselves.

`clic.json` and `clic-errors.json` are test suites as fluster (github.com/fluendo/fluster) reads them. Of a stream that
decodes, `result` is the MD5 of its RGB samples, row by row; of one that is refused, that of the decoder's message.
`expected.json` adds what the format has no field for: hashes of the symbols, messages in clear, weights.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from decoder.container import unpack
from decoder.errors import BitstreamError
from decoder.image import decode_latent
from decoder.model import Model, load_model
from harness.challenge.archive import zip_bytes
from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic

FOLDER = Path(__file__).parent / "suite"
STREAMS, PIXELS, EXPECTED = "streams.zip", "pixels.zip", "expected.json"
CODEC = "CLIC"


@dataclass(frozen=True)
class Outcome:
    """What a decoder made of a stream: SHA-256 of the quantised latent and pixels, or the message of its refusal."""

    symbols: str = ""
    pixels: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8), compare=False)
    error: str = ""


def decode(content: bytes, is_set: bool, models: Mapping[int, Model]) -> Outcome:
    """What this decoder makes of a stream or data file."""
    try:
        if is_set:
            return Outcome(symbols=sha256(repr(sorted(unpack(content).items())).encode()))
        model, stream, latent = decode_latent(content, dict(models))
        symbols = sha256(latent.astype("<i8").tobytes())
        return Outcome(symbols, model.reconstruct(latent, stream.header))
    except BitstreamError as error:
        return Outcome(error=str(error))


def models_in(folder: Path) -> tuple[dict[int, Model], dict[str, str], list[str]]:
    """The decoder's models by number, the SHA-256 of each weights file, and which of these are none.

    Raises ClicError where there are no weights at all.
    """
    models, hashes, problems = {}, {}, []
    for path in sorted(folder.glob("*-*.npz")):
        content = path.read_bytes()
        hashes[path.stem] = sha256(content)
        try:
            models[int(path.stem.partition("-")[0])] = load_model(content)
        except (ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            problems.append(f"{path}: no weights of this decoder ({error})")
    if not hashes:
        raise ClicError(f"{folder}: no weights; give a folder with files such as 0-clic.npz")
    return models, hashes, problems


@dataclass(frozen=True)
class Suite:
    """The suite as it is read: by file name the streams, what is due, and pictures; weights by name."""

    streams: Mapping[str, bytes]
    expected: Mapping[str, Mapping[str, str]]
    pixels: Mapping[str, bytes]
    weights: Mapping[str, str]


def read_suite(folder: Path = FOLDER) -> Suite:
    """The suite in a folder. Raises ClicError where it is missing or damaged."""
    try:
        expected = json.loads((folder / EXPECTED).read_text(encoding="utf-8"))
        streams, pixels = (_members(folder / name) for name in (STREAMS, PIXELS))
        return Suite(streams, expected["vectors"], pixels, expected["weights"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ClicError(f"{folder}: no conformance suite ({error}); 'clic conformance generate' writes it") from error


def write_suite(folder: Path, vectors: Mapping[str, tuple[bytes, Outcome]], weights: Mapping[str, str]) -> None:
    """Write the suite of streams by file name with what is due of them."""
    streams = zip_bytes({name: content for name, (content, _) in vectors.items()}, (), compress=True)
    write_atomic(folder / STREAMS, streams)
    good = {name: _png(outcome.pixels) for name, (_, outcome) in vectors.items() if outcome.pixels.size}
    write_atomic(folder / PIXELS, zip_bytes(good, ()))
    expected = {
        name: {"error": outcome.error} if outcome.error else {"symbols": outcome.symbols}
        for name, (_, outcome) in vectors.items()
    }
    write_atomic(folder / EXPECTED, as_json({"vectors": expected, "weights": dict(weights)}).encode())
    checksum = hashlib.md5(streams, usedforsecurity=False).hexdigest()
    for name, refused, about in (
        ("clic", False, "a stream for each element and bound of the bitstream; results are MD5 of RGB samples"),
        ("clic-errors", True, "streams and data files to be refused; results are MD5 of the decoder's message"),
    ):
        chosen = {file: outcome for file, (_, outcome) in vectors.items() if bool(outcome.error) == refused}
        listed = [asdict(_entry(file, outcome, checksum)) for file, outcome in chosen.items()]
        suite: dict[str, Any] = {"name": name, "codec": CODEC, "description": about, "test_vectors": listed}
        write_atomic(folder / f"{name}.json", (json.dumps(suite, indent=1) + "\n").encode())


@dataclass(frozen=True)
class _Entry:
    """A test vector with fluster's own keys."""

    name: str
    source: str
    source_checksum: str
    input_file: str
    output_format: str
    result: str


def _entry(file: str, outcome: Outcome, checksum: str) -> _Entry:
    due = outcome.error.encode() if outcome.error else outcome.pixels.tobytes()
    result = hashlib.md5(due, usedforsecurity=False).hexdigest()
    return _Entry(Path(file).stem, STREAMS, checksum, file, "rgb24", result)


def _png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def pixels_of(png: bytes) -> np.ndarray:
    """The pixels, uint8 (H, W, 3), of a picture of the suite."""
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image)


def _members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}
