"""Attention modules: what each may mix, where its gates begin, and that no size of image is special."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from decoder.attention import ATTENTIONS, GroupSeparateAttention, ResidualUnit, SpatialChannelAttention

CHANNELS, GROUPS = 16, 4
PER_GROUP = CHANNELS // GROUPS


def some(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def opened(name: str) -> nn.Module:
    torch.manual_seed(1)
    return ATTENTIONS[name](CHANNELS).double()


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def fixed(conv: nn.Conv2d, weight: float, bias: float) -> None:
    nn.init.constant_(conv.weight, weight)
    nn.init.constant_(conv.bias, bias)


def by_channel(function: nn.Module, x: Tensor) -> Tensor:
    """Which output channel looks at which input channel, bool (C, C)."""
    return jacobian(function, x).abs().amax(dim=(0, 2, 3, 4, 6, 7)) > 0


@pytest.mark.parametrize("name", list(ATTENTIONS))
@settings(max_examples=15, deadline=None)
@given(height=st.integers(1, 9), width=st.integers(1, 9), images=st.integers(1, 3))
def test_the_shape_stays_and_images_do_not_meet(name: str, height: int, width: int, images: int) -> None:
    module, x = opened(name), some(2, images, CHANNELS, height, width)
    out = module(x)
    assert out.shape == x.shape
    assert torch.allclose(out[:1], module(x[:1]))


def test_units_keep_groups_apart_and_without_groups_mix_all() -> None:
    torch.manual_seed(1)
    x = some(3, 1, CHANNELS, 3, 3)
    apart = by_channel(ResidualUnit(CHANNELS, GROUPS).double(), x)
    assert torch.equal(apart, torch.block_diag(*[torch.ones(PER_GROUP, PER_GROUP)] * GROUPS).bool())
    assert by_channel(ResidualUnit(CHANNELS).double(), x).all()


def test_group_separate_is_the_input_where_its_projection_is_zero() -> None:
    module, x = opened("group-separate"), some(4, 2, CHANNELS, 5, 6)
    fixed(module.project, 0, 0)
    assert torch.equal(module(x), x)


def test_split_attention_recombines_two_groups_and_only_its_weights_see_all() -> None:
    """Before the projection: the halves that are weighed come from the first and from the last groups."""
    module, x = opened("group-separate"), some(5, 1, CHANNELS, 3, 3)
    assert isinstance(module, GroupSeparateAttention)
    module.project = nn.Identity()
    assert by_channel(module, x).all()
    fixed(module.weigh, 0, 0.3)  # the weights no longer look at the image
    half = GROUPS // 2
    for group in range(GROUPS):
        seen = by_channel(module, x)[group * PER_GROUP : (group + 1) * PER_GROUP].any(dim=0)
        expected = {group, group // 2, half + group // 2}
        assert {place // PER_GROUP for place in seen.nonzero().flatten().tolist()} == expected


def test_split_attention_weighs_two_halves_that_sum_to_one() -> None:
    """Of equal halves the weights do not matter; of others the output moves from one to the other."""
    module, x = opened("group-separate"), some(6, 1, CHANNELS, 4, 4)
    module.project = nn.Identity()

    def weighed(difference: float) -> Tensor:
        fixed(module.weigh, 0, 0)
        module.weigh.bias.data[:CHANNELS] = difference
        with torch.no_grad():
            return module(x) - x

    first, second, even = weighed(40), weighed(-40), weighed(0)
    assert not torch.allclose(first, second)
    assert torch.allclose(even, (first + second) / 2)


def test_spatial_channel_gates_each_element_and_each_channel() -> None:
    module, x = opened("spatial-channel"), some(7, 2, CHANNELS, 5, 6)
    assert isinstance(module, SpatialChannelAttention)
    with torch.no_grad():
        by_element = torch.sigmoid(module.gate(module.mask(x)))
        by_channel = (module(x) - x) / (module.trunk(x) * by_element)
        assert torch.allclose(by_channel, by_channel[:, :, :1, :1].expand_as(by_channel))
        assert ((by_channel > 0) & (by_channel < 1)).all() and by_channel.std() > 0
        fixed(module.weigh, 0, -800)
        assert torch.equal(module(x), x)


@pytest.mark.parametrize("name", ["group-separate", "spatial-channel"])
def test_the_whole_image_is_seen_by_the_mean_alone(name: str) -> None:
    """A far change that leaves every mean as it was is not seen; one that moves them is."""
    module = opened(name)
    x = some(8, 1, CHANNELS, 3, 40)
    pooled = []
    module.squeeze.register_forward_pre_hook(lambda _, given: pooled.append(given[0]))
    moved = x.clone()
    moved[..., 30:] += 1
    with torch.no_grad():
        before, after = module(x), module(moved)
        assert (before - after)[..., :20].abs().max() > 0
        module.squeeze.register_forward_pre_hook(lambda _, given: (torch.zeros_like(given[0]),))
        assert torch.equal(module(x)[..., :20], module(moved)[..., :20])
    assert not torch.allclose(pooled[0], pooled[1])


def test_group_convolutions_are_the_fewer_weights() -> None:
    """Fewer than the kind that they took the place of, and far fewer than six units without groups (Cheng et al.)."""
    groups, spatial = parameters(opened("group-separate")), parameters(opened("spatial-channel"))
    cheng = 6 * parameters(ResidualUnit(CHANNELS)) + CHANNELS**2
    assert spatial < cheng and groups < cheng
    wide = [parameters(ATTENTIONS[name](256)) for name in ("group-separate", "spatial-channel")]
    assert wide[0] < wide[1] < 6 * parameters(ResidualUnit(256))
