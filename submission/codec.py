"""Our codec as the harness knows it: operating points, streams, data file, decoder archive."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import decoder
from decoder.container import pack
from decoder.image import decode_image
from decoder.model import load_model, shipped_models
from harness.codecs.protocol import Encoding
from submission.encoder import Analysed, EncoderNetworks, analyse, encode_latent
from submission.networks import transforms
from submission.weights import find_weights

DECODER = Path(decoder.__file__).parent
POINTS = 19  # operating points, evenly spaced over the gains
DECODE_SCRIPT = """#!/usr/bin/env python3
import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

if __name__ == "__main__":
    from decoder.main import main

    raise SystemExit(main())
"""


class LearnedCodec:
    """Hyperprior and context codec; a point's name is its gain in sixteenths of a level."""

    def __init__(self, name: str, number: int) -> None:
        torch.set_num_threads(1)
        self.name, self.number = name, number
        self.weights = find_weights(shipped_models()[number].stem)
        self.models = {number: load_model(self.weights.decoder.read_bytes())}
        self.networks = EncoderNetworks(self.models[number].architecture, self.weights.encoder_arrays())
        self._last: tuple[np.ndarray, Analysed] | None = None

    def config(self) -> Mapping[str, Any]:
        """Hashes of the weights and of the code that decides bytes and pixels."""
        files = [self.weights.decoder, self.weights.encoder, Path(__file__).with_name("encoder.py")]
        files += [Path(transforms.__file__), *sorted(DECODER.glob("*.py"))]
        return {
            "codec": self.name,
            "points": POINTS,
            "torch": torch.__version__,
            "files": {str(p.relative_to(DECODER.parent)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files},
        }

    def points(self) -> Sequence[str]:
        """Gains from the lowest rate to the highest."""
        top = self.models[self.number].gains - 1
        return [str(round(top * i / (POINTS - 1))) for i in range(POINTS)]

    def encode(self, pixels: np.ndarray, point: str) -> Encoding:
        """Stream and reconstruction. The analysis of the last image is kept for its next point."""
        if self._last is None or self._last[0] is not pixels:
            self._last = (pixels, analyse(self.networks, pixels))
        stream, reconstruction = encode_latent(
            self.networks, self.models[self.number], self._last[1], int(point), self.number
        )
        return Encoding(stream, reconstruction)

    def decode(self, stream: bytes) -> np.ndarray:
        """Pixels of a stream. Raises decoder.errors.BitstreamError."""
        return decode_image(stream, self.models)

    def pack(self, streams: Mapping[str, bytes]) -> bytes:
        """The data file's payload."""
        return pack(streams)

    def decoder_files(self, data_file: str, payload: str) -> Mapping[str, bytes]:
        """`decode`, the decoder package, its weights, and the names of the files that it looks for."""
        files = {f"decoder/{p.name}": p.read_bytes() for p in DECODER.glob("*.py")}
        files[f"decoder/weights/{self.weights.decoder.name}"] = self.weights.decoder.read_bytes()
        files["decoder/profile.json"] = json.dumps({"data_file": data_file, "payload": payload}).encode()
        files["decode"] = DECODE_SCRIPT.encode()
        return files


def open_codec() -> LearnedCodec:
    """The codec with the 3-D context."""
    return LearnedCodec("clic", 0)


def open_checkerboard() -> LearnedCodec:
    """The codec with the checkerboard context: decodes faster, at a little more rate."""
    return LearnedCodec("clic-checkerboard", 1)
