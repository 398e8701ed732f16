"""Causality of the trained networks: a change of one element never reaches what is coded before it, or with it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_model import ARCHITECTURE

from decoder.context import CONTEXTS, ContextModel, checkerboard
from submission.networks.model import CodecNetworks

HEIGHT, WIDTH = 5, 6
SMALL = replace(ARCHITECTURE, groups=(2, 1, 3), features=12, hyper=4)


def coding_order(context: ContextModel) -> np.ndarray:
    """At which step each element of the latent is coded, int (C, h, w), groups one after the other."""
    place = np.empty((HEIGHT, WIDTH), int)
    for number, step in enumerate(context.steps(HEIGHT, WIDTH)):
        place[step.rows, step.columns] = number
    steps = place.max() + 1
    groups = np.repeat(np.arange(len(SMALL.groups)), SMALL.groups)
    return groups[:, None, None] * steps + place


@torch.no_grad()
def check_perturbations(name: str) -> None:
    """Of every element of a small latent, at all positions and in all groups."""
    torch.manual_seed(3)
    networks = CodecNetworks(replace(SMALL, context=name)).double()
    for group in networks.context:  # so that no rectifier hides a dependence
        group.hyper.bias.fill_(20)
        group.inner.bias.fill_(20)
    features = torch.rand(1, SMALL.features, HEIGHT, WIDTH, dtype=torch.float64)
    latent = torch.randn(1, SMALL.latent, HEIGHT, WIDTH, dtype=torch.float64)

    def parameters(latent: torch.Tensor) -> np.ndarray:
        """Of all elements, (2, C, h, w)."""
        return torch.cat(networks.entropy_parameters(features, latent)).numpy()

    order, before = coding_order(CONTEXTS[name]), parameters(latent)
    reached = 0
    for place in np.ndindex(order.shape):
        moved = latent.clone()
        moved[(0, *place)] += 1
        changed = (parameters(moved) != before).any(axis=0)
        assert not (changed & (order <= order[place])).any(), f"{name}: {place} reaches what is coded before it"
        reached += changed.sum()
    assert reached > order.size  # the parameters do look at the latent


@pytest.mark.parametrize("name", list(CONTEXTS))
def test_no_element_reaches_what_is_coded_before_it(name: str) -> None:
    check_perturbations(name)


LEAKS = {
    "3d, the next of its row": replace(CONTEXTS["3d"], taps=(*CONTEXTS["3d"].taps, (0, 1))),
    "3d, the next row": replace(CONTEXTS["3d"], taps=(*CONTEXTS["3d"].taps, (1, -2))),
    "3d, itself": replace(CONTEXTS["3d"], taps=(*CONTEXTS["3d"].taps, (0, 0))),
    "checkerboard, its own color": ContextModel((*CONTEXTS["checkerboard"].taps, (1, 1)), checkerboard),
}


@pytest.mark.parametrize("leak", list(LEAKS))
def test_a_leak_of_one_tap_is_found(leak: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTEXTS, "leaking", LEAKS[leak])
    with pytest.raises(AssertionError, match="reaches what is coded before it"):
        check_perturbations("leaking")
