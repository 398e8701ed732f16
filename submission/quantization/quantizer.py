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


def uniform_like(value: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Numbers drawn evenly from 0 to 1, in the shape and the memory layout of `value`."""
    return torch.empty_like(value).uniform_(generator=generator)


def with_slope_one(replacement: Tensor, value: Tensor) -> Tensor:
    """The numbers of `replacement`, bit for bit, with the identity as their gradient with respect to `value`."""
    return replacement.detach() + (value - value.detach())
