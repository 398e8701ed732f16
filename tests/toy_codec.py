"""A codec for tests: JPEG by Pillow, with a decoder of its own that needs nothing but Pillow.

A first pixel of pure magenta makes it raise, of pure cyan kill its process, of pure yellow sleep for an hour at its
second point. TOY_LOG names a file that gets a line per call of encode, TOY_DELAY the seconds that a call lasts.
"""

import io
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from harness.codecs.protocol import Encoding

DECODE = """#!/usr/bin/env python3
import io, json, pathlib, zipfile
from PIL import Image

if zipfile.is_zipfile("DATA_FILE"):
    payload = zipfile.ZipFile("DATA_FILE").read("PAYLOAD")
else:
    payload = pathlib.Path("DATA_FILE").read_bytes()
head, _, body = payload.partition(b"\\n")
pathlib.Path("images").mkdir()
for name, size in json.loads(head).items():
    Image.open(io.BytesIO(body[:size])).save(f"images/{name}.png")
    body = body[size:]
"""


class ToyCodec:
    """Operating points are JPEG qualities."""

    name = "toy"

    def config(self) -> Mapping[str, object]:
        return {"format": "JPEG", "points": self.points()}

    def points(self) -> Sequence[str]:
        return ["2", "10", "30", "60"]

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        if log := os.environ.get("TOY_LOG"):
            with Path(log).open("a") as file:
                file.write(f"{pixels.shape} {point}\n")
        time.sleep(float(os.environ.get("TOY_DELAY", 0)))
        if tuple(pixels[0, 0]) == (255, 0, 255):
            raise ValueError("magenta")
        if tuple(pixels[0, 0]) == (0, 255, 255):
            os.kill(os.getpid(), signal.SIGKILL)
        if tuple(pixels[0, 0]) == (255, 255, 0) and point == self.points()[1]:
            time.sleep(3600)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "JPEG", quality=int(point), optimize=True)
        return Encoding(stream.getvalue())

    def decode(self, stream: bytes) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(stream)))

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        sizes = {name: len(stream) for name, stream in streams.items()}
        return json.dumps(sizes).encode() + b"\n" + b"".join(streams.values())

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        return {"decode": DECODE.replace("DATA_FILE", data_file).replace("PAYLOAD", payload).encode()}


class Adaptive(ToyCodec):
    """Offers qualities half-way between its points and what is chosen, as long as there are any. Quality 31 is one that
    it cannot code."""

    name = "adaptive"

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        if point == "31":
            raise ValueError("not 31")
        return super().encode(pixels, point)

    def further(
        self, chosen: Mapping[str, Sequence[str]], coded: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        found = {}
        for image, points in chosen.items():
            known = sorted(map(int, coded[image]))
            for quality in map(int, points):
                near = [other for other in known if abs(other - quality) > 1]
                lower, higher = [q for q in near if q < quality][-1:], [q for q in near if q > quality][:1]
                middle = [str((quality + other) // 2) for other in lower + higher]
                found[image] = [*found.get(image, []), *(point for point in middle if point not in coded[image])]
        return {image: points for image, points in found.items() if points}

    def seconds(self, pixels: np.ndarray, points: Sequence[str]) -> Sequence[float]:
        return [float(os.environ.get("TOY_SECONDS", 0.01))] * len(points)

    def about_further(self) -> str:
        return "qualities between the others"


class Liar(ToyCodec):
    """Announces pixels that its streams do not decode to."""

    name = "liar"

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        return Encoding(super().encode(pixels, point).stream, pixels)


class Broken(ToyCodec):
    """Has a decoder that fails."""

    name = "broken"

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        return {"decode": b"#!/bin/sh\necho no such model\nexit 3\n"}


SAID = (
    "1 of 1 images in 2.0 s by 2 processes: 2.5 s of entropy decoding, 1.25 s of synthesis, 3 s of PNG",
    "2 of 2 images in 9.0 s by 2 processes: 4.5 s of entropy decoding, 0.25 s of synthesis, 1 s of PNG",
)


class Telling(ToyCodec):
    """Its decoder prints twice where its time went."""

    name = "telling"

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        decode = super().decoder_files(data_file, payload)["decode"]
        return {"decode": decode + "".join(f"print({line!r})\n" for line in SAID).encode()}


class Babbling(ToyCodec):
    """Its decoder prints what nobody expects."""

    name = "[red]babbling"

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        decode = super().decoder_files(data_file, payload)["decode"]
        return {"decode": decode + b"print('some s of synthesis, .. s of PNG, 3 s of PNGs \\x1b[0m')\n"}
