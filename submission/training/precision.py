"""The numbers that transforms are trained in: float32, or bfloat16 with sums in float32.

Of processors without instructions for bfloat16, torch's own convolutions in it take 6 to 12 times as long as in
float32. There, what enters a layer is rounded to bfloat16 and the layer computed in float32: the same numbers but for
the order of sums, in nearly float32's time.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from submission.refinement import narrow_arithmetic

LAYERS = frozenset({functional.conv2d, functional.conv_transpose2d, functional.linear})  # all that transforms call


@contextmanager
def transforms_in(precision: str, device: torch.device) -> Iterator[None]:
    """Inside, convolutions and linear layers are computed in "bfloat16", unless autocast is off, or in "float32"."""
    narrow = precision == "bfloat16"
    layers = _RoundedLayers() if narrow and not narrow_arithmetic(device) else nullcontext()
    with torch.autocast(device.type, torch.bfloat16, enabled=narrow), layers:
        yield


class _RoundedLayers(TorchFunctionMode):
    """Layers that round to bfloat16 what enters and leaves them, where autocast would run them in bfloat16."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        given: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        named = named or {}
        if function not in LAYERS or not torch.is_autocast_enabled("cpu"):
            return function(*given, **named)
        rounded = [_rounded(value) for value in given]
        named = {name: _rounded(value) for name, value in named.items()}
        with torch.autocast("cpu", enabled=False):
            return function(*rounded, **named).bfloat16()


def _rounded(value: Any) -> Any:
    """A tensor of bfloat16's numbers in float32; anything else as it is."""
    return value.bfloat16().float() if isinstance(value, Tensor) else value
