"""The quantisation study: its networks, what coding and training say of each other, and runs that go on."""

import dataclasses
import math
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from small_model import photograph, small_networks

from harness.errors import ClicError
from submission.networks import entropy
from submission.networks.entropy import SCALE_MIN, gaussian_bits
from submission.networks.interface import Networks
from submission.networks.model import CodecNetworks
from submission.quantization.annealing import SoftRounding
from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer, Seen
from submission.quantization.scale import SCALE_STEP
from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Hard, Mixed, Noise, StraightThrough, noisy
from submission.study.asked import cells_of
from submission.study.cells import Cell
from submission.study.codec import StudyCodec, load_networks, padded, save_networks, to_pixels
from submission.study.gradients import read_gradients, toy_gradients, toy_truth
from submission.study.job import fresh_networks, recipe_of, roundings, run_name
from submission.study.plan import Study, read_study
from submission.study.request import Request
from submission.study.runs import RunRow, read_runs
from submission.study.subjects import LAYERED, HyperpriorNetworks, JointNetworks, LayeredNetworks, Layers
from submission.training.recipe import read_recipe
from submission.training.start import load_average
from submission.training.trainer import Trainer

AS_CODED = Quantization(Hard(), Hard(), context=None)
CHECKPOINT = Path(__file__).parents[2] / "docs/results/checkpoints/balanced-soft-average-float16.safetensors"
LEVEL = torch.tensor([0])


def busy(kind: str) -> LayeredNetworks:
    """Untrained layers, made to react: symbols beyond 0, means and scales that follow from what is known."""
    torch.manual_seed(3)
    networks = LAYERED[kind](Layers(kind))
    with torch.no_grad():
        networks.analysis[-1].weight.mul_(60)  # type: ignore[index]
        if kind != "factorised":
            networks.hyper_analysis[-1].weight.mul_(8)  # type: ignore[index,union-attr]
        if isinstance(networks, JointNetworks):
            networks.parameters_network[-1].weight.mul_(8)
            networks.context.weight.mul_(3)
    return networks.eval()


@pytest.fixture(scope="module")
def quick() -> Study:
    return read_study("quick")


def bits_at_bound(bound: float, residual: torch.Tensor) -> torch.Tensor:
    index = torch.full_like(residual, math.log(bound / SCALE_MIN) / SCALE_STEP - 5)
    return gaussian_bits(residual, index, bound)


@pytest.mark.parametrize("bound", [0.04, 0.08, 0.11, 0.2])
def test_a_dead_latent_costs_its_bound_in_training(bound: float) -> None:
    """Twice the integral of -log2 of the Gaussian's mass over the half-line: 1.378 bits a unit of the bound."""
    draws = (torch.arange(1_000_000) + 0.5) / 1_000_000
    value = torch.zeros(1_000_000)
    rate = bits_at_bound(bound, Noise()(value, draws.float()).rate).double().mean()
    assert float(rate) == pytest.approx(1.378 * bound, rel=0.01)


@pytest.mark.parametrize(("bound", "pull"), [(0.04, 7.3), (0.08, 3.1), (0.11, 2.2), (0.2, 1.2)])
def test_the_pull_on_a_latent_near_its_mean(bound: float, pull: float) -> None:
    far, near = bits_at_bound(bound, torch.tensor([0.6, -0.4])).tolist()
    assert far - near == pytest.approx(pull, abs=0.05 + 0.01 * pull)


def test_toy_gradients() -> None:
    """Concentrated latents: the surrogate's gradient is too small, and every draw far from its mean."""
    truth = toy_truth(0.3, 0.3)
    gradients = toy_gradients(Noise(), 0.3, 0.3, 400_000, 1)
    assert truth == pytest.approx(1.028, abs=0.001)
    assert float(gradients.mean()) == pytest.approx(0.60, abs=3 * 0.83 / 400_000**0.5 + 0.005)
    assert float(gradients.std()) == pytest.approx(0.83, abs=0.01)


