"""What the harness knows of a codec: `Codec`, `Submittable` for those that can be sent to the challenge, and `Adaptive`
for those that have further points to offer once it is known which are chosen.

A codec has operating points, each a rate and quality of its own. An image is prepared once, then coded at each point:
what `prepare` returns is whatever the points share, and `encode` may rely on nothing else, so that images and points
can be coded in any order and in any process. All settings that decide bytes are fixed when a codec is opened
(harness/codecs/registry.py), which makes a codec with other settings another codec. A class need not inherit from
these: one with the same methods does, and then `prepare` may be left out, too.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.files import sha256


@dataclass(frozen=True)
class Encoding:
    """One coded image: its bytes and, where the encoder knows them, the pixels that they decode to."""

    stream: bytes
    pixels: np.ndarray | None = None


class Codec(ABC):
    """A codec and all settings that decide its bytes.

    `name` is what people see; it ends in the settings that are not the default, as `shown_name` of the registry
    spells them: "clic,context=checkerboard".
    """

    name: str

    @abstractmethod
    def config(self) -> Mapping[str, Any]:
        """A JSON-serialisable description that changes whenever a stream's bytes or pixels may change.

        Where it says under "codec" what opens the codec, `open_codec(codec.config())` makes an equal one.
        """

    @abstractmethod
    def points(self) -> Sequence[str]:
        """Names of the operating points, from the lowest rate to the highest."""

    def prepare(self, pixels: np.ndarray) -> Any:
        """What all points of one image share, of its pixels, uint8 (H, W, 3); by default the pixels themselves."""
        return pixels

    @abstractmethod
    def encode(self, prepared: Any, point: str) -> Encoding:
        """Code what `prepare` returned at one operating point."""

    @abstractmethod
    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels of a stream."""


class Submittable(Codec):
    """A codec that brings its own decoder for the challenge."""

    @abstractmethod
    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload: all streams with their image names (without ending)."""

    @abstractmethod
    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """The members of decoder.zip, among them `decode`, by path; whatever is coded, they are the same.

        `data_file` is the uploaded file's name as the challenge's profile has it. Where that file is a zip,
        `payload` is the name of its only member, which holds what `pack` returned; otherwise `payload` equals
        `data_file`. `decode` runs in the folder that has the data file and writes `images/NAME.png`.
        """


class Adaptive(Codec):
    """A codec that has operating points beyond `points()`, worth coding for some images and some rates only.

    After a selection for all rates it is asked for them; they are coded as any other, selected among all, and it is
    asked again. Images go by names that mean nothing.
    """

    @abstractmethod
    def further(
        self, chosen: Mapping[str, Sequence[str]], coded: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        """Points to code next, by image, in the order in which they are best coded; empty when none is worth it.

        `chosen` are the points that were selected for an image, at one rate or several, `coded` those that it has. The
        answer depends on nothing else. An image's points are coded one after the other from what `prepare` returned.
        """

    @abstractmethod
    def seconds(self, pixels: np.ndarray, points: Sequence[str]) -> Sequence[float]:
        """About how many seconds of one thread each of an image's further points will take here.

        A few seconds' work on the image, or a part of it, may find it out.
        """

    @abstractmethod
    def about_further(self) -> str:
        """What further points are, and how to do without, in a few words for people."""


def codec_sha256(codec: Codec) -> str:
    """Hex SHA-256 of the codec's name and configuration, as canonical JSON."""
    described = {"name": codec.name, "config": codec.config()}
    return sha256(json.dumps(described, sort_keys=True, separators=(",", ":")).encode())
