"""What the trainer trains, whichever networks they are: one pass over images at levels, and their description."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from submission.quantization.settings import Quantization


@dataclass
class Output:
    """What a training step needs: reconstruction (N, 3, H, W), bits of each image (N,) for latent and hyper-latent."""

    image: Tensor
    latent_bits: Tensor
    hyper_bits: Tensor


class Networks(nn.Module, ABC):
    """All networks of one codec as they are trained, at one or more levels of rate.

    `encoder_side` names the modules and parameters that a decoder does not have, `multiple` is what an image's sides
    are multiples of.
    """

    encoder_side: tuple[str, ...]
    multiple: int

    @property
    @abstractmethod
    def levels(self) -> int:
        """Number of rates that one set of weights serves."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What a checkpoint says of the networks, as JSON types: enough to make them again, without their weights."""

    @abstractmethod
    def forward(
        self,
        image: Tensor,
        level: Tensor,
        quantization: Quantization,
        generator: torch.Generator | None = None,
        progress: float = 0.0,
    ) -> Output:
        """One pass over (N, 3, H, W) images in 0..1 at integer levels (N,).

        `quantization` says what stands in for rounding, `generator` gives its noise (torch's own by default), and
        `progress` is that of the stage, from 0 to 1.
        """

    def learning_factor(self, name: str) -> float:
        """By how much faster than others a parameter of that name is trained."""
        return 3.0 if name.startswith("prior.") else 1.0

    def is_described_by(self, about: Mapping[str, Any]) -> bool:
        """Whether a checkpoint with that description is of such networks."""
        mine = json.loads(json.dumps(self.describe()))
        return all(about.get(key) == value for key, value in mine.items())
