"""Networks beside ours on which surrogates are compared: F, H and J, of CompressAI's layers, with a forward of ours.

F has a factorised prior (Ballé et al., ICLR 2017), H a hyperprior of means and scales, J in addition an autoregressive
context (Minnen, Ballé and Toderici, NeurIPS 2018). The layers are CompressAI's own, of its `google.py`; the pass is
not: its J draws two independent noises in training and rounds around 0 in `eval()` where `compress()` rounds around the
mean. Here there is one draw, and all coding is around the mean. Hyper-latents, and F's latent, are rounded around 0.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.context import CONTEXTS, REACH
from decoder.fixed import ONE
from decoder.latent import SCALES, SymbolSource
from harness.codecs._compressai import without_transforms
from submission.networks.entropy import bits_at_scale, factorised_bits
from submission.networks.interface import Networks, Output
from submission.networks.walk import in_steps
from submission.quantization.quantizer import uniform_like
from submission.quantization.scale import SCALE_MAX, lower_bound
from submission.quantization.settings import Quantization

with without_transforms():
    from compressai.models.google import FactorizedPrior, JointAutoregressiveHierarchicalPriors, MeanScaleHyperprior

JOINT_CONTEXT = CONTEXTS["3d"]  # the raster past within two rows and columns is CompressAI's 5x5 mask of type A


@dataclass(frozen=True)
class Layers:
    """Which of CompressAI's networks, how wide its layers are, and how many channels its latent has."""

    network: str
    width: int = 32
    latent: int = 48


class LayeredNetworks(Networks):
    """What F, H and J share: one level, a transform of stride 16, and a way to ask for symbols in coding order.

    They have no rule that leaves small elements uncoded, so `skip_uncoded` is nothing to them.
    """

    analysis: nn.Module
    synthesis: nn.Module
    prior: Any

    def __init__(self, layers: Layers) -> None:
        super().__init__()
        self.layers = layers

    @property
    def side_channels(self) -> int:
        """Channels of what the factorised prior codes."""
        return self.layers.width

    @abstractmethod
    def side(self, latent: Tensor) -> Tensor:
        """What the factorised prior codes, before rounding: the hyper-latent of a latent (N, C, h, w)."""

    @property
    def levels(self) -> int:
        """One: these networks have no gains."""
        return 1

    def describe(self) -> dict[str, Any]:
        """The layers."""
        return {"layers": asdict(self.layers)}

    @abstractmethod
    def ask(self, source: SymbolSource, height: int, width: int, bound: float) -> Tensor:
        """The quantised latent (1, C, h, w) of symbols that `source` is asked for in the order of coding.

        Scale indices are those of `scale_table(bound)`; the symbols of a factorised prior are asked for as a
        hyper-latent's.
        """


class FactorisedNetworks(LayeredNetworks):
    """F: each channel of the latent has a distribution of its own, the same for all images and positions."""

    encoder_side = ("analysis",)
    multiple = 16

    def __init__(self, layers: Layers) -> None:
        super().__init__(layers)
        made = FactorizedPrior(layers.width, layers.latent)
        self.analysis, self.synthesis, self.prior = made.g_a, made.g_s, made.entropy_bottleneck

    def forward(
        self,
        image: Tensor,
        level: Tensor,
        quantization: Quantization,
        generator: torch.Generator | None = None,
        progress: float = 0.0,
    ) -> Output:
        latent = self.analysis(image).float()
        seen = quantization.latent(latent, uniform_like(latent, generator), progress)
        bits = factorised_bits(self.prior, seen.rate).sum(dim=(1, 2, 3))
        return Output(self.synthesis(seen.synthesis).float(), bits, torch.zeros_like(bits))

    @property
    def side_channels(self) -> int:
        return self.layers.latent

    def side(self, latent: Tensor) -> Tensor:
        """The latent itself."""
        return latent

    @torch.inference_mode()
    def ask(self, source: SymbolSource, height: int, width: int, bound: float) -> Tensor:
        return torch.from_numpy(source.hyper((self.layers.latent, height, width))).float()[None]


