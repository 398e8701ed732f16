"""CompressAI's networks as codecs: `compressai,architecture=mbt2018-mean,weights=FOLDER`.

`weights` is a checkpoint in a .safetensors file, or a folder of `ARCHITECTURE-METRIC-QUALITY.safetensors`, whose
qualities are the operating points. Without it the networks are as they are drawn from `seed`, untrained: good for
measuring seconds, and for nothing else. Networks of variable rate have their levels as operating points.

A stream is the point's number (1 byte), width and height (2 bytes each, little-endian), the length of each of
CompressAI's strings but the last (4 bytes each), and the strings. Images are padded to multiples of 64 by repeating
their last column and row, and cropped after decoding.
"""

import re
import struct
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from harness.codecs._compressai import without_transforms
from harness.codecs.protocol import Codec, Encoding
from harness.codecs.registry import shown_name
from harness.errors import ClicError
from harness.files import sha256

MULTIPLE = 64
METRICS = ("mse", "ms-ssim")
LEFT_OUT = ("bmshj2018-factorized-relu",)  # CompressAI 1.2.8 makes the network without ReLU under this name
ALL = "all"
DEFAULTS = {"architecture": "bmshj2018-hyperprior", "quality": ALL, "metric": "mse", "weights": "", "seed": "0"}
_HEAD = struct.Struct("<BHH")


