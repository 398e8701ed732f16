"""The weights of the shipped models: named arrays in two .npz files each, written and read here only.

One file is the decoder's and goes to the challenge (`decoder/weights/NUMBER-NAME.npz`); the other is the encoder's
(`submission/weights/NUMBER-NAME.npz`). NUMBER is the model's number in a stream's header. A model that newer ones have
replaced keeps its decoder's file, so that its streams decode, and has no encoder any more.
"""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from decoder.model import WEIGHTS as DECODER_WEIGHTS
from decoder.model import Model, load_model, shipped_models
from decoder.precision import FLOAT32
from harness.errors import ClicError
from harness.files import sha256, write_atomic

ENCODER_WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class ShippedWeights:
    """Both files of one shipped model, by its name such as "0-clic"."""

    name: str

    @property
    def number(self) -> int:
        """The model's number in a stream's header."""
        return int(self.name.partition("-")[0])

    @property
    def decoder(self) -> Path:
        """What the decoder needs: integer networks, tables, synthesis."""
        return DECODER_WEIGHTS / f"{self.name}.npz"

    @property
    def encoder(self) -> Path:
        """What the encoder needs beside it: analysis, gains, and the prior's parameters for further training."""
        return ENCODER_WEIGHTS / f"{self.name}.npz"

    def decoder_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the decoder's file."""
        return read_arrays(self.decoder)

    def encoder_arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the encoder's file."""
        return read_arrays(self.encoder)

    def write(self, decoder: Mapping[str, np.ndarray], encoder: Mapping[str, np.ndarray]) -> None:
        """Write both files, once the decoder's has proved to be one. Raises ValueError where it does not."""
        content = npz_bytes(decoder)
        load_model(content)
        for path, data in ((self.encoder, npz_bytes(encoder)), (self.decoder, content)):
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, data)


def shipped_weights() -> list[ShippedWeights]:
    """The shipped models that can encode, in the order of their numbers."""
    all_weights = (ShippedWeights(path.stem) for _, path in sorted(shipped_models().items()))
    return [weights for weights in all_weights if weights.encoder.exists()]


class DecoderModels(Mapping[int, Model]):
    """The decoder's models by number, of all that were ever shipped; each is loaded when it is first asked for."""

    def __init__(self, precision: str = FLOAT32) -> None:
        self._paths, self._loaded, self._precision = shipped_models(), dict[int, Model](), precision

    def __getitem__(self, number: int) -> Model:
        if number not in self._loaded:
            self._loaded[number] = load_model(self._paths[number].read_bytes(), self._precision)
        return self._loaded[number]

    def __iter__(self) -> Iterator[int]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def find_weights(name: str) -> ShippedWeights:
    """The shipped model of that name, with both its files. Raises ClicError where there is none."""
    known = {weights.name: weights for weights in shipped_weights()}
    if name not in known:
        raise ClicError(f"weights {name!r}: not found; give a checkpoint (.safetensors) or one of {', '.join(known)}")
    return known[name]


def versions() -> Iterator[str]:
    """A line per weights file for `clic --version`: its name and its SHA-256."""
    for path in [*shipped_models().values(), *(weights.encoder for weights in shipped_weights())]:
        half = "decoder" if path.parent == DECODER_WEIGHTS else "encoder"
        yield f"weights {path.stem} {half} {sha256(path.read_bytes())}"


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz, read without pickle."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed .npz whose bytes depend on the arrays alone."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
