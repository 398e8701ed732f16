"""The latent as it will be coded, position by position, in floating point: what stage hard and validation look at.

A position's mean depends on its coded neighbours, and what is coded there depends on its mean. No number of parallel
passes gives that latent: at 0.06 bpp ten of them still claim a 1 - MS-SSIM that is 3 % too small. The decoder's order
of coding does (`decoder.latent.walk` is the same in integers).
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from decoder.context import REACH
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
    height, width = latent.shape[2:]
    padded_width = width + 2 * REACH
    rows_first = first.permute(0, 2, 3, 1)
    wanted, steps = latent.permute(0, 2, 3, 1), steps.permute(0, 2, 3, 1)
    field = latent.new_zeros(len(latent), (height + 2 * REACH) * padded_width, group.own)
    taps = group.model.taps
    offsets = torch.tensor([row * padded_width + column for row, column in taps], dtype=torch.long)
    past = group.past
    matrix = torch.empty(0)
    if past is not None:
        kernel = torch.stack([past.weight[:, :, REACH + row, REACH + column] for row, column in taps])
        matrix = kernel.permute(0, 2, 1).reshape(len(taps) * group.own, -1)
    inner, leave = group.inner.weight.flatten(1), group.leave.weight.flatten(1)
    for rows, columns, sees in group.model.steps(height, width):
        i, j = torch.from_numpy(rows), torch.from_numpy(columns)
        at = (i + REACH) * padded_width + j + REACH
        sums = rows_first[:, i, j]
        if sees and past is not None:
            seen = field[:, (at[:, None] + offsets).flatten()].reshape(len(latent), len(at), -1)
            sums = sums + seen @ matrix
            if past.bias is not None:
                sums = sums + past.bias
        hidden = functional.linear(sums.relu(), inner, group.inner.bias).relu()
        out = functional.linear(hidden, leave, group.leave.bias)
        mean = out[..., : group.own]
        residual = ((wanted[:, i, j] - mean) / steps[:, i, j]).round() * steps[:, i, j]
        if skip_uncoded:
            residual = residual * coded(INDEX_UNIT * out[..., group.own :])
        field[:, at] = residual + mean
    grid = field.reshape(len(latent), height + 2 * REACH, padded_width, group.own)
    return grid[:, REACH : REACH + height, REACH : REACH + width].permute(0, 3, 1, 2)
