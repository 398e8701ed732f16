"""Training: the loss against its reference, both stages, and a run that goes on where it stopped."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import ARCHITECTURE, photograph, small_networks

from decoder.context import CONTEXTS
from harness.errors import ClicError
from submission.networks.model import CodecNetworks
from submission.quantization.centring import Centring
from submission.quantization.settings import CODED, Quantization
from submission.training.checkpoint import load_tensors, save_tensors
from submission.training.data import draw_batch, load_crops
from submission.training.export import decoder_arrays, encoder_arrays, restore
from submission.training.loss import MseLoss, msssim
from submission.training.recipe import Recipe, Stage, read_recipe
from submission.training.start import dct_basis, load_average, start_from_dct
from submission.training.train import Run, train
from submission.training.trainer import Trainer, draw_levels, learning_rate

RECIPE = dataclasses.replace(
    read_recipe("base"), architecture=ARCHITECTURE, batch=2, crop=192, holdout=1, warmup_steps=2
)
SOFT, HARD = RECIPE.stages


def with_context(context: str) -> Recipe:
    return dataclasses.replace(RECIPE, architecture=dataclasses.replace(ARCHITECTURE, context=context))


def shortened(steps: int, *stages: Stage) -> Recipe:
    return dataclasses.replace(RECIPE, stages=tuple(dataclasses.replace(stage, steps=steps) for stage in stages))


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
    script = "import submission.networks.model, sys; print('torchvision' in sys.modules, 'compressai' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_dct_basis_is_orthonormal_and_begins_with_the_mean() -> None:
    basis = dct_basis(64).flatten(1)
    assert torch.allclose(basis @ basis.t(), torch.eye(64), atol=1e-5)
    assert basis[0].std() < 1e-6


def test_untrained_codec_already_shows_the_image() -> None:
    networks = start_from_dct(CodecNetworks(ARCHITECTURE))
    image = torch.from_numpy(photograph(192, 192).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        latent = networks.analysis.block(image - 0.5)
        seen = torch.nn.functional.pixel_shuffle(networks.synthesis.block(latent), 16) + 0.5
    assert float((seen - image).square().mean()) < float(image.var())


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_masked_taps_get_no_gradient(context: str) -> None:
    networks = start_from_dct(CodecNetworks(with_context(context).architecture))
    output = networks(torch.rand(1, 3, 192, 192), torch.tensor([1]), Quantization())
    (output.latent_bits.sum() + output.hyper_bits.sum()).backward()
    seen = {"none": None, "3d": range(12), "checkerboard": range(1, 25, 2)}[context]
    for group in networks.context:
        if seen is None:
            assert group.past is None
            continue
        gradient = group.past.weight.grad.flatten(2)
        assert all(gradient[:, :, place].any() == (place in seen) for place in range(25))


def test_another_context_starts_from_the_same_weights() -> None:
    source = small_networks()
    trainer = Trainer(with_context("checkerboard"), HARD)
    trainer.start_from(source)
    assert torch.equal(trainer.networks.synthesis.block.weight, source.synthesis.block.weight)
    assert torch.equal(trainer.average["context.0.past.weight"], source.context[0].past.weight)
    back = Trainer(RECIPE, HARD)
    back.start_from(trainer.networks)
    assert torch.equal(back.networks.context[1].leave.bias, source.context[1].leave.bias)


def test_hard_stage_freezes_the_encoder_and_has_no_noise(crops: Path) -> None:
    trainer = Trainer(RECIPE, HARD)
    before = {name: p.detach().clone() for name, p in trainer.networks.named_parameters()}
    image = draw_batch(load_crops(crops, 256), 2, 192, np.random.default_rng(1))
    first, second = (trainer.networks(image, torch.tensor([0, 2]), HARD.quantization) for _ in range(2))
    assert torch.equal(first.image, second.image) and torch.equal(first.latent_bits, second.latent_bits)
    trainer.train_step(image, torch.tensor([0, 2]), torch.Generator().manual_seed(1))
    changed = {name for name, p in trainer.networks.named_parameters() if not torch.equal(p, before[name])}
    assert changed and not any(HARD.freezes(name) for name in changed)
    assert {name.partition(".")[0] for name in changed} >= {"synthesis", "hyper_synthesis", "context", "prior"}


def test_hard_stage_begins_with_what_validation_says_of_the_soft_one(crops: Path) -> None:
    """The bits and the reconstruction that stage hard trains on are those of the codec as it codes."""
    trainer = Trainer(RECIPE, HARD)
    image = draw_batch(load_crops(crops, 256), 2, 192, np.random.default_rng(1))
    with torch.no_grad():
        trained, coded = (trainer.networks(image, torch.tensor([0, 2]), q) for q in (HARD.quantization, CODED))
    assert torch.equal(trained.image, coded.image) and torch.equal(trained.latent_bits, coded.latent_bits)


@pytest.mark.parametrize("stage", [SOFT, HARD], ids=lambda stage: stage.name)
def test_a_run_that_was_stopped_repeats_the_unbroken_one(
    stage: Stage, crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.training.train.load_crops", lambda folder: load_crops(folder, 256))
    recipe, start = shortened(6, stage), None
    if stage.frozen:
        with pytest.raises(ClicError, match="give --start"):
            train(Run(recipe, crops, tmp_path / "nothing"))
        start = tmp_path / "start.safetensors"
        Trainer(RECIPE, SOFT).save(start)
    whole = train(Run(recipe, crops, tmp_path / "whole", start))
    parts = tmp_path / "parts"
    monkeypatch.setattr("submission.training.train.time.monotonic", iter(range(0, 10**6, 30)).__next__)  # a slow clock
    for _ in range(2):
        stopped = train(Run(recipe, crops, parts, start, minutes=2.2))
        assert load_tensors(stopped)[1]["step"] < 6
    train(Run(recipe, crops, parts, start))
    a, about = load_tensors(whole)
    b, _ = load_tensors(parts / whole.name)
    assert about["step"] == 6 and a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert read_log(parts)[-1]["validation"] == read_log(tmp_path / "whole")[-1]["validation"]


def test_stages_follow_each_other_from_the_average(
    crops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("submission.training.train.load_crops", lambda folder: load_crops(folder, 256))
    both = train(Run(shortened(3, SOFT, HARD), crops, tmp_path / "both"))
    assert [path.stem for path in sorted((tmp_path / "both").glob("*.safetensors"))] == ["hard", "soft"]
    soft = train(Run(shortened(3, SOFT), crops, tmp_path / "soft"))
    hard = train(Run(shortened(3, HARD), crops, tmp_path / "hard", start=soft))
    alone = train(Run(shortened(3, SOFT, HARD), crops, tmp_path / "soft"), shortened(3, HARD).stages)
    first = load_tensors(both)[0]
    for other in (hard, alone):
        assert all(torch.equal(first[name], tensor) for name, tensor in load_tensors(other)[0].items())
    frozen = [name for name in first if name.startswith("average.") and HARD.freezes(name.removeprefix("average."))]
    assert frozen and all(torch.equal(first[name], load_tensors(soft)[0][name]) for name in frozen)
    before = both.read_bytes()
    assert train(Run(shortened(3, SOFT, HARD), crops, tmp_path / "both")) == both  # nothing is left to do
    assert both.read_bytes() == before


def test_a_checkpoint_of_version_1_in_half_precision_is_a_start(tmp_path: Path) -> None:
    networks = small_networks()
    shape = {key: value for key, value in ARCHITECTURE.to_json().items() if key != "attention"}
    tensors = {f"average.{name}": value.detach().half() for name, value in networks.named_parameters()}
    save_tensors(tmp_path / "old.safetensors", tensors, {"step": 5, "mse_first": False, "shape": shape})
    again = load_average(tmp_path / "old.safetensors")
    assert again.architecture == ARCHITECTURE
    for name, value in networks.named_parameters():
        assert torch.equal(again.get_parameter(name), value.half().float())


def test_what_is_no_checkpoint_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ClicError, match="no such checkpoint"):
        load_average(path)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(ClicError, match="not a checkpoint"):
        load_average(path)
    save_tensors(path, {"average.log_gain": torch.zeros(3, 12)}, {"architecture": ARCHITECTURE.to_json()})
    with pytest.raises(ClicError, match=r"not a checkpoint of this codec's networks \('average"):
        load_average(path)


def test_weights_of_other_widths_are_refused() -> None:
    wider = dataclasses.replace(ARCHITECTURE, features=24)
    with pytest.raises(ClicError, match="start from have"):
        Trainer(RECIPE, SOFT).start_from(CodecNetworks(wider))


@pytest.mark.parametrize("frozen", ["analyses", "analysis.layer", "log_gai", "synthesis.block.weigh"])
def test_a_frozen_name_that_is_no_parameters_is_refused(frozen: str) -> None:
    with pytest.raises(ClicError, match=f"frozen '{frozen}' is no parameter"):
        Trainer(RECIPE, dataclasses.replace(SOFT, frozen=("analysis", frozen)))


def test_a_true_mean_gradient_needs_a_frozen_analysis() -> None:
    centring = Centring(mean_gradient="true")
    Trainer(RECIPE, dataclasses.replace(HARD, centring=centring))
    with pytest.raises(ClicError, match="gives the analysis no gradient"):
        Trainer(RECIPE, dataclasses.replace(SOFT, centring=centring))


def test_squared_error_is_trained_on_smaller_crops(crops: Path) -> None:
    recipe = dataclasses.replace(RECIPE, batch=1, crop=64, precision="float32", lambda_min=0.0067, lambda_max=0.025)
    trainer = Trainer(recipe, dataclasses.replace(SOFT, loss=MseLoss(), level_shares=(1.0, 0.0, 0.0)))
    figures = trainer.next_step(load_crops(crops, 256))
    expected = (figures["bpp"] + 0.0067 * 255**2 * figures["mse"]) / 0.0067**0.5
    assert figures["loss"] == pytest.approx(expected, rel=1e-5) and figures["norm"] > 0


def test_levels_are_drawn_by_shares_or_evenly() -> None:
    recipe = dataclasses.replace(RECIPE, batch=3000)
    even = draw_levels(recipe, SOFT, np.random.default_rng(1))
    assert np.array_equal(even, np.random.default_rng(1).integers(3, size=3000))
    shares = dataclasses.replace(SOFT, level_shares=(3.0, 0.0, 1.0))
    counts = np.bincount(draw_levels(recipe, shares, np.random.default_rng(1)), minlength=3)
    assert counts[1] == 0 and abs(counts[0] - 2250) < 100


def test_the_learning_rate_warms_up_stays_and_falls() -> None:
    stage = dataclasses.replace(SOFT, steps=100, constant_steps=60, learning_rate=1e-3, final_learning_rate=1e-5)
    rates = [learning_rate(RECIPE, stage, step) for step in range(101)]
    assert rates[0] == pytest.approx(5e-4) and rates[1:61] == pytest.approx([1e-3] * 60)
    assert rates[100] == pytest.approx(1e-5) and rates[60:] == sorted(rates[60:], reverse=True)


def test_folders_without_crops_are_clear_errors(tmp_path: Path) -> None:
    with pytest.raises(ClicError, match="no images of at least 512 x 512"):
        load_crops(tmp_path)
    with pytest.raises(ClicError, match="no such folder"):
        load_crops(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(ClicError, match="a file"):
        load_crops(tmp_path / "file")


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


def test_a_share_of_the_windows_is_grey_and_the_others_stay_as_they_were() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    grey = draw_batch(crops, 40, 32, np.random.default_rng(1), grey_share=1.0)
    assert torch.equal(grey[:, 0], grey[:, 1]) and torch.equal(grey[:, 0], grey[:, 2])
    some = draw_batch(crops, 400, 32, np.random.default_rng(1), grey_share=0.25)
    without_color = (some[:, 0] == some[:, 1]).all(dim=(1, 2))
    assert 60 < int(without_color.sum()) < 140
