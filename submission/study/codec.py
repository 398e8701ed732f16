"""A trained network of a study as a codec: `submission.study.codec:StudyCodec,checkpoint=FILE.safetensors`.

Its operating points are the levels of the network. Streams are those of the shipped codec (`decoder.bitstream`), with
the gain of the level; the symbols of all four kinds of networks go through one entropy coder and one kind of tables, so
that nothing but the networks differs. Every element is coded, unless `skip` is "on": then ours leaves out those of the
smallest scales, as the shipped decoder does.

Our networks decide symbols in exact integers. The others do in floating point, as CompressAI's do: their streams are
decoded on the kind of machine that made them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from decoder.architecture import Architecture
from decoder.bitstream import Header, Stream, checksum, least_words, read_stream, write_stream
from decoder.errors import BitstreamError
from decoder.fixed import ONE
from decoder.image import StreamSource, decode_image
from decoder.latent import SymbolSource, walk
from decoder.model import GAIN_STEPS, GAINS_BELOW, Model, load_model
from decoder.networks import STRIDE
from decoder.rans import Tables, encode
from harness.codecs.protocol import Codec, Encoding
from harness.codecs.registry import shown_name
from harness.errors import ClicError
from harness.files import sha256
from submission.encoder import MAX_SYMBOL, Analysed, EncoderNetworks, RoundingSource, encode_latents, latents_at
from submission.networks.entropy import factorised_bits
from submission.networks.interface import Networks
from submission.networks.model import CodecNetworks
from submission.quantization.scale import SCALE_MIN
from submission.study.subjects import LAYERED, LayeredNetworks, Layers, scale_table
from submission.training.checkpoint import load_tensors, save_tensors
from submission.training.export import (
    decoder_arrays,
    encoder_arrays,
    factorised_masses,
    gaussian_masses,
    table_arrays,
)
from submission.weights import npz_bytes

SPEC = "submission.study.codec:StudyCodec"
CODING = 1  # raised whenever the same weights give other streams or pixels
DEFAULTS = {"checkpoint": "", "skip": "off"}
PIXEL_MAX = 255


def make_networks(about: Mapping[str, Any]) -> Networks:
    """Networks as a checkpoint describes them, with random weights. Raises KeyError or TypeError for anything else."""
    if "layers" in about:
        layers = Layers(**about["layers"])
        return LAYERED[layers.network](layers)
    return CodecNetworks(Architecture.of(about), bool(about.get("scaled")))


def save_networks(path: Path, networks: Networks, about: Mapping[str, Any]) -> None:
    """Write the networks' weights in half precision, with their description and what else is said `about` them."""
    tensors = {name: value.detach().half() for name, value in networks.named_parameters()}
    save_tensors(path, tensors, {**networks.describe(), **about})


@torch.no_grad()
def load_networks(path: Path) -> tuple[Networks, dict[str, Any]]:
    """Networks and description of what `save_networks` wrote. Raises ClicError where it is of another kind."""
    tensors, about = load_tensors(path)
    try:
        networks = make_networks(about)
        for name, parameter in networks.named_parameters():
            parameter.copy_(tensors[name])
    except (KeyError, TypeError, RuntimeError) as error:
        raise ClicError(f"{path}: no networks of a study ({error}); give one that 'clic ablate' wrote") from error
    return networks.eval().requires_grad_(False), about


class EverySymbol(RoundingSource):
    """Symbols by rounding, of all elements: also those that the shipped codec leaves out."""

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        wanted = self.known_latent[rows, columns, start : start + scale.shape[1]]
        symbols = np.rint(wanted - mean / ONE).clip(-MAX_SYMBOL, MAX_SYMBOL).astype(np.int64)
        self._remember(scale.ravel(), symbols.ravel())
        return symbols

    def stream(self, header: Header) -> bytes:
        """The stream of all symbols that were asked for."""
        words, lanes, main = encode(self.tables, self.calls, seal(header, self.calls), least_words(header))
        check = checksum(header, [self.known_hyper]) & 0xFFFF
        return write_stream(Stream(header, check, words, lanes, main, self.escapes))


