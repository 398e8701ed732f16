"""Training: the loss against its reference, both stages, and a run that goes on where it stopped."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import SHAPE, photograph, small_networks

from decoder.context import CONTEXTS
from submission._compressai import EntropyBottleneck
from submission.dct import dct_basis
from submission.networks import CodecNetworks
from submission.training.checkpoint import load_tensors
from submission.training.data import draw_batch, load_crops
from submission.training.export import decoder_arrays, encoder_arrays, restore
from submission.training.loss import msssim
from submission.training.train import CONFIGS, FROZEN_WHEN_HARD, Recipe, Trainer, train

RECIPE = dataclasses.replace(
    Recipe.read(CONFIGS / "clic.toml"), shape=SHAPE, batch=2, crop=192, holdout=1, threads=1, warmup_steps=2
)


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("crops")
    for seed in range(3):
        Image.fromarray(photograph(256, 256, seed)).save(folder / f"{seed}.png")
    return folder


def read_log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_loss_agrees_with_pytorch_msssim() -> None:
    """Up to the order of channel mean and product, and the thinner sampling of the finest scale."""
    pytorch_msssim = pytest.importorskip("pytorch_msssim")
    original = torch.from_numpy(photograph(256, 256).copy()).permute(2, 0, 1)[None].float() / 255
    for noise in (0.01, 0.05, 0.2):
        other = (original + noise * torch.randn(original.shape, generator=torch.manual_seed(1))).clamp(0, 1)
        expected = pytorch_msssim.ms_ssim(original, other, data_range=1.0)
        assert abs(float(msssim(original, other)) - float(expected)) < 0.01 * (1 - float(expected)) + 1e-5
    assert abs(float(msssim(original, original)) - 1) < 1e-6


def test_loss_has_finite_gradients_everywhere() -> None:
    original = torch.rand(1, 3, 192, 192)
    for other in (original.clone(), 1 - original, torch.zeros_like(original)):
        other.requires_grad_()
        msssim(original, other).sum().backward()
        assert other.grad is not None and other.grad.isfinite().all()


def test_compressai_is_loaded_without_its_transforms() -> None:
    assert EntropyBottleneck.__module__.startswith("compressai.")


def test_dct_basis_is_orthonormal_and_begins_with_the_mean() -> None:
    basis = dct_basis(64).flatten(1)
    assert torch.allclose(basis @ basis.t(), torch.eye(64), atol=1e-5)
    assert basis[0].std() < 1e-6


def test_untrained_codec_already_shows_the_image() -> None:
    networks = CodecNetworks(RECIPE.shape)
    image = torch.from_numpy(photograph(192, 192).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        latent = networks.analysis.block(image - 0.5)
        seen = torch.nn.functional.pixel_shuffle(networks.synthesis.block(latent), 16) + 0.5
    assert float((seen - image).square().mean()) < float(image.var())


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_masked_taps_get_no_gradient(context: str) -> None:
    networks = CodecNetworks(dataclasses.replace(SHAPE, context=context))
    output = networks(torch.rand(1, 3, 192, 192), torch.tensor([1]))
    (output.latent_bits.sum() + output.hyper_bits.sum()).backward()
    seen = {"3d": range(12), "checkerboard": range(1, 25, 2)}[context]
    for group in networks.context:
        gradient = group.past.weight.grad.flatten(2)
        assert all(gradient[:, :, place].any() == (place in seen) for place in range(25))


def test_another_context_starts_from_the_same_weights() -> None:
    source = small_networks()
    trainer = Trainer(dataclasses.replace(RECIPE, shape=dataclasses.replace(SHAPE, context="checkerboard")), "hard")
    trainer.start_from(source)
    assert torch.equal(trainer.networks.synthesis.block.weight, source.synthesis.block.weight)
    assert torch.equal(trainer.average["context.0.past.weight"], source.context[0].past.weight)
    back = Trainer(RECIPE, "hard")
    back.start_from(trainer.networks)
    assert torch.equal(back.networks.context[1].leave.bias, source.context[1].leave.bias)


def test_hard_stage_freezes_the_encoder_and_has_no_noise(crops: Path) -> None:
    trainer = Trainer(RECIPE, "hard")
    before = {name: p.detach().clone() for name, p in trainer.networks.named_parameters()}
    image = draw_batch(load_crops(crops, 256), 2, 192, np.random.default_rng(1))
    first, second = (trainer.networks(image, torch.tensor([0, 2]), hard=True) for _ in range(2))
    assert torch.equal(first.image, second.image) and torch.equal(first.latent_bits, second.latent_bits)
    trainer.train_step(image, torch.tensor([0, 2]), 1e-3)
    changed = {name for name, p in trainer.networks.named_parameters() if not torch.equal(p, before[name])}
    assert not any(name.startswith(FROZEN_WHEN_HARD) for name in changed)
    assert {name.partition(".")[0] for name in changed} >= {"synthesis", "hyper_synthesis", "context", "prior"}


@pytest.mark.parametrize("stage", ["soft", "hard"])
def test_a_run_that_was_stopped_repeats_the_unbroken_one(
    stage: str, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.training.train.load_crops", lambda folder: load_crops(folder, 256))
    whole = train(RECIPE, crops, tmp_path / "whole", stage, 6, 10, None)
    parts = tmp_path / "parts"
    monkeypatch.setattr("submission.training.train.time.monotonic", iter(range(0, 10**6, 30)).__next__)  # a slow clock
    for _ in range(2):
        train(RECIPE, crops, parts, stage, 6, 1.2, None)
        assert load_tensors(parts / "checkpoint.safetensors")[1]["step"] < 6
    train(RECIPE, crops, parts, stage, 6, 10**6, None)
    a, about = load_tensors(whole)
    b, _ = load_tensors(parts / "checkpoint.safetensors")
    assert about["step"] == 6 and a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert read_log(parts)[-1]["validation"] == read_log(tmp_path / "whole")[-1]["validation"]


def test_recipes_are_complete() -> None:
    for path in CONFIGS.glob("*.toml"):
        recipe = Recipe.read(path)
        assert recipe.lambdas()[0].item() == pytest.approx(recipe.lambda_min)
        assert len(recipe.lambdas()) == recipe.shape.levels


def test_no_images_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no images of at least 512 x 512"):
        load_crops(tmp_path)


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_exported_weights_can_be_trained_on_without_loss(context: str) -> None:
    networks = small_networks(context)
    first, encoder = decoder_arrays(networks), encoder_arrays(networks)
    again = restore(first, encoder)
    second = decoder_arrays(again)
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert all(np.array_equal(value, encoder_arrays(again)[name]) for name, value in encoder.items())
    for name, value in networks.named_parameters():
        if "past.weight" not in name:  # whose masked taps are not kept
            assert torch.allclose(again.get_parameter(name), value, atol=2e-3, rtol=1e-3), name
