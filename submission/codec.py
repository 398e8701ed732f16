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
from harness.codecs.protocol import Encoding, Submittable
from harness.codecs.registry import shown_name
from harness.errors import ClicError
from submission.encoder import Analysed, EncoderNetworks, analyse, encode_latent
from submission.networks import transforms
from submission.weights import find_weights

DECODER = Path(decoder.__file__).parent
MODELS = {"3d": 0, "checkerboard": 1}  # the number of the model that was trained with each context
POINTS = 19  # operating points, evenly spaced over the gains
DECODE_SCRIPT = """#!/usr/bin/env python3
import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"

if __name__ == "__main__":
    from decoder.main import main

    raise SystemExit(main())
"""


class LearnedCodec(Submittable):
    """Hyperprior and context codec; a point's name is its gain in sixteenths of a level.

    `context` is "3d", or "checkerboard", which decodes faster at a little more rate. Raises ClicError for another.
    """

    def __init__(self, context: str = "3d") -> None:
        if context not in MODELS:
            raise ClicError(f"codec 'clic': no context {context!r}; choose one of {', '.join(MODELS)}")
        torch.set_num_threads(1)
        self.number = MODELS[context]
        self.name = shown_name("clic", {"context": context}, {"context": "3d"})
        self.weights = find_weights(shipped_models()[self.number].stem)
        self.models = {self.number: load_model(self.weights.decoder.read_bytes())}
        self.networks = EncoderNetworks(self.models[self.number].architecture, self.weights.encoder_arrays())

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

    def prepare(self, pixels: np.ndarray) -> Analysed:
        """The analysis of an image: its latent before any gain."""
        return analyse(self.networks, pixels)

    def encode(self, prepared: Analysed, point: str) -> Encoding:
        """Stream and reconstruction of an analysed image."""
        return Encoding(*encode_latent(self.networks, self.models[self.number], prepared, int(point), self.number))

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