class EveryStreamSymbol(StreamSource):
    """The same symbols out of a stream."""

    def __init__(self, tables: Tables, stream: Stream) -> None:
        super().__init__(tables, stream)
        self.calls: list[tuple[np.ndarray, np.ndarray]] = []

    def _symbols(self, table: np.ndarray) -> np.ndarray:
        values = super()._symbols(table)
        positions, escape = values - self.tables.first[table], self.tables.escape(table)
        self.calls.append((table, np.where((positions < 0) | (positions >= escape), escape, positions)))
        return values

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        return self._symbols(scale.ravel()).reshape(scale.shape)

    def end(self) -> None:
        """Raises BitstreamError where the stream does not end here, or was made of other symbols."""
        if self.decoder.finish() != seal(self.stream.header, self.calls):
            raise BitstreamError("the symbols do not match the stream's checksum")


def seal(header: Header, calls: Sequence[tuple[np.ndarray, np.ndarray]]) -> int:
    """A checksum of tables and positions, in the order of coding."""
    return checksum(header, [values for call in calls for values in call])


def padded(pixels: np.ndarray, multiple: int) -> Tensor:
    """uint8 (H, W, 3) as float32 (1, 3, H', W') in 0..1, sides padded to multiples by repeating the last samples."""
    height, width = pixels.shape[:2]
    image = torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / PIXEL_MAX
    return functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")


