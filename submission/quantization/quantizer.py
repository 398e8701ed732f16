"""What a quantiser is: a stand-in for rounding, of which synthesis and rate may see different sides.

Three choices are made apart: what the synthesis sees, what the rate sees, and which gradient flows to the value. A
quantiser works on values in steps, around whatever centre its caller subtracted (`submission.quantization.centring`).
"""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Seen(NamedTuple):
    """One latent in training, as the synthesis sees it and as the rate sees it. Gradients are part of both.

    The rate is that of a bin of `width` steps around its value: 1, or a width for each element.
    """

    synthesis: Tensor
    rate: Tensor
    width: Tensor | float = 1.0


class Quantizer(ABC):
    """A stand-in for rounding to integers, for tensors of any shape whose first dimension counts images.

    A subclass is a few lines; its docstring gives both values and the gradient. It is a pure function: the same value,
    draw and progress give the same result. All of them take one draw a value, so that two quantisers under the same
    generator see the same noise.
    """

    @property
    def unit_slope(self) -> bool:
        """Whether the gradient of what the synthesis sees is the identity."""
        return True

    def __call__(self, value: Tensor, draw: Tensor, progress: float = 0.0) -> Seen:
        """Both sides of `value` (in steps), given `draw` from `uniform_like` and a stage's progress from 0 to 1.

        Raises TypeError unless both are float32: lower precision would add noise of its own.
        """
        if value.dtype != torch.float32 or draw.dtype != torch.float32:
            raise TypeError(f"quantisers need float32, not {value.dtype} with a draw of {draw.dtype}; call .float()")
        return self.see(value, draw, progress)

    @property
    def scaled(self) -> bool:
        """Whether the networks are to have a branch that gives each element of the latent a step of its own."""
        return False

    @abstractmethod
    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        """What `__call__` returns, for float32."""


class PartOfBatch(torch.Generator):
    """A generator for one of several processes that share each batch: it draws for all, and gives its own part."""

    rank: int
    ranks: int

    def __new__(cls, rank: int, ranks: int) -> "PartOfBatch":
        generator = super().__new__(cls)
        generator.rank, generator.ranks = rank, ranks
        return generator

    def __init__(self, rank: int, ranks: int) -> None:
        """All is done in `__new__`, which is where torch makes generators."""


def uniform_like(value: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Numbers drawn evenly from 0 to 1, in the shape and the memory layout of `value`, (N, ...).

    They are drawn on the CPU, so they are the same numbers wherever the value lies. A `PartOfBatch` gives those that
    one process with the whole batch would have drawn for these images.
    """
    here = torch.empty_like(value, device="cpu")
    if not isinstance(generator, PartOfBatch):
        return here.uniform_(generator=generator).to(value.device)
    whole = torch.empty_like(torch.cat([here] * generator.ranks)).uniform_(generator=generator)
    return whole.chunk(generator.ranks)[generator.rank].to(value.device)


def with_slope_one(replacement: Tensor, value: Tensor) -> Tensor:
    """The numbers of `replacement`, bit for bit, with the identity as their gradient with respect to `value`."""
    return replacement.detach() + (value - value.detach())