class HyperpriorNetworks(LayeredNetworks):
    """H: means and scales of the latent follow from a hyper-latent."""

    encoder_side = ("analysis", "hyper_analysis")
    multiple = 64

    def __init__(self, layers: Layers, made: Any = None) -> None:
        super().__init__(layers)
        made = made or MeanScaleHyperprior(layers.width, layers.latent)
        self.analysis, self.synthesis, self.prior = made.g_a, made.g_s, made.entropy_bottleneck
        self.hyper_analysis, self.hyper_synthesis = made.h_a, made.h_s

    def forward(
        self,
        image: Tensor,
        level: Tensor,
        quantization: Quantization,
        generator: torch.Generator | None = None,
        progress: float = 0.0,
    ) -> Output:
        latent = self.analysis(image).float()
        hyper = self.side(latent)
        hyper_seen = quantization.hyper(hyper, uniform_like(hyper, generator), progress)
        draw = uniform_like(latent, generator)
        with torch.autocast(image.device.type, enabled=False):  # what decides probabilities is small: in float32
            features = self.hyper_synthesis(hyper_seen.synthesis)
            scale, mean = self.parameters_of(features, latent, quantization, draw, progress)
        seen = quantization.centring(quantization.latent, latent, mean, draw, progress)
        bits = bits_at_scale(seen.rate, lower_bound(scale, quantization.scale_bound), seen.width)
        hyper_bits = factorised_bits(self.prior, hyper_seen.rate)
        image = self.synthesis(seen.synthesis).float()
        return Output(image, bits.sum(dim=(1, 2, 3)), hyper_bits.sum(dim=(1, 2, 3)))

    def side(self, latent: Tensor) -> Tensor:
        side: Tensor = self.hyper_analysis(latent).float()
        return side

    def parameters_of(
        self, features: Tensor, latent: Tensor, quantization: Quantization, draw: Tensor, progress: float
    ) -> tuple[Tensor, Tensor]:
        """Scales before their bound, and means, each (N, C, h, w) float32."""
        scale, mean = features.chunk(2, dim=1)
        return scale, mean

    @torch.inference_mode()
    def ask(self, source: SymbolSource, height: int, width: int, bound: float) -> Tensor:
        hyper = torch.from_numpy(source.hyper((self.layers.width, height // 4, width // 4))).float()[None]
        return self.ask_latent(self.hyper_synthesis(hyper), source, bound)

    def ask_latent(self, features: Tensor, source: SymbolSource, bound: float) -> Tensor:
        """The quantised latent (1, C, h, w), given hyper features."""
        scale, mean = (rows_of(side) for side in features.chunk(2, dim=1))
        height, width = features.shape[2:]
        rows, columns = (places.ravel() for places in np.mgrid[:height, :width])
        found = asked(source, scale, mean, (rows, columns), bound)
        return found.reshape(1, height, width, -1).permute(0, 3, 1, 2).contiguous()


class JointNetworks(HyperpriorNetworks):
    """J: means and scales follow from a hyper-latent and from the latent's raster past."""

    def __init__(self, layers: Layers) -> None:
        made = JointAutoregressiveHierarchicalPriors(layers.width, layers.latent)
        super().__init__(layers, made)
        self.context, self.parameters_network = made.context_prediction, made.entropy_parameters

    def parameters_of(
        self, features: Tensor, latent: Tensor, quantization: Quantization, draw: Tensor, progress: float
    ) -> tuple[Tensor, Tensor]:
        if quantization.context is None:
            known = self.walk(features, latent)
        else:  # by the latent's own draw: what the context sees of it is what the synthesis sees
            known = quantization.context(latent, draw, progress).synthesis
        return self.given(features, quantization.centring.for_context(known))

    def given(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Scales before their bound, and means, at all positions at once, given the quantised latent (N, C, h, w)."""
        # The mask acts on the weight in the forward pass, so that no gradient reaches a masked tap.
        weight = self.context.weight * self.context.mask
        seen = functional.conv2d(known, weight, self.context.bias, padding=REACH)
        scale, mean = self.parameters_network(torch.cat([features, seen], dim=1)).chunk(2, dim=1)
        return scale, mean

    @torch.no_grad()
    def walk(self, features: Tensor, latent: Tensor) -> Tensor:
        """The latent (N, C, h, w) as it is coded: position by position, rounded around means that see the past."""
        wanted = latent.permute(0, 2, 3, 1)
        return self._walked(
            features, lambda scale, mean, rows, columns: (wanted[:, rows, columns] - mean).round() + mean
        )

    def ask_latent(self, features: Tensor, source: SymbolSource, bound: float) -> Tensor:
        return self._walked(
            features,
            lambda scale, mean, rows, columns: asked(source, scale[0], mean[0], (rows, columns), bound)[None],
        )

    def _walked(self, features: Tensor, code: Callable[[Tensor, Tensor, np.ndarray, np.ndarray], Tensor]) -> Tensor:
        """The quantised latent (N, C, h, w), given features and what codes positions that are known together.

        `code` turns scales and means (N, n, C) at n rows and columns into quantised latents (N, n, C).
        """
        rows_first = features.permute(0, 2, 3, 1)

        def at(seen: Tensor | None, rows: np.ndarray, columns: np.ndarray) -> Tensor:
            inner = torch.cat([rows_first[:, rows, columns], seen + self.context.bias], dim=2)
            for layer in self.parameters_network:
                dense = isinstance(layer, nn.Conv2d)
                inner = functional.linear(inner, layer.weight.flatten(1), layer.bias) if dense else layer(inner)
            scale, mean = inner.chunk(2, dim=2)
            return code(scale, mean, rows, columns)

        count, _, height, width = features.shape
        return in_steps(JOINT_CONTEXT, self.context, features.new_zeros(count, self.layers.latent, height, width), at)


def rows_of(latent: Tensor) -> Tensor:
    """(1, C, h, w) as (h w, C)."""
    return latent[0].permute(1, 2, 0).flatten(0, 1)


def scale_table(bound: float) -> np.ndarray:
    """The scales with which a latent of that lower bound is coded, (SCALES,), in even ratios."""
    return np.geomspace(bound, SCALE_MAX, SCALES)


def asked(
    source: SymbolSource, scale: Tensor, mean: Tensor, places: tuple[np.ndarray, np.ndarray], bound: float
) -> Tensor:
    """Quantised latents (n, C) at n rows and columns, of what `source` codes around means at these scales (n, C)."""
    table = scale_table(bound)
    ratio = np.log(table[1] / table[0])
    place = np.log(np.maximum(scale.double().numpy(), bound) / bound) / ratio
    index = np.rint(place).clip(0, SCALES - 1).astype(np.int64)
    symbols = source.latent(index, mean.double().numpy() * ONE, *places, 0)
    return torch.from_numpy(symbols).float() + mean


LAYERED: dict[str, type[LayeredNetworks]] = {
    "factorised": FactorisedNetworks,
    "mean-scale": HyperpriorNetworks,
    "joint": JointNetworks,
}
