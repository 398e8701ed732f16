"""Our codec as the harness knows it: operating points, streams, data file, decoder archive."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import decoder
from decoder.container import pack
from decoder.image import decode_image
from decoder.model import Model, shipped_models
from decoder.precision import FLOAT32, PRECISIONS, in_bf16
from harness.codecs.protocol import Adaptive, Encoding, Submittable
from harness.codecs.registry import shown_name
from harness.errors import ClicError
from harness.files import sha256
from submission.encoder import EncoderNetworks, Prepared, analyse, encode_latents, latents_at
from submission.networks import transforms
from submission.refinement_plan import Cost, OperatingPoint, further, iterations_of, seconds
from submission.weights import DecoderModels, find_weights

if TYPE_CHECKING:
    from submission.refining_encoder import RefiningEncoder

DECODER = Path(decoder.__file__).parent
MODELS = {"3d": 2, "checkerboard": 3}  # the number of the model that was trained with each context
REFINING = (  # what decides bytes at efforts above 0
    "networks/entropy.py",
    "quantization/scale.py",
    "refinement.py",
    "refining_encoder.py",
    "training/export.py",
    "training/loss.py",
)
UNREFINED = Cost(0.0, 0.0, 0.0, candidate=0.8)  # of one core; measured where something is refined
EFFORT = "4"  # unless another is asked for: the most with which 30 photographs take 45 minutes, docs/experiments.md
POINTS = 19  # operating points, evenly spaced over the gains
DECODE_SCRIPT = """#!/usr/bin/env python3
import os

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
try:
    with open("/proc/cpuinfo") as file:
        has_avx512 = "avx512bw" in file.read().split()
except OSError:
    has_avx512 = False
if has_avx512:  # numpy's library takes AVX2 on processors newer than itself; sums of the context are exact with either
    os.environ.setdefault("OPENBLAS_CORETYPE", "SkylakeX")

if __name__ == "__main__":
    from decoder.main import main

    raise SystemExit(main())
"""


class LearnedCodec(Submittable, Adaptive):
    """Hyperprior and context codec; a point's name is its gain in sixteenths of a level.

    `context` is "3d", or "checkerboard", which decodes faster at a little more rate. `effort`, "0" to "9", is how long
    the encoder refines an image for a rate (`submission.refinement_plan`); `points()` are coded alike at all efforts.
    Above 0, "56@56" is a further point: the latent refined at gain 56; and "54@56" what was refined there, scaled to
    gain 54. `precision` is "float32", or "bf16", in which the synthesis takes a third of the time and pixels differ by
    1 or 2 steps; a processor without it computes in float32. Raises ClicError for another context, effort or precision.
    """

    def __init__(self, context: str = "3d", effort: str = EFFORT, precision: str = FLOAT32) -> None:
        if context not in MODELS:
            raise ClicError(f"codec 'clic': no context {context!r}; choose one of {', '.join(MODELS)}")
        if precision not in PRECISIONS:
            raise ClicError(f"codec 'clic': no precision {precision!r}; choose one of {', '.join(PRECISIONS)}")
        torch.set_num_threads(1)
        self.precision = precision
        self.iterations = iterations_of(effort)
        self.cost: Cost | None = None
        self.number = MODELS[context]
        self.name = _name(context, effort, precision)
        self.unrefined = _name(context, "0", precision)
        self.weights = find_weights(shipped_models()[self.number].stem)
        self.models = DecoderModels(precision)
        self.networks = EncoderNetworks(self.models[self.number].architecture, self.weights.encoder_arrays())

    @cached_property
    def refining(self) -> "RefiningEncoder":
        """The encoder that refines, loaded when it is first used."""
        from submission.refining_encoder import RefiningEncoder
        from submission.training.export import restore_entropy

        networks = restore_entropy(self.weights.decoder_arrays())
        return RefiningEncoder(self.models[self.number], self.number, self.networks, networks, self.iterations)

    def config(self) -> Mapping[str, Any]:
        """Hashes of the weights and of the code that decides bytes and pixels."""
        files = [self.weights.decoder, self.weights.encoder, Path(__file__).with_name("encoder.py")]
        files += [Path(transforms.__file__), *sorted(DECODER.glob("*.py"))]
        if self.iterations:
            files += [Path(__file__).parent / name for name in REFINING]
        return {
            "codec": self.name,
            "iterations": self.iterations,
            "bf16": in_bf16(self.precision),
            "points": POINTS,
            "torch": torch.__version__,
            "files": {str(p.relative_to(DECODER.parent)): sha256(p.read_bytes()) for p in files},
        }

    def points(self) -> Sequence[str]:
        """Gains from the lowest rate to the highest."""
        return list(map(str, operating_gains(self.models[self.number])))

    def further(
        self, chosen: Mapping[str, Sequence[str]], coded: Mapping[str, Sequence[str]]
    ) -> Mapping[str, Sequence[str]]:
        """Gains between the others, and at efforts above 0 each image refined for its rates."""
        before, now = (
            {image: [OperatingPoint.parse(point) for point in points] for image, points in each.items()}
            for each in (coded, chosen)
        )
        found = further(now, before, self.models[self.number].gains, self.iterations > 0)
        return {image: list(map(str, points)) for image, points in found.items()}

    def seconds(self, pixels: np.ndarray, points: Sequence[str]) -> Sequence[float]:
        """By a few iterations on the middle of the image, the first time that something is to be refined."""
        found, megapixels = list(map(OperatingPoint.parse, points)), pixels.shape[0] * pixels.shape[1] / 1e6
        refined = [point.refined_at for point in found if point.refined_at is not None]
        if refined and self.cost is None:
            self.cost = self.refining.cost(pixels, max(refined))
        return [each * megapixels for each in seconds(found, self.iterations, self.cost or UNREFINED)]

    def about_further(self) -> str:
        """What further points are."""
        if not self.iterations:
            return "gains between those that were swept"
        return f"each image refined for its rates, {self.iterations} iterations ({self.unrefined} does without)"

    def prepare(self, pixels: np.ndarray) -> Prepared:
        """What the operating points of an image share."""
        return Prepared(pixels, analyse(self.networks, pixels))

    def encode(self, prepared: Prepared, point: str) -> Encoding:
        """Stream and reconstruction of what `prepare` returned. Raises ClicError for a point that there is not."""
        found, gains = OperatingPoint.parse(point), self.models[self.number].gains
        if max(found.gain, found.refined_at or 0) >= gains:
            raise ClicError(f"operating point {point!r}: gains are 0 to {gains - 1}")
        if found.refined_at is None:
            latents = latents_at(self.networks, prepared.analysed, found.gain, self.number)
        elif self.iterations:
            latents = self.refining.latents(prepared, found.gain, found.refined_at)
        else:
            raise ClicError(f"operating point {point!r}: nothing is refined at effort 0; give the gain alone")
        return Encoding(*encode_latents(self.models[self.number], latents))

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
        profile = {"data_file": data_file, "payload": payload, "precision": self.precision}
        files["decoder/profile.json"] = json.dumps(profile).encode()
        files["decode"] = DECODE_SCRIPT.encode()
        return files


def operating_gains(model: Model) -> list[int]:
    """The gains that are swept, from the lowest rate to the highest."""
    return [round((model.gains - 1) * i / (POINTS - 1)) for i in range(POINTS)]


def _name(context: str, effort: str, precision: str) -> str:
    settings = {"context": context, "effort": effort, "precision": precision}
    return shown_name("clic", settings, {"context": "3d", "effort": EFFORT, "precision": FLOAT32})