def test_a_fixed_point_of_parallel_passes_is_serial_coding_symbol_for_symbol() -> None:
    networks = busy("joint")
    assert isinstance(networks, JointNetworks)
    image = torch.from_numpy(photograph(64, 128).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        latent = networks.analysis(image)[:, :, :4, :6]
        features = networks.hyper_synthesis(networks.side(networks.analysis(image)).round())[:, :, :4, :6]
        serial = networks.walk(features, latent)
        known, passes = torch.zeros_like(latent), 0
        while passes < 25:
            _, mean = networks.given(features, known)
            again, passes = (latent - mean).round() + mean, passes + 1
            if torch.equal(again, known):
                break
            known = again
        _, mean = networks.given(features, serial)
    symbols = (serial - mean).round()
    assert symbols.abs().max() > 1 and 2 < passes < 25
    assert torch.equal(symbols, (known - networks.given(features, known)[1]).round())
    assert torch.allclose(serial, known, atol=1e-4)


@pytest.mark.parametrize("kind", list(LAYERED))
def test_streams_of_layered_networks_decode_to_what_was_coded(kind: str, tmp_path: Path) -> None:
    save_networks(tmp_path / "x.safetensors", busy(kind), {})
    codec = StudyCodec(str(tmp_path / "x.safetensors"))
    pixels = photograph(90, 125)
    encoding = codec.encode(codec.prepare(pixels), "0")
    assert np.array_equal(codec.decode(encoding.stream), encoding.pixels)
    with torch.no_grad():
        output = codec.networks(padded(pixels, codec.networks.multiple), LEVEL, AS_CODED)
    shown = to_pixels(output.image, 125, 90).astype(int)
    assert np.abs(shown - encoding.pixels).max() <= 2
    damaged = bytearray(encoding.stream)
    damaged[-9] ^= 64
    with pytest.raises(ClicError, match="damaged"):
        codec.decode(bytes(damaged))


LEAST_MASS = 2.0**-16  # that a table of the entropy coder gives to a symbol


@torch.no_grad()
def trained(kind: str, quick: Study) -> Networks:
    """J after some steps, so that its means and scales follow from its past; N as the average of a long training."""
    if kind == "N":
        return load_average(CHECKPOINT)
    cell = next(cell for cell in quick.cells if cell.key == ("S", "J trunk"))
    training = dataclasses.replace(cell.training, steps=120, learning_rate=1e-3, final_learning_rate=1e-3)
    cell = dataclasses.replace(cell, training=training)
    recipe = dataclasses.replace(recipe_of(quick, cell, 1), batch=4, crop=64, precision="float32")
    trainer = Trainer(recipe, recipe.stages[0], fresh_networks(quick, cell, recipe))
    crops = np.stack([photograph(256, 256, seed) for seed in range(4)])
    with torch.enable_grad():
        for _ in range(training.steps):
            trainer.next_step(crops)
    return trainer.networks.eval()


@pytest.mark.parametrize(("kind", "levels"), [("J", ["0"]), ("N", ["0", "3", "7"])])
def test_coded_bytes_are_what_trained_networks_state(
    kind: str, levels: list[str], quick: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within 0.5 % and 64 bits of an image, where no symbol is stated to cost more than a table lets it cost.

    Networks state up to 30 bits for a symbol far from its mean. A table has no mass below 2**-16, so that coded bytes
    may be fewer than what is stated.
    """
    save_networks(tmp_path / "x.safetensors", trained(kind, quick), {})
    codec = StudyCodec(str(tmp_path / "x.safetensors"))
    pixels = photograph(256, 384, 9)
    prepared, image = codec.prepare(pixels), padded(pixels, codec.networks.multiple)

    def stated(level: str) -> float:
        with torch.no_grad():
            output = codec.networks(image, torch.tensor([int(level)]), AS_CODED)
        return float(output.latent_bits + output.hyper_bits)

    for level in levels:
        coded, own = 8 * len(codec.encode(prepared, level).stream), stated(level)
        with monkeypatch.context() as tails:
            tails.setattr(entropy, "MASS_MIN", LEAST_MASS)
            of_tables = stated(level)
        assert coded == pytest.approx(of_tables, abs=0.005 * of_tables + 64), f"level {level}"
        assert coded <= 1.005 * own + 64, f"level {level}"


@pytest.mark.parametrize("skip", ["off", "on"])
def test_streams_of_ours_decode_to_what_was_coded(skip: str, tmp_path: Path) -> None:
    save_networks(tmp_path / "x.safetensors", small_networks(), {})
    codec = StudyCodec(str(tmp_path / "x.safetensors"), skip)
    prepared = codec.prepare(photograph(60, 76))
    for point in codec.points():
        encoding = codec.encode(prepared, point)
        assert np.array_equal(codec.decode(encoding.stream), encoding.pixels)


def test_a_codec_is_its_weights_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_networks(tmp_path / f"{name}.safetensors", small_networks(), {})
    first, second = (StudyCodec(str(tmp_path / f"{name}.safetensors")) for name in ("a", "b"))
    assert first.config() == second.config() != StudyCodec(str(tmp_path / "a.safetensors"), "on").config()
    with pytest.raises(ClicError, match="give checkpoint"):
        StudyCodec()
    with pytest.raises(ClicError, match="skip is 'perhaps'"):
        StudyCodec(str(tmp_path / "a.safetensors"), "perhaps")


@pytest.mark.parametrize("key", [("S", "F trunk"), ("S", "H trunk"), ("S", "J trunk"), ("S", "N trunk")])
def test_stage_hard_begins_where_stage_soft_ends_and_freezes_the_encoder(quick: Study, key: tuple[str, str]) -> None:
    """The first hard evaluation of stage hard equals the last of stage soft, in loss and to 1e-6."""
    by_key = {cell.key: cell for cell in quick.cells}
    cell = by_key[key]
    training = by_key["S2", "H noise"].training
    centring = dataclasses.replace(cell.centring, zero_centre=True)
    hard = dataclasses.replace(cell, training=training, centring=centring, parent=cell)
    crops = np.stack([photograph(256, 256, seed) for seed in range(3)])
    recipe = recipe_of(quick, cell, 1)
    soft = Trainer(recipe, recipe.stages[0], fresh_networks(quick, cell, recipe))
    for _ in range(3):
        soft.next_step(crops)
    last = soft.validate(torch.from_numpy(crops[:1, :128, :128].copy()).permute(0, 3, 1, 2).float() / 255)
    with torch.no_grad():
        for name, parameter in soft.networks.named_parameters():
            parameter.copy_(soft.average[name])
    recipe = recipe_of(quick, hard, 1)
    trainer = Trainer(recipe, recipe.stages[0], fresh_networks(quick, hard, recipe))
    trainer.start_from(soft.networks)
    first = trainer.validate(torch.from_numpy(crops[:1, :128, :128].copy()).permute(0, 3, 1, 2).float() / 255)
    assert last["bpp"] == pytest.approx(first["bpp"], abs=1e-6) and last["mse"] == pytest.approx(first["mse"], abs=1e-6)
    before = {name: value.detach().clone() for name, value in trainer.networks.named_parameters()}
    trainer.next_step(crops)
    sides = trainer.networks.encoder_side
    changed = {name for name, value in trainer.networks.named_parameters() if not torch.equal(value, before[name])}
    assert changed and not [name for name in changed if name.split(".")[0] in sides]


def test_networks_are_stated_as_they_were_trained_and_as_they_are_coded(quick: Study) -> None:
    modes = {cell.key: list(roundings(quick, cell, False)) for cell in quick.cells}
    assert modes["S", "J mixed"] == modes["D", "H soft-rounding 1-8 zero-centre off"] == ["hard", "hard-centred"]
    assert modes["S", "H noise"] == modes["C", "H noise"] == ["hard", "hard-around-zero"]
    for key in (("S", "H mixed"), ("S2", "H noise"), ("S", "F noise"), ("S", "N noise"), ("T1", "T1 soft")):
        assert modes[key] == ["hard"], key
    cell = next(cell for cell in quick.cells if cell.key == ("S", "J mixed"))
    networks = busy("joint")
    image = torch.from_numpy(photograph(64, 64).copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        rounded = networks.analysis(image).round()  # type: ignore[operator]
        given = {mode: networks(image, LEVEL, one) for mode, one in roundings(quick, cell, False).items()}
        assert torch.equal(given["hard"].image, networks.synthesis(rounded).float())
        assert torch.equal(given["hard-centred"].image, networks(image, LEVEL, AS_CODED).image)
    assert not torch.equal(given["hard"].image, given["hard-centred"].image)


@pytest.mark.parametrize("network", ["F", "H", "J", "N"])
def test_each_step_with_squared_errors_is_scaled_to_the_clip_of_its_objective(network: str) -> None:
    full = read_study("full")
    by_key = {cell.key: cell for cell in full.cells}
    cell = by_key["S", f"{network} trunk"]
    recipe = recipe_of(full, cell, 1)
    trainer = Trainer(recipe, recipe.stages[0], fresh_networks(full, cell, recipe))
    crops = np.stack([photograph(256, 256, seed) for seed in range(4)])
    norms = [trainer.next_step(crops)["norm"] for _ in range(6)]
    assert min(norms) > recipe.clip_norm == full.objectives["mse"].clip_norm == 1.0
    wider = dataclasses.replace(
        full, objectives={**full.objectives, "mse": dataclasses.replace(full.objectives["mse"], clip_norm=7.0)}
    )
    assert recipe_of(wider, cell, 1).clip_norm == 7.0
    assert recipe_of(wider, by_key["T1", "T1 soft"], 1).clip_norm == read_recipe("nano").clip_norm == 1.0


def test_a_run_ends_and_its_name_tells_it_from_all_others(quick: Study) -> None:
    full = read_study("full")
    names = [run_name(cell, seed) for cell, seed in full.runs()]
    assert len(set(names)) == len(names) == 219
    assert [cell.row for cell, _ in full.runs()][:12] == ["T1"] * 12
    assert {cell.key for cell in full.cells} == {cell.key for cell in quick.cells}
    seen: set[tuple[tuple[str, str], int]] = set()
    for cell, seed in full.runs():
        assert cell.parent is None or (cell.parent.key, seed) in seen
        seen.add((cell.key, seed))


def test_rows_of_some_networks_are_asked_for_with_what_they_go_on_from() -> None:
    full = read_study("full")
    some = Request(Path("crops"), (Path("kodak"),), Path("out"), rows=("S", "D"), networks=("F", "J"), seeds=(3,))
    found = [cell.key for cell, _ in some.runs(full)]
    assert {cell.network for cell, _ in some.runs(full)} == {"F", "J"} and len(found) == 7 + 6 + 2
    assert {("S", "F trunk"), ("S", "J trunk"), ("D", "J mixed psg-3")} < set(found)
    assert some.command("full").endswith(" --jobs 2 --rows S,D --networks F,J --seeds 3")
    later = dataclasses.replace(some, rows=("S2",), networks=("H",))  # S2 goes on from S, which is not asked for
    assert {cell.row for cell, _ in later.runs(full)} == {"S", "S2"}
    for part, message in (
        ("networks", "no network 'K'; it has F, H, J, N, N-none, "),
        ("rows", "no row 'K'; it has T1, "),
    ):
        with pytest.raises(ClicError, match=f"study 'full' has {message}"):
            dataclasses.replace(some, **{part: ("K",)}).runs(full)


def test_a_question_asks_for_what_it_rests_on_alone() -> None:
    full = read_study("full")

    def runs(question: str) -> list[tuple[Cell, int]]:
        return full.runs(seeds=(4, 5), wanted=cells_of([question]))

    third = [(cell.key, seed) for cell, seed in runs("P3") if seed == 4]
    surrogates = ("noise", "straight-through", "soft-rounding 1-8")
    assert {key for key, _ in third} == {("S", "H trunk")} | {
        (row, f"H {name}") for row in ("S", "S2") for name in surrogates
    }
    assert sum(cell.training.steps for cell, _ in runs("P3")) == 2 * (5000 + 3 * 2500 + 3 * 800)
    assert {cell.key for cell, _ in runs("P1")} == {("T1", f"T1 {name}") for name in ("soft", "a", "c")}
    assert {cell.key for cell, _ in runs("P2")} == {("T1", f"T1 {name}") for name in ("soft", "b", "c")}
    assert {cell.network for cell, _ in runs("P4")} == set("FHJN") and len(runs("P4")) == 2 * (4 * 4 + 2)
    assert {cell.network for cell, _ in runs("P5")} == set("HN") and len(runs("P5")) == 2 * (1 + 9 + 1 + 7)
    with pytest.raises(ClicError, match="question 'P6' is not one of the primary ones: P1, P2"):
        cells_of(["P6"])


class NoisyAgain(Mixed):
    """A planted fault: the rate's noise is drawn anew."""

    def see(self, value: torch.Tensor, draw: torch.Tensor, progress: float) -> Seen:
        return Seen(super().see(value, draw, progress).synthesis, noisy(value, draw.flip(0)))


def rate_of_mixed_is_that_of_noise(quantizer: Quantizer) -> bool:
    value, draw = torch.randn(50), torch.rand(50)
    return torch.equal(quantizer(value, draw).rate, Noise()(value, draw).rate)


def test_mixed_and_noise_of_one_seed_see_the_same_noise() -> None:
    assert rate_of_mixed_is_that_of_noise(Mixed())
    assert not rate_of_mixed_is_that_of_noise(NoisyAgain())


def test_likelihoods_are_in_single_precision_also_under_autocast() -> None:
    networks = busy("mean-scale")
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        soft = networks(torch.rand(1, 3, 64, 64), LEVEL, Quantization(StraightThrough(), Noise(), Noise()))
    assert soft.latent_bits.dtype == soft.hyper_bits.dtype == torch.float32
    with pytest.raises(TypeError):
        gaussian_bits(torch.zeros(3).bfloat16(), torch.zeros(3).bfloat16())


class HalfPrecise(HyperpriorNetworks):
    """A planted fault: means and scales come as autocast leaves them."""

    def parameters_of(
        self,
        features: torch.Tensor,
        latent: torch.Tensor,
        quantization: Quantization,
        draw: torch.Tensor,
        progress: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            features = features @ torch.eye(features.shape[-1])
        scale, mean = super().parameters_of(features, latent, quantization, draw, progress)
        return scale, mean


def test_a_likelihood_that_was_left_in_bfloat16_is_refused() -> None:
    with torch.no_grad(), pytest.raises(TypeError, match="bits need float32"):
        HalfPrecise(Layers("mean-scale"))(torch.rand(1, 3, 64, 64), LEVEL, Quantization(Noise(), Noise(), Noise()))


def numbers_and_gradients(kind: str, quantization: Quantization) -> list[torch.Tensor]:
    """All that a pass gives, and the gradients of all weights."""
    networks = busy(kind)
    image = torch.from_numpy(photograph(64, 64).copy()).permute(2, 0, 1)[None].float() / 255
    output = networks(image, LEVEL, quantization, torch.Generator().manual_seed(4), 0.5)
    loss = output.latent_bits.sum() + output.hyper_bits.sum() + 1e3 * (output.image - image).square().mean()
    found = torch.autograd.grad(loss, list(networks.parameters()), allow_unused=True)
    return [output.image, output.latent_bits, output.hyper_bits, *(one for one in found if one is not None)]


def check_bounds_and_stops(kind: str) -> None:
    """None of them changes a number or a gradient of networks of this kind, also where the surrogate has a slope."""
    plain = numbers_and_gradients(kind, Quantization(SoftRounding(4.0), Noise(), SoftRounding(4.0)))
    for stop in ("none", "psg-1", "psg-3"):
        for bound in (0.04, 0.2):
            other = Quantization(
                SoftRounding(4.0), Noise(), SoftRounding(4.0), Centring(stop_gradient=stop), scale_bound=bound
            )
            assert all(map(torch.equal, plain, numbers_and_gradients(kind, other))), f"{stop}, bound {bound}"


def test_bounds_and_stops_change_nothing_in_f() -> None:
    check_bounds_and_stops("factorised")
    with pytest.raises(AssertionError, match=r"none, bound 0\.04"):
        check_bounds_and_stops("mean-scale")


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("extends = 'quick'\nseeds = 'x'", "seeds is 'x'"),
        ("extends = 'quick'\ncolour = 1", "unknown key 'colour'"),
        ("extends = 'quick'\norder = [['T1']]", "order must have each row"),
        ("extends = 'quick'\n[networks.H]\npreset = 'none'", "a network needs"),
        ("extends = 'quick'\n[[cells]]\nrow = 'S'\nnetworks = ['F']\nsurrogates = ['noise']\nobjective = 'mse'\n"
         "training = 'whole'\nskip_uncoded = ['on']", "'F' codes every element"),
        ("extends = 'quick'\n[[cells]]\nrow = 'S'\nnetworks = ['H']\nsurrogates = ['scaled-noise']\nobjective = 'mse'\n"
         "training = 'whole'", "'H' has no branch that gives elements their steps"),
        ("extends = 'quick'\n[trainings.hard]\nstage = 'h'\nsteps = 2\nhard = true\nlearning_rate = 1.0\n"
         "final_learning_rate = 1.0", "set decoder_only"),
    ],
)  # fmt: skip
def test_a_study_that_cannot_be_is_one_line(text: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ClicError, match=what) as caught:
        read_study(str(path))
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_networks_with_steps_stay_so_and_are_not_coded(tmp_path: Path) -> None:
    torch.manual_seed(3)
    networks = CodecNetworks(small_networks().architecture, scaled=True).eval()
    save_networks(tmp_path / "x.safetensors", networks, {})
    loaded, about = load_networks(tmp_path / "x.safetensors")
    assert networks.is_described_by(about) and not small_networks().is_described_by(about)
    assert {name for name, _ in loaded.named_parameters()} == {name for name, _ in networks.named_parameters()}
    codec = StudyCodec(str(tmp_path / "x.safetensors"))
    with pytest.raises(ClicError, match="which the decoder cannot"):
        codec.prepare(photograph(64, 64))


def test_scaled_noise_goes_through_a_study(ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """Trained with its branch, stated in its steps and not coded; after a stage hard, which has none, coded."""
    assert ablate(SCALED).wait() == 0
    rows = read_runs(tmp_path / "out" / "runs.csv")
    modes = {(row.cell, row.mode) for row in rows}
    assert modes == {("soft", "hard"), ("soft", "training")} | {
        ("hard", mode) for mode in ("coded", "hard", "training")
    }
    (soft,), (hard,) = ({row.parameters for row in rows if row.cell == cell} for cell in ("soft", "hard"))
    steps = CodecNetworks(read_recipe("nano").architecture, scaled=True).steps
    assert steps is not None and soft - hard == sum(parameter.numel() for parameter in steps.parameters())


def test_gradients_without_networks_name_what_to_train(
    ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert ablate(SCALED, False, "--rows", "G").wait() == 2
    said = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert "out/networks: has none of the networks of row T, stage soft" in said and "--rows T" in said


@pytest.mark.slow
def test_gradients_alone_need_no_coded_runs(ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path) -> None:
    """Row G goes by networks that are there, as they came from elsewhere, and ends well."""
    text = SCALED.replace("scaled-noise", "noise")
    assert ablate(text, train_only=True).wait() == 0
    assert ablate(text, False, "--rows", "G").wait() == 0
    said = (tmp_path / "said.txt").read_text()
    assert "nothing is coded" in said and said.endswith("out/gradients.csv\n")
    assert {row["network"] for row in read_gradients(tmp_path / "out/gradients.csv")} == {"N"}
    assert not (tmp_path / "out/tables").exists() and not read_runs(tmp_path / "out/runs.csv")


def test_networks_of_another_kind_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_networks(path, small_networks(), {"layers": {"network": "joint", "width": 8, "latent": 8}})
    with pytest.raises(ClicError, match="no networks of a study"):
        load_networks(path)


SMALL_STUDY = """
extends = "quick"
seeds = [1]
order = [["T", "S"]]
[networks.J]
layers = "joint"
zero_centre = false
coded_images = 1
[[cells]]
row = "T"
name = "N soft"
networks = ["N"]
surrogates = ["noise"]
objective = "mse"
training = "long"
[[cells]]
row = "T"
name = "N hard"
after = ["T", "soft"]
training = "c"
skip_uncoded = ["off", "on"]
[[cells]]
row = "S"
name = "J trunk"
networks = ["J"]
surrogates = ["mixed"]
objective = "mse"
training = "trunk"
"""


# Levels, images, modes; of N hard also without small elements; J is coded on one image, and stated around both.
SCALED = """
extends = "quick"
seeds = [1]
images = 1
order = [["T"]]
[trainings.trunk]
stage = "soft"
steps = 3
learning_rate = 5e-4
final_learning_rate = 5e-4
[gradients]
after = ["T", "soft"]
networks = ["N"]
[[cells]]
row = "T"
name = "soft"
networks = ["N"]
surrogates = ["scaled-noise"]
objective = "mse"
training = "trunk"
[[cells]]
row = "T"
name = "hard"
after = ["T", "soft"]
training = "c"
"""


ALL_ROWS = (3 + 3) * 2 * 3 + 3 * 2 * 2 + (1 + 2 * 3)


@pytest.fixture
def ablate(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Starts the small study on drawn crops and photographs, as a user would."""
    for folder, side in (("crops", 256), ("photographs", 192)):
        (tmp_path / folder).mkdir()
        for seed in range(4):
            Image.fromarray(photograph(side, side, seed)).save(tmp_path / folder / f"{seed}.png")

    def start(text: str = SMALL_STUDY, train_only: bool = False, *more: str) -> subprocess.Popen[bytes]:
        (tmp_path / "mine.toml").write_text(text)
        words = ["ablate", "mine.toml", "--data", "crops", "--out", "out", *more]
        words += ["--train-only"] if train_only else ["--images", "photographs"]
        with (tmp_path / "said.txt").open("wb") as said:
            return subprocess.Popen(
                [sys.executable, "-m", "harness", *words], cwd=tmp_path, stdout=said, stderr=subprocess.STDOUT
            )

    return start


def rows_of(folder: Path) -> list[RunRow]:
    return [dataclasses.replace(row, seconds=0.0) for row in read_runs(folder / "runs.csv")]


@pytest.mark.slow
def test_a_study_that_was_killed_gives_the_rows_of_an_unbroken_one(
    ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert ablate().wait() == 0
    whole = rows_of(tmp_path / "out")
    assert len(whole) == ALL_ROWS
    joint = [(row.image, row.mode) for row in whole if row.network == "J"]
    assert [image for image, mode in joint if mode == "coded"] == ["0"]
    assert {mode for image, mode in joint if image == "1"} == {"hard", "hard-centred", "training"}
    (tmp_path / "out").rename(tmp_path / "whole")
    moment = random.Random(5)
    for _ in range(4):
        process = ablate()
        time.sleep(moment.uniform(4, 12))
        process.kill()
        process.wait()
    assert ablate().wait() == 0
    assert rows_of(tmp_path / "out") == whole


@pytest.mark.slow
def test_what_is_trained_is_coded_in_a_further_way_without_training_again(
    ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    assert ablate(SMALL_STUDY.replace('skip_uncoded = ["off", "on"]', "")).wait() == 0
    first = read_runs(tmp_path / "out" / "runs.csv")
    left = {
        path: path.stat().st_mtime_ns
        for part in ("networks", "training")
        for path in (tmp_path / "out" / part).rglob("*")
    }
    streams = set((tmp_path / "out" / "streams").glob("*/*"))
    assert {row.skip_uncoded for row in first} == {"off"}
    assert ablate().wait() == 0
    rows = read_runs(tmp_path / "out" / "runs.csv")
    assert len(rows) == ALL_ROWS and [row for row in rows if row.skip_uncoded == "off"] == first
    further = [row for row in rows if row.skip_uncoded == "on"]
    assert {(row.cell, row.mode) for row in further} == {("N hard", "coded"), ("N hard", "hard")}
    assert {path: path.stat().st_mtime_ns for path in left} == left
    assert streams < set((tmp_path / "out" / "streams").glob("*/*"))


@pytest.mark.slow
def test_networks_that_were_trained_elsewhere_are_coded_here(
    ablate: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    for _ in range(2):  # the second time there is nothing to do
        assert ablate(train_only=True).wait() == 0
        trained = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/networks").iterdir()}
        assert len(trained) == 3 and not list((tmp_path / "out").glob("*.csv"))
        assert not list((tmp_path / "out/training").rglob("*.safetensors"))
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere/networks").rename(tmp_path / "out/networks")
    assert ablate().wait() == 0
    assert len(rows_of(tmp_path / "out")) == ALL_ROWS
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out/networks").iterdir()} == trained
    assert not (tmp_path / "out/training").exists()
