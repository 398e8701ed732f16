"""bfloat16 in training: where the processor has no instructions for it, layers that round give the same numbers."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Mixed, Noise
from submission.study.subjects import HyperpriorNetworks, Layers
from submission.training import precision
from submission.training.precision import transforms_in
from submission.training.recipe import read_recipe
from submission.training.trainer import Trainer

CPU = torch.device("cpu")
SOFT = Quantization(Mixed(), Noise(), Noise())


def with_instructions(have: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "narrow_arithmetic", lambda device: have)


def bits_image_and_gradients() -> list[Tensor]:
    torch.manual_seed(3)
    networks = HyperpriorNetworks(Layers("mean-scale", 8, 12))
    image = torch.rand(2, 3, 64, 64)
    with transforms_in("bfloat16", CPU):
        output = networks(image, torch.zeros(2, dtype=torch.long), SOFT, torch.Generator().manual_seed(1))
    loss = (output.latent_bits + output.hyper_bits).mean() / 4096 + 100 * (output.image - image).square().mean()
    loss.backward()
    gradients = [parameter.grad for parameter in networks.parameters() if parameter.grad is not None]
    return [output.image.detach(), output.latent_bits.detach(), *gradients]


def test_rounded_layers_give_the_numbers_of_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    with_instructions(True, monkeypatch)
    native = bits_image_and_gradients()
    with_instructions(False, monkeypatch)
    rounded = bits_image_and_gradients()
    assert len(native) == len(rounded) > 20
    for one, other in zip(native, rounded, strict=True):
        assert (one - other).norm() <= 0.02 * one.norm()
    monkeypatch.undo()
    with transforms_in("float32", CPU):
        assert nn.Linear(2, 3)(torch.rand(1, 2)).dtype == torch.float32


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 3), nn.Linear(9, 5)], ids=repr)
def test_each_layer_rounds_what_enters_and_leaves(layer: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    with_instructions(False, monkeypatch)
    value = torch.rand(2, 3, 9, 9)
    with transforms_in("bfloat16", CPU):
        found = layer(value)
        with torch.autocast("cpu", enabled=False):
            plain = layer(value)
    assert found.dtype == torch.bfloat16 and plain.dtype == torch.float32
    assert torch.equal(plain, layer(value))
    for parameter in layer.parameters():
        parameter.data = parameter.data.bfloat16().float()
    assert torch.equal(found, layer(value.bfloat16().float()).bfloat16())


def test_a_step_of_a_preset_takes_both_ways_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    crops = np.random.default_rng(4).integers(0, 256, (4, 192, 192, 3)).astype(np.uint8)
    recipe = read_recipe("nano")
    losses = []
    for have in (True, False):
        with_instructions(have, monkeypatch)
        losses.append(Trainer(recipe, recipe.stages[0]).next_step(crops)["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=2e-3)
