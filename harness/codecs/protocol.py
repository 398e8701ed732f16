"""What the harness knows of a codec: this protocol, and nothing else.

A codec is any object with the attributes below, made by a function without arguments that an installed
package names in the entry-point group `clic.codecs`. `clic submit --codec NAME` finds it there; a function
that is not installed as an entry point is named by `--codec package.module:function`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Protocol

import numpy as np

from harness.errors import ClicError

GROUP = "clic.codecs"


@dataclass(frozen=True)
class Encoding:
    """One coded image: its bytes and, where the encoder knows them, the pixels that they decode to."""

    stream: bytes
    pixels: np.ndarray | None = None


class Codec(Protocol):
    """A codec with operating points, and the decoder archive that goes to the challenge with it."""

    name: str

    def config(self) -> Mapping[str, Any]:
        """A JSON-serialisable description that changes whenever a stream's bytes or pixels may change."""

    def points(self) -> Sequence[str]:
        """Names of the operating points, from the lowest rate to the highest."""

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        """Code `pixels`, uint8 (H, W, 3), at one operating point."""

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels of a stream."""

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload: all streams with their image names (without ending)."""

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """The members of decoder.zip, among them `decode`, by path.

        `data_file` is the uploaded file's name as the challenge's profile has it. Where that file is a zip,
        `payload` is the name of its only member, which holds what `pack` returned; otherwise `payload` equals
        `data_file`. `decode` runs in the folder that has the data file and writes `images/NAME.png`.
        """


def codec_names() -> list[str]:
    """Names of the installed codecs."""
    return sorted({entry.name for entry in entry_points(group=GROUP)})


def load_codec(name: str) -> Codec:
    """The installed codec of that name, or what `package.module:function` makes.

    Raises ClicError where there is none or its code cannot be imported.
    """
    candidates = [EntryPoint(name, name, GROUP)] if ":" in name else entry_points(group=GROUP)
    for entry in candidates:
        if entry.name == name:
            try:
                make: Callable[[], Codec] = entry.load()
            except (ImportError, AttributeError) as error:
                raise ClicError(
                    f"codec {name!r} cannot be loaded ({type(error).__name__}: {error}); "
                    "is its package installed and on the path?"
                ) from error
            return make()
    known = ", ".join(codec_names()) or "none"
    raise ClicError(f"codec {name!r} is not installed (installed: {known}); see 'Bring your own codec' in README.md")
