"""From pixels to a stream: analysis in floating point, then the decoder's own walk with rounding as its source."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.architecture import Architecture
from decoder.bitstream import Header, Stream, checksum, least_words, write_stream
from decoder.fixed import ONE
from decoder.latent import SCALES, walk
from decoder.model import Model, interpolate, synthesis_device
from decoder.rans import Tables, encode
from submission.networks.transforms import Analysis, HyperAnalysis

MAX_SYMBOL = 4000  # keeps latents within the decoder's exact range


class EncoderNetworks(nn.Module):
    """Analysis, hyper-analysis and the encoder's gains, of a weights file's arrays.

    The analysis runs on a GPU where there is one: what an encoder chooses to code need not be the same everywhere.
    """

    def __init__(self, architecture: Architecture, arrays: Mapping[str, np.ndarray]) -> None:
        super().__init__()
        self.analysis = Analysis(architecture)
        self.hyper_analysis = HyperAnalysis(architecture)
        self.log_gain = nn.Parameter(torch.zeros(architecture.levels, architecture.latent))
        mine = {name: value for name, value in arrays.items() if not name.startswith("prior.")}
        self.load_state_dict({name: torch.from_numpy(value.astype(np.float32)) for name, value in mine.items()})
        self.eval().requires_grad_(False)
        self.device = synthesis_device()
        self.analysis.to(self.device)


class RoundingSource:
    """Symbols by rounding what the analysis gave, remembered in the order in which a decoder will ask for them."""

    def __init__(self, tables: Tables, latent: np.ndarray, hyper: np.ndarray) -> None:
        self.tables, self.known_latent, self.known_hyper = tables, latent, hyper
        self.calls: list[tuple[np.ndarray, np.ndarray]] = []
        self.escapes: list[int] = []

    def _remember(self, table: np.ndarray, values: np.ndarray) -> None:
        positions = values - self.tables.first[table]
        escape = self.tables.escape(table)
        outside = (positions < 0) | (positions >= escape)
        self.escapes.extend(int(value) for value in values[outside])
        self.calls.append((table, np.where(outside, escape, positions)))

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        self._remember(np.repeat(SCALES + np.arange(shape[0]), shape[1] * shape[2]), self.known_hyper.ravel())
        return self.known_hyper

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        wanted = self.known_latent[rows, columns, start : start + scale.shape[1]]
        symbols = np.rint(wanted - mean / ONE).clip(-MAX_SYMBOL, MAX_SYMBOL).astype(np.int64)
        coded = scale > 0
        symbols[~coded] = 0
        self._remember(scale[coded], symbols[coded])
        return symbols


@dataclass(frozen=True)
class Analysed:
    """An image's latent before gain, (1, C, h, w) float32, its size, and whether all its pixels are grey."""

    latent: Tensor
    width: int
    height: int
    grey: bool = False


@torch.inference_mode()
def analyse(networks: EncoderNetworks, pixels: np.ndarray) -> Analysed:
    """Latent of uint8 (H, W, 3); sides are padded to multiples of 16 by repeating the last row and column."""
    height, width = pixels.shape[:2]
    image = torch.from_numpy(np.array(pixels)).to(networks.device).permute(2, 0, 1)[None].float() / 255
    padded = functional.pad(image, (0, -width % 16, 0, -height % 16), mode="replicate")
    grey = bool((pixels == pixels[:, :, :1]).all())
    return Analysed(networks.analysis(padded).cpu(), width, height, grey)


@dataclass
class Prepared:
    """What the operating points of one image share: pixels, uint8 (H, W, 3), latent, and what was found on the way:
    latents refined so far, by gain, and the slope of rate over distortion."""

    pixels: np.ndarray
    analysed: Analysed
    refined: dict[int, "Latents"] = field(default_factory=dict)
    slope: float | None = None


@dataclass(frozen=True)
class Latents:
    """What one stream codes: a latent (1, C, h, w) float32 in quantisation steps, before rounding, the integer
    hyper-latent (Z, h', w'), and the header. A refined latent keeps the hyper-latent of the one it was made from."""

    latent: Tensor
    hyper: np.ndarray
    header: Header


@torch.inference_mode()
def latents_at(networks: EncoderNetworks, analysed: Analysed, gain: int, model_number: int = 0) -> Latents:
    """The latents of an analysed image at `gain` sixteenths of a level."""
    gained = analysed.latent * interpolate(networks.log_gain, gain).exp()[:, None, None]
    hyper = networks.hyper_analysis(gained)[0].round().clamp(-MAX_SYMBOL, MAX_SYMBOL).numpy().astype(np.int64)
    header = Header(analysed.width, analysed.height, gain, model_number, grey=analysed.grey)
    return Latents(gained, hyper, header)


def quantise(model: Model, latents: Latents) -> tuple[RoundingSource, np.ndarray, np.ndarray]:
    """The decoder's walk over `latents`: its source of symbols, the quantised latent (C, h, w) in units of 2^-8 and
    the symbols (C, h, w)."""
    rows_first = latents.latent[0].permute(1, 2, 0).numpy().astype(np.float64)
    source = RoundingSource(model.tables, rows_first, latents.hyper)
    height, width = latents.latent.shape[2:]
    latent, symbols, _ = walk(model.entropy, model.architecture.hyper, height, width, source)
    return source, latent, symbols


def encode_latents(model: Model, latents: Latents) -> tuple[bytes, np.ndarray]:
    """Stream and reconstruction, uint8 (H, W, 3)."""
    source, latent, symbols = quantise(model, latents)
    header = latents.header
    check, seal = checksum(header, [latents.hyper]) & 0xFFFF, checksum(header, [latents.hyper, symbols])
    words, lanes, main = encode(model.tables, source.calls, seal, least_words(header))
    stream = Stream(header, check, words, lanes, main, source.escapes)
    return write_stream(stream), model.reconstruct(latent, header)


def encode_latent(
    networks: EncoderNetworks, model: Model, analysed: Analysed, gain: int, model_number: int = 0
) -> tuple[bytes, np.ndarray]:
    """Stream and reconstruction, uint8 (H, W, 3), at `gain` sixteenths of a level."""
    return encode_latents(model, latents_at(networks, analysed, gain, model_number))