class CompressAICodec(Codec):
    """A network of CompressAI's zoo for each quality, or one of variable rate.

    `quality` is "all" or one of the zoo's, `metric` what a folder's weights were trained for. Raises ClicError for
    settings that do not go together and for weights that are not the architecture's.
    """

    def __init__(
        self,
        architecture: str = DEFAULTS["architecture"],
        quality: str = DEFAULTS["quality"],
        metric: str = DEFAULTS["metric"],
        weights: str = DEFAULTS["weights"],
        seed: str = DEFAULTS["seed"],
    ) -> None:
        given = {"architecture": architecture, "quality": quality, "metric": metric, "weights": weights, "seed": seed}
        self.name = shown_name("compressai", given, DEFAULTS)
        if architecture not in (known := architectures()):
            raise self._wrong("architecture", architecture, known)
        if metric not in METRICS:
            raise self._wrong("metric", metric, METRICS)
        if not seed.isdecimal() or int(seed) >= 1 << 63:
            raise ClicError(f"codec {self.name!r}: seed {seed!r} is no whole number from 0")
        self.architecture, self.metric, self.seed, self.weights = architecture, metric, int(seed), weights
        torch.set_num_threads(1)
        self.files = self._files(quality)
        self.digests = {key: sha256(path.read_bytes()) for key, path in self.files.items()}
        self._networks: dict[str, Any] = {}
        self.qualities = self._qualities(quality)
        first = self._network(self.qualities[0])
        self.levels = int(getattr(first, "levels", 0))

    def _wrong(self, key: str, value: str, known: Sequence[str]) -> ClicError:
        return ClicError(f"codec {self.name!r}: no {key} {value!r}; choose one of {', '.join(known)}")

    def _files(self, quality: str) -> dict[str, Path]:
        """The checkpoint of each quality, none where the networks are drawn. Raises ClicError."""
        if not self.weights:
            return {}
        path = Path(self.weights)
        if path.is_dir():
            pattern = re.compile(rf"{re.escape(self.architecture)}-{self.metric}-([0-9]{{1,2}})\.safetensors")
            found = {str(int(match[1])): file for file in path.iterdir() if (match := pattern.fullmatch(file.name))}
            if not found:
                wanted = f"{self.architecture}-{self.metric}-QUALITY.safetensors"
                raise ClicError(
                    f"codec {self.name!r}: {path}: no file named {wanted} in this folder; rename or give one"
                )
            return found
        if not path.is_file():
            raise ClicError(f"codec {self.name!r}: weights {str(path)!r}: no such file or folder")
        if path.suffix != ".safetensors":
            raise ClicError(
                f"codec {self.name!r}: {path}: no .safetensors file, and other checkpoints may run code when they are "
                "read; convert it as docs/bring-your-own-codec.md says under 'CompressAI'"
            )
        number = "1" if quality == ALL else quality
        if not (number.isdecimal() and int(number) < 256):
            raise ClicError(f"codec {self.name!r}: quality {quality!r} of a single file; give a number from 0 to 255")
        return {number: path}

    def _qualities(self, quality: str) -> list[str]:
        """What the points are made of, from the lowest rate. Raises ClicError for a quality that is not there."""
        known = sorted(self.files, key=int) if self.files else zoo_qualities(self.architecture)
        if quality == ALL:
            return known
        if quality not in known:
            raise self._wrong("quality", quality, known)
        return [quality]

    def _network(self, quality: str) -> Any:
        """The network of a quality, made or read when it is first asked for."""
        if quality not in self._networks:
            try:
                self._networks[quality] = self._made(quality)
            except (KeyError, RuntimeError, ValueError, OSError, SafetensorError) as error:
                what = self.files.get(quality, self.architecture)
                reason = " ".join(str(error).split())[:200]
                raise ClicError(
                    f"codec {self.name!r}: {what}: no weights of {self.architecture} ({type(error).__name__}: {reason})"
                ) from error
        return self._networks[quality]

    def _made(self, quality: str) -> Any:
        with without_transforms():
            from compressai.zoo import image_models, load_state_dict
        make = image_models[self.architecture]
        drawn_as = quality if quality in zoo_qualities(self.architecture) else zoo_qualities(self.architecture)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            network = make(int(drawn_as), metric="mse").eval()
        if quality in self.files:
            content = self.files[quality].read_bytes()
            if sha256(content) != self.digests[quality]:
                raise ClicError(f"codec {self.name!r}: {self.files[quality]}: changed since it was opened; run again")
            state = load_state_dict(load(content))
            variable = {"vr_entbttlnck": True} if any(key.startswith("gayn2zqstep.") for key in state) else {}
            network = type(network).from_state_dict(state, **variable).eval()
        network.update()
        return network

    def config(self) -> Mapping[str, Any]:
        """Weights' hashes or the seed, and versions; floating point decides symbols, so torch's counts."""
        source = {"weights": self.digests} if self.files else {"seed": self.seed}
        versions = {name: version(name) for name in ("compressai", "torch")}
        return {"codec": self.name, "points": list(self.points()), "versions": versions, **source}

    def points(self) -> Sequence[str]:
        """The qualities, or the levels of a network of variable rate."""
        return [str(level) for level in range(self.levels)] if self.levels else self.qualities

    def prepare(self, pixels: np.ndarray) -> tuple[Tensor, int, int]:
        """The padded image, float32 (1, 3, H', W') from 0 to 1, and the width and height it had."""
        height, width, _ = pixels.shape
        if max(height, width) >= 1 << 16:
            raise ClicError(f"codec {self.name!r}: {width}x{height} pixels; sides may have up to 65535")
        padded = np.pad(pixels, ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0)), mode="edge")
        return torch.from_numpy(padded.transpose(2, 0, 1)[None].astype(np.float32) / 255), width, height

    def encode(self, prepared: tuple[Tensor, int, int], point: str) -> Encoding:
        """The stream of a prepared image."""
        padded, width, height = prepared
        network, options = self._coder(point)
        with torch.inference_mode():
            strings = [bytes(batch[0]) for batch in network.compress(padded, **options)["strings"]]
        lengths = b"".join(struct.pack("<I", len(string)) for string in strings[:-1])
        return Encoding(_HEAD.pack(int(point), width, height) + lengths + b"".join(strings))

    def decode(self, stream: bytes) -> np.ndarray:
        """The uint8 (H, W, 3) pixels of a stream. Raises ClicError for one that is damaged."""
        try:
            point, width, height = _HEAD.unpack_from(stream)
            network, options = self._coder(str(point))
            shape = [-(-side // MULTIPLE) * MULTIPLE // network.downsampling_factor for side in (height, width)]
            with torch.inference_mode():
                decoded = network.decompress(self._strings(network, stream), shape, **options)["x_hat"]
        except (struct.error, ValueError, RuntimeError, AssertionError, IndexError) as error:
            raise ClicError(f"codec {self.name!r}: a damaged stream ({error}); code it again") from error
        cropped = decoded[0, :, :height, :width].clamp(0, 1).mul(255).round().to(torch.uint8)
        return np.ascontiguousarray(cropped.permute(1, 2, 0).numpy())

    def _coder(self, point: str) -> tuple[Any, dict[str, int]]:
        """The network of a point, and what it takes besides the image. Raises ClicError for an unknown point."""
        if point not in self.points():
            raise self._wrong("point", point, self.points())
        return (self._network(self.qualities[0]), {"s": int(point)}) if self.levels else (self._network(point), {})

    def _strings(self, network: Any, stream: bytes) -> list[list[bytes]]:
        """CompressAI's strings, each in a batch of one: the latent's and, where there is one, the hyper-latent's."""
        lengths = 1 if hasattr(network, "h_s") else 0
        position = _HEAD.size + 4 * lengths
        strings = []
        for length in struct.unpack_from(f"<{lengths}I", stream, _HEAD.size):
            strings.append([stream[position : position + length]])
            position += length
        if position > len(stream):
            raise ValueError("it is cut off")
        return [*strings, [stream[position:]]]


def architectures() -> list[str]:
    """The architectures of the zoo that code images."""
    with without_transforms():
        from compressai.zoo import image_models
    return [name for name in image_models if name not in LEFT_OUT]


def zoo_qualities(architecture: str) -> list[str]:
    """The zoo's qualities of an architecture; "1" where one network has all rates."""
    with without_transforms():
        from compressai.zoo.image import cfgs
    return [str(quality) for quality in cfgs.get(architecture, {1: ()})]
