"""The latent as it will be coded, position by position, in floating point: what stage hard and validation look at.

A position's mean depends on its coded neighbours, and what is coded there depends on its mean. No number of parallel
passes gives that latent: at 0.06 bpp ten of them still claim a 1 - MS-SSIM that is 3 % too small. The decoder's order
of coding does (`decoder.latent.walk` is the same in integers).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from decoder.context import REACH, ContextModel
from submission.networks.entropy import INDEX_UNIT, GroupParameters
from submission.quantization.scale import coded

if TYPE_CHECKING:
    from submission.networks.model import CodecNetworks


@torch.no_grad()
def walk(
    networks: "CodecNetworks", features: Tensor, latent: Tensor, steps: Tensor | None, skip_uncoded: bool
) -> Tensor:
    """The quantised latent of `latent`, both (N, C, h, w), given hyper features (N, F, h, w), without gradient.

    `steps` are the quantisation steps of the elements, 1 where None. With `skip_uncoded`, elements of the smallest
    scales are their mean, as in coding. Computed in float32.
    """
    with torch.autocast(latent.device.type, enabled=False):
        features, quantised, start = features.float(), torch.empty_like(latent), 0
        steps = torch.ones_like(latent) if steps is None else steps
        for group in networks.context:
            assert isinstance(group, GroupParameters)
            channels = slice(start, start + group.own)
            first = group.hyper(features)
            if group.earlier is not None:
                first = first + group.earlier(quantised[:, :start])
            quantised[:, channels] = _walk_group(group, first, latent[:, channels], steps[:, channels], skip_uncoded)
            start += group.own
    return quantised


def _walk_group(group: GroupParameters, first: Tensor, latent: Tensor, steps: Tensor, skip_uncoded: bool) -> Tensor:
    """One group (N, own, h, w), given its first layer's sums without its own positions, (N, F, h, w)."""
    rows_first = first.permute(0, 2, 3, 1)
    wanted, steps = latent.permute(0, 2, 3, 1), steps.permute(0, 2, 3, 1)
    inner, leave = group.inner.weight.flatten(1), group.leave.weight.flatten(1)

    def code(seen: Tensor | None, rows: np.ndarray, columns: np.ndarray) -> Tensor:
        sums = rows_first[:, rows, columns]
        if seen is not None and group.past is not None:
            sums = sums + seen
            if group.past.bias is not None:
                sums = sums + group.past.bias
        hidden = functional.linear(sums.relu(), inner, group.inner.bias).relu()
        out = functional.linear(hidden, leave, group.leave.bias)
        mean, step = out[..., : group.own], steps[:, rows, columns]
        residual = ((wanted[:, rows, columns] - mean) / step).round() * step
        if skip_uncoded:
            residual = residual * coded(INDEX_UNIT * out[..., group.own :])
        return residual + mean

    return in_steps(group.model, group.past, torch.zeros_like(latent), code)


def in_steps(
    context: ContextModel,
    past: nn.Conv2d | None,
    blank: Tensor,
    code: Callable[[Tensor | None, np.ndarray, np.ndarray], Tensor],
) -> Tensor:
    """A latent (N, C, h, w) made in the order of coding, in the place of the zeros `blank`.

    `code` gives the values (N, n, C) at n rows and columns. It is told what the kernel of `past`, masked by the
    context's taps, makes of the positions before, (N, n, F) without bias; None where nothing is seen of them.
    """
    count, channels, height, width = blank.shape
    padded = width + 2 * REACH  # positions in a row with a margin of zeros, so that a tap is a constant distance away
    field = blank.new_zeros(count, (height + 2 * REACH) * padded, channels)
    offsets = torch.tensor([row * padded + column for row, column in context.taps], dtype=torch.long)
    matrix = None
    if past is not None:
        kernel = torch.stack([past.weight[:, :, REACH + row, REACH + column] for row, column in context.taps])
        matrix = kernel.permute(0, 2, 1).flatten(0, 1)
    for rows, columns, sees in context.steps(height, width):
        at = torch.from_numpy((rows + REACH) * padded + columns + REACH)
        seen = None
        if sees and matrix is not None:
            seen = field[:, (at[:, None] + offsets).flatten()].reshape(count, len(at), -1) @ matrix
        field[:, at] = code(seen, rows, columns)
    grid = field.reshape(count, height + 2 * REACH, padded, channels)
    return grid[:, REACH : REACH + height, REACH : REACH + width].permute(0, 3, 1, 2).contiguous()