def to_pixels(image: Tensor, width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) of float32 (1, 3, H', W'), clipped, rounded and cropped."""
    cropped = image[0, :, :height, :width].clamp(0, 1).mul(PIXEL_MAX).round().to(torch.uint8)
    return np.ascontiguousarray(cropped.permute(1, 2, 0).numpy())


def decoded(data: bytes, tables: Tables, pixels: Callable[[SymbolSource, Header], np.ndarray]) -> np.ndarray:
    """What `pixels` makes of the symbols of a stream. Raises BitstreamError where it is not whole."""
    stream = read_stream(data)
    source = EveryStreamSymbol(tables, stream)
    shown = pixels(source, stream.header)
    source.end()
    return shown


@dataclass(frozen=True)
class Prepared:
    """What the levels of an image share: its latent before gain, (1, C, h, w), and its size in pixels."""

    latent: Tensor
    width: int
    height: int


class _Ours:
    """Our networks as they code: exported to the decoder's integers."""

    def __init__(self, networks: CodecNetworks, skip: bool) -> None:
        self.networks, self.skip = networks, skip
        arrays = decoder_arrays(networks) if skip else decoder_arrays(networks, first=0)
        self.model: Model = load_model(npz_bytes(arrays))
        self.encoder = EncoderNetworks(self.model.architecture, encoder_arrays(networks))

    def encode(self, prepared: Prepared, level: int) -> Encoding:
        analysed = Analysed(prepared.latent, prepared.width, prepared.height)
        latents = latents_at(self.encoder, analysed, (level + GAINS_BELOW) * GAIN_STEPS)
        if self.skip:
            return Encoding(*encode_latents(self.model, latents))
        rows_first = latents.latent[0].permute(1, 2, 0).numpy().astype(np.float64)
        source = EverySymbol(self.model.tables, rows_first, latents.hyper)
        pixels = self._pixels(source, latents.header)
        return Encoding(source.stream(latents.header), pixels)

    def decode(self, data: bytes) -> np.ndarray:
        if self.skip:
            return decode_image(data, {0: self.model})
        return decoded(data, self.model.tables, self._pixels)

    def _pixels(self, source: SymbolSource, header: Header) -> np.ndarray:
        height, width = -(-header.height // STRIDE), -(-header.width // STRIDE)
        latent, _, _ = walk(self.model.entropy, self.model.architecture.hyper, height, width, source)
        return self.model.reconstruct(latent, header)


class _Layered:
    """Networks of CompressAI's layers as they code."""

    def __init__(self, networks: LayeredNetworks, bound: float) -> None:
        self.networks, self.bound = networks, bound
        rows = [(-(len(mass) // 2 - 1), mass) for mass in map(gaussian_masses, scale_table(bound))]
        rows += factorised_masses(lambda values: factorised_bits(networks.prior, values), networks.side_channels)
        arrays = table_arrays(rows)
        self.tables = Tables(arrays["tables.cumulative"], arrays["tables.first"], arrays["tables.size"])

    @torch.inference_mode()
    def encode(self, prepared: Prepared, level: int) -> Encoding:
        latent, header = prepared.latent, Header(prepared.width, prepared.height, 0)
        side = self.networks.side(latent)[0].round().clamp(-MAX_SYMBOL, MAX_SYMBOL).numpy().astype(np.int64)
        source = EverySymbol(self.tables, latent[0].permute(1, 2, 0).numpy().astype(np.float64), side)
        pixels = self._pixels(source, header)
        return Encoding(source.stream(header), pixels)

    def decode(self, data: bytes) -> np.ndarray:
        return decoded(data, self.tables, self._pixels)

    @torch.inference_mode()
    def _pixels(self, source: SymbolSource, header: Header) -> np.ndarray:
        multiple = self.networks.multiple
        height, width = (-(-side // multiple) * multiple // STRIDE for side in (header.height, header.width))
        latent = self.networks.ask(source, height, width, self.bound)
        return to_pixels(self.networks.synthesis(latent), header.width, header.height)


class StudyCodec(Codec):
    """The networks in a checkpoint that `clic ablate` wrote, as a codec. Raises ClicError where it is none."""

    def __init__(self, checkpoint: str = DEFAULTS["checkpoint"], skip: Literal["off", "on"] | str = DEFAULTS["skip"]):
        self.name = shown_name("study", {"checkpoint": checkpoint, "skip": skip}, DEFAULTS)
        if skip not in ("off", "on"):
            raise ClicError(f"codec {self.name!r}: skip is {skip!r}; give off or on")
        if not checkpoint:
            raise ClicError(f"codec {self.name!r}: give checkpoint=FILE, of a folder that 'clic ablate' wrote")
        torch.set_num_threads(1)
        path = Path(checkpoint)
        self.networks, about = load_networks(path)
        self.bound = float(about.get("scale_bound", SCALE_MIN))
        self.skip = skip

    @cached_property
    def coder(self) -> _Ours | _Layered:
        """What codes, made when it is first used."""
        if isinstance(self.networks, LayeredNetworks):
            return _Layered(self.networks, self.bound)
        assert isinstance(self.networks, CodecNetworks)
        if self.networks.steps is not None:
            raise ClicError(
                f"codec {self.name!r}: its networks quantise each element in a step of its own, which the decoder "
                "cannot; code with those of a stage hard that went on from them"
            )
        return _Ours(self.networks, self.skip == "on")

    @cached_property
    def digest(self) -> str:
        """A hash of the weights themselves: what else a file says of its training, such as seconds, decides nothing."""
        state = {name: value.numpy().tobytes() for name, value in self.networks.named_parameters()}
        described = json.dumps([self.networks.describe(), sorted(state)], sort_keys=True).encode()
        return sha256(described + b"".join(state[name] for name in sorted(state)))

    def config(self) -> Mapping[str, Any]:
        """The weights' hash, wherever they lie, and what decides symbols."""
        return {
            "weights": self.digest,
            "scale_bound": self.bound,
            "skip": self.skip,
            "coding": CODING,
            "torch": torch.__version__,
        }

    def points(self) -> Sequence[str]:
        """The levels, from the lowest rate."""
        return [str(level) for level in range(self.networks.levels)]

    @torch.inference_mode()
    def prepare(self, pixels: np.ndarray) -> Prepared:
        """The latent before gain."""
        height, width = pixels.shape[:2]
        return Prepared(self.coder.networks.analysis(padded(pixels, self.networks.multiple)), width, height)

    def encode(self, prepared: Prepared, point: str) -> Encoding:
        """Stream and reconstruction of what `prepare` returned."""
        if point not in self.points():
            raise ClicError(f"codec {self.name!r}: no level {point!r}; there are {', '.join(self.points())}")
        return self.coder.encode(prepared, int(point))

    def decode(self, stream: bytes) -> np.ndarray:
        """Pixels of a stream. Raises ClicError for one that is damaged."""
        try:
            return self.coder.decode(stream)
        except BitstreamError as error:
            raise ClicError(f"codec {self.name!r}: a damaged stream ({error}); code it again") from error
