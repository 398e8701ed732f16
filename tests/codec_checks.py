"""What holds for every codec, checked in one place: each function is a promise of harness/codecs/protocol.py."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from harness.challenge.archive import data_file_bytes, write_zip
from harness.challenge.profiles import load_profile
from harness.challenge.sandbox import run_decoder
from harness.codecs.protocol import Codec, Submittable
from harness.codecs.registry import open_codec

ODD_NAMES = ("beach", "city 7", "007", "ü€ 'x'; $y", 'quo"te,comma', "-n", "a.b", "\u202etxt")


def check_description(codec: Codec) -> None:
    """Its configuration is JSON, stays as it is, and opens an equal codec; its points are different names."""
    config = codec.config()
    text = json.dumps(config, sort_keys=True, allow_nan=False)
    assert json.dumps(codec.config(), sort_keys=True) == text
    again = open_codec(json.loads(text))
    assert (again.name, json.dumps(again.config(), sort_keys=True)) == (codec.name, text)
    assert list(again.points()) == list(codec.points())
    assert len(set(codec.points())) == len(codec.points()) > 0


def check_round_trip(codec: Codec, pixels: np.ndarray, point: str) -> bytes:
    """Encoding and decoding depend on nothing but their arguments, and leave those as they were; the stream."""
    before = pixels.copy()
    encoding = codec.encode(codec.prepare(pixels), point)
    assert isinstance(encoding.stream, bytes) and np.array_equal(pixels, before)
    decoded = codec.decode(encoding.stream)
    assert decoded.dtype == np.uint8 and decoded.shape == pixels.shape
    if encoding.pixels is not None:
        assert np.array_equal(encoding.pixels, decoded)
    other = open_codec(codec.config())
    other.encode(other.prepare(pixels[::-1].copy()), codec.points()[-1])
    assert other.encode(other.prepare(pixels), point).stream == encoding.stream
    assert np.array_equal(other.decode(encoding.stream), decoded)
    return encoding.stream


def check_rates(codec: Codec, pixels: np.ndarray, bpp: tuple[float, float]) -> None:
    """Points rise in rate, a percent aside, from below the first of `bpp` to above the second."""
    prepared = codec.prepare(pixels)
    sizes = np.array([len(codec.encode(prepared, point).stream) for point in codec.points()], dtype=float)
    assert np.all(sizes[1:] > 0.99 * sizes[:-1]), dict(zip(codec.points(), sizes, strict=True))
    rates = 8 * sizes / (pixels.shape[0] * pixels.shape[1])
    assert rates[0] < bpp[0] and rates[-1] > bpp[1], rates


def check_submission(codec: Submittable, images: Mapping[str, np.ndarray], folder: Path) -> None:
    """Its decoder gives in the sandbox what `decode` gives, under the names of the images."""
    profile = replace(load_profile("clic2027"), seconds=120)
    points = list(codec.points())
    streams = {
        name: codec.encode(codec.prepare(pixels), points[number % len(points)]).stream
        for number, (name, pixels) in enumerate(images.items())
    }
    (folder / "sent").mkdir(parents=True)
    decoder_zip, data_file = folder / "sent" / "decoder.zip", folder / "sent" / profile.data_file
    write_zip(decoder_zip, codec.decoder_files(profile.data_file, profile.payload))
    data_file.write_bytes(data_file_bytes(codec.pack(streams), profile))
    run = run_decoder(decoder_zip, data_file, folder / "work", profile)
    assert run.returncode == 0, run.output
    decoded = {path.stem: np.asarray(Image.open(path)) for path in (folder / "work" / "images").iterdir()}
    assert decoded.keys() == images.keys()
    for name, stream in streams.items():
        assert np.array_equal(decoded[name], codec.decode(stream)), name
