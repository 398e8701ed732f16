"""Recipes: what comes with the package is whole, and what is wrong in a file is named."""

from pathlib import Path

import numpy as np
import pytest
import torch
from small_model import photograph

from decoder.image import decode_image
from decoder.model import load_model
from harness.errors import ClicError
from submission.encoder import EncoderNetworks, analyse, encode_latent
from submission.networks.model import CodecNetworks
from submission.quantization.settings import CODED
from submission.quantization.surrogates import Mixed, StraightThrough
from submission.training.export import decoder_arrays, encoder_arrays
from submission.training.loss import MseLoss, MsSsimLoss
from submission.training.recipe import PRESETS, preset_names, read_recipe
from submission.training.start import start_from_dct
from submission.training.trainer import NEVER_TRAINED
from submission.weights import npz_bytes

BASE = (PRESETS / "base.toml").read_text()


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_complete(name: str) -> None:
    recipe = read_recipe(name)
    assert recipe.lambdas()[0].item() == pytest.approx(recipe.lambda_min)
    assert len(recipe.lambdas()) == recipe.architecture.levels


def test_soft_then_hard_is_two_stages() -> None:
    soft, hard = read_recipe("base").stages
    assert (soft.name, hard.name) == ("soft", "hard")
    assert isinstance(soft.quantizer, Mixed) and isinstance(hard.quantizer, StraightThrough)
    assert soft.loss == MsSsimLoss(0.5, 5.0, 1500) and hard.loss == MsSsimLoss(0.5)
    assert hard.freezes("analysis.block.weight") and hard.freezes("log_gain")
    assert not hard.freezes("log_inverse_gain") and not hard.freezes("synthesis.block.weight")


def test_paper_has_the_size_of_the_entry() -> None:
    """201 MB of decoder in float32 for three rates; the exact count is part of the preset."""
    recipe = read_recipe("paper")
    with torch.device("meta"):
        networks = CodecNetworks(recipe.architecture)
    parts = ("synthesis.", "hyper_synthesis.", "context.", "prior.", "log_inverse_gain")
    counted = {name: p.numel() for name, p in networks.named_parameters() if name != NEVER_TRAINED}
    decoder = sum(count for name, count in counted.items() if name.startswith(parts))
    assert (decoder, sum(counted.values())) == (50_248_176, 89_496_784)
    assert abs(4 * decoder - 201e6) < 0.1e6 and recipe.architecture.levels == 3
    assert [stage.steps for stage in recipe.stages] == [1_000_000, 200_000]
    assert recipe.lambdas()[1].item() == pytest.approx(10.4, abs=0.1)


@pytest.mark.slow
def test_paper_has_its_shapes_and_codes() -> None:
    torch.manual_seed(1)
    networks = start_from_dct(CodecNetworks(read_recipe("paper").architecture)).eval()
    image = torch.rand(1, 3, 64, 128)
    with torch.no_grad():
        output = networks(image, torch.tensor([2]), CODED)
    assert output.image.shape == image.shape and output.latent_bits.shape == output.hyper_bits.shape == (1,)
    model = load_model(npz_bytes(decoder_arrays(networks)))
    encoder = EncoderNetworks(model.architecture, encoder_arrays(networks))
    pixels = photograph(40, 72)
    stream, reconstruction = encode_latent(encoder, model, analyse(encoder, pixels), 16)
    assert reconstruction.shape == pixels.shape
    assert np.array_equal(decode_image(stream, {0: model}), reconstruction)


def test_a_recipe_extends_another(tmp_path: Path) -> None:
    written(tmp_path, 'extends = "base"\nseed = 3\n[architecture]\ncontext = "none"\n', "parent.toml")
    recipe = read_recipe(written(tmp_path, 'extends = "parent.toml"\nbatch = 2\n'))
    base = read_recipe("base")
    assert (recipe.seed, recipe.batch, recipe.crop) == (3, 2, base.crop)
    assert recipe.architecture.context == "none" and recipe.architecture.groups == base.architecture.groups
    assert recipe.stages == base.stages


def test_circles_are_refused(tmp_path: Path) -> None:
    first = written(tmp_path, 'extends = "b.toml"\n', "a.toml")
    written(tmp_path, 'extends = "a.toml"\n', "b.toml")
    with pytest.raises(ClicError, match="extends it in turn"):
        read_recipe(first)


def test_a_stage_may_have_another_loss(tmp_path: Path) -> None:
    text = BASE.replace('loss = { name = "ms-ssim", mse_weight = 0.5 }', 'loss = "mse"')
    assert read_recipe(written(tmp_path, text)).stages[1].loss == MseLoss()


WRONG = [
    ("seed = 1", "seed = -1", "seed is -1"),
    ("seed = 1", "seed = true", "seed is True"),
    ("seed = 1", "sead = 1", "unknown key 'sead'"),
    ("seed = 1\n", "", "key 'seed' is missing"),
    ('precision = "bfloat16"', 'precision = "float16"', "precision is 'float16'; give one of bfloat16, float32"),
    ('context = "3d"', 'context = "2d"', "context is '2d'; give one of none, 3d, checkerboard"),
    ("levels = 8", "levels = 1", "levels is 1"),
    ("blocks = [2, 4, 3]", "blocks = 2", "blocks is 2; give a list"),
    ("steps = 1_300", "steps = 1_300.5", "stage 'hard': steps is 1300.5"),
    ('name = "hard"', 'name = "soft"', "two stages have the same name"),
    ('quantizer = "mixed"', 'quantizer = "mixd"', "stage 'soft': quantiser 'mixd' is not known; give one of"),
    ('quantizer = "mixed"', 'quantizer = { name = "mixed", a = 1 }', "quantiser 'mixed' has no setting 'a'"),
    ('quantizer = "mixed"', "", "stage 'soft': key 'quantizer' is missing"),
    ("skip_uncoded = true", "skip_uncoded = true\ncentring.zero_centre = false", "skip_uncoded needs zero_centre"),
    ("skip_uncoded = true", 'centring = { stop_gradient = "psg-2" }', "stop_gradient is 'psg-2'"),
    ("skip_uncoded = true", "scale_bound = 0", "scale_bound is 0"),
    ("skip_uncoded = true", "level_shares = [1.0, 2.0]", "level_shares must be 8 numbers"),
    ("mse_weight_start = 5.0", "mse_wait = 5.0", "loss 'ms-ssim' has no setting 'mse_wait'"),
    ("seed = 1", "seed = = 1", "not a readable TOML file"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), WRONG, ids=lambda text: text[:30])
def test_what_is_wrong_is_named(right: str, wrong: str, message: str, tmp_path: Path) -> None:
    assert right in BASE
    path = written(tmp_path, BASE.replace(right, wrong, 1))
    with pytest.raises(ClicError) as error:
        read_recipe(path)
    assert message in str(error.value) and str(error.value).startswith(path) and "\n" not in str(error.value)


def test_unknown_recipes_are_refused() -> None:
    with pytest.raises(ClicError, match=r"recipe 'nano2': not found; give one of .*base"):
        read_recipe("nano2")
