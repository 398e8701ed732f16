"""Refinement of latents: cheaper streams that the unchanged decoder reads, repeatable, and a plan that ends."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from skimage import data_dir
from small_model import photograph, small_model, small_networks

from decoder.bitstream import read_header
from decoder.context import CONTEXTS
from decoder.image import decode_image
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.images import load_rgb
from harness.scores.msssim import Reference
from submission.codec import LearnedCodec
from submission.encoder import Latents, analyse, encode_latent, encode_latents, latents_at
from submission.evidence.recorded import record
from submission.quantization.scale import SCALE_MIN, SCALE_STEP
from submission.refinement import (
    Goal,
    RateDistortion,
    Schedule,
    expected_bits,
    local_tradeoff,
    log_odds,
    refine,
    relaxed_sample,
    rescaled,
    schedule,
    walked,
)
from submission.refinement_plan import (
    COPIES,
    EFFORTS,
    REACH,
    Cost,
    OperatingPoint,
    Workforce,
    estimated_seconds,
    larger_budget,
    refinements,
)
from submission.refining_encoder import RefiningEncoder
from submission.training.export import decoder_arrays, restore_entropy

GAIN, GAINS = 16, 145
PHOTOGRAPH = Path(data_dir) / "coffee.png"
ODD = (181, 190)  # sides that are no multiple of anything


def encoder(context: str = "3d") -> RefiningEncoder:
    model, networks = small_model(context)
    return RefiningEncoder(model, 0, networks, restore_entropy(decoder_arrays(small_networks(context))))


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    return load_rgb(PHOTOGRAPH)[:192, :208]


@pytest.fixture(scope="module")
def shipped() -> LearnedCodec:
    return LearnedCodec(effort="1")


def refined(pixels: np.ndarray, context: str, tradeoff: float, iterations: int) -> tuple[Latents, Latents]:
    """The latents of an image without and with refinement."""
    refining = encoder(context)
    prepared = refining.prepare(pixels)
    latents = latents_at(refining.encoder, prepared.analysed, GAIN)
    goal = Goal(prepared.image, tradeoff)
    return latents, refine(refining.networks, refining.model, latents, goal, schedule(iterations))


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_real_bits_and_similarity_improve_and_the_decoder_agrees(context: str) -> None:
    (model, _), pixels, tradeoff = small_model(context), photograph(*ODD), 5.0
    reference, costs, streams = Reference(pixels), [], []
    for latents in refined(pixels, context, tradeoff, 12):
        stream, reconstruction = encode_latents(model, latents)
        assert np.array_equal(decode_image(stream, {0: model}), reconstruction)
        distortion = 1 - reference.score(reconstruction).msssim_competition
        costs.append(8 * len(stream) + tradeoff * pixels[:, :, 0].size * distortion)
        streams.append(stream)
    assert costs[1] < 0.99 * costs[0]
    assert [read_header(stream)[0].refined for stream in streams] == [False, True]
    plain, better = (record(stream, {0: model}) for stream in streams)
    assert np.array_equal(plain.hyper, better.hyper) and not np.array_equal(plain.symbols, better.symbols)


def test_what_does_not_improve_stays_as_it_is() -> None:
    """Steps far too long only make the latent worse."""
    refining = encoder()
    prepared = refining.prepare(photograph(*ODD))
    latents = latents_at(refining.encoder, prepared.analysed, GAIN)
    wild = Schedule(3, learning_rate=50.0)
    assert refine(refining.networks, refining.model, latents, Goal(prepared.image, 5.0), wild) is latents


def bits_by_definition(residual: np.ndarray, index: np.ndarray, temperature: float) -> np.ndarray:
    """Expected bits of Gaussians in float64, written down anew."""
    scale, below = SCALE_MIN * np.exp(SCALE_STEP * index), np.floor(residual)
    low, high = (
        -np.log2(ndtr((0.5 - np.abs(k)) / scale) - ndtr((-0.5 - np.abs(k)) / scale)) for k in (below, below + 1)
    )
    fraction = residual - below
    above = 1 / (1 + np.exp((np.arctanh(1 - fraction) - np.arctanh(fraction)) / temperature))
    return (1 - above) * low + above * high


def test_gradient_of_the_expected_bits_is_their_finite_difference() -> None:
    rng, temperature, step = np.random.default_rng(3), 0.4, 1e-5
    residual, index = rng.integers(-3, 3, 400) + rng.uniform(0.02, 0.98, 400), rng.uniform(16, 40, 400)
    inputs = [torch.tensor(values, dtype=torch.float32, requires_grad=True) for values in (residual, index)]
    bits = expected_bits(*log_odds(inputs[0], temperature), inputs[1])
    found = [gradient.numpy() for gradient in torch.autograd.grad(bits.sum(), inputs)]
    np.testing.assert_allclose(bits.detach(), bits_by_definition(residual, index, temperature), rtol=1e-3, atol=1e-3)
    for gradient, (dr, di) in zip(found, ((step, 0), (0, step)), strict=True):
        higher, lower = (bits_by_definition(residual + s * dr, index + s * di, temperature) for s in (1, -1))
        np.testing.assert_allclose(gradient, (higher - lower) / (2 * step), rtol=1e-2, atol=1e-2)


def test_samples_lie_between_two_integers_and_choose_the_upper_one_by_its_odds() -> None:
    residual = torch.linspace(-2.99, 2.99, 24).repeat(4000, 1)
    below, odds = log_odds(residual, 0.4)
    sample = relaxed_sample(below, odds, 0.4, torch.Generator().manual_seed(1))
    assert ((below <= sample) & (sample <= below + 1)).all() and ((below <= residual) & (residual <= below + 1)).all()
    chosen = (sample - below > 0.5).float().mean(dim=0)
    torch.testing.assert_close(chosen, odds[0].sigmoid(), rtol=0, atol=0.03)


def test_rate_distortion_and_lambda_are_those_of_real_streams(shipped: LearnedCodec, crop: np.ndarray) -> None:
    refining, reference = shipped.refining, Reference(crop)
    prepared = refining.prepare(crop)
    near = [latents_at(shipped.networks, prepared.analysed, gain) for gain in (58, 70)]
    real, found = [], []
    for latents in near:
        stream, reconstruction = encode_latents(refining.model, latents)
        real.append((record(stream, shipped.models).bits, 1 - reference.score(reconstruction).msssim_competition))
        problem = RateDistortion(refining.networks, refining.model, prepared.image, latents)
        found.append(problem.measure(walked(refining.model, latents, prepared.image.device)))
    np.testing.assert_allclose(found, real, rtol=0.01)
    slope = (real[1][0] - real[0][0]) / crop[:, :, 0].size / (real[0][1] - real[1][1])
    found_slope = local_tradeoff(refining.networks, refining.model, prepared.image, (near[0], near[1]))
    assert found_slope == pytest.approx(slope, rel=0.05)


def test_scaled_copies_have_the_hyper_latent_of_their_gain() -> None:
    model, networks = small_model()
    pixels = photograph(*ODD)
    _, found = refined(pixels, "3d", 5.0, 5)
    analysed = analyse(networks, pixels)
    copy = rescaled(networks, analysed, found, GAIN + 4)
    assert np.array_equal(copy.hyper, latents_at(networks, analysed, GAIN + 4).hyper)
    assert copy.header.gain == GAIN + 4 and copy.header.refined
    torch.testing.assert_close(rescaled(networks, analysed, copy, GAIN).latent, found.latent)
    stream, reconstruction = encode_latents(model, copy)
    assert np.array_equal(decode_image(stream, {0: model}), reconstruction)


PROGRAM = """
import hashlib, sys
from pathlib import Path
from harness.images import load_rgb
from submission.codec import LearnedCodec
pixels = load_rgb(Path(sys.argv[1]))[:192, :208]
codec = LearnedCodec(effort="1")
print(hashlib.sha256(codec.encode(codec.prepare(pixels), "64").stream).hexdigest())
print([name for name in sys.modules if name.startswith(("compressai", "submission.training.t"))])
"""


def test_the_codec_refines_by_effort_and_two_runs_give_the_same_bytes(shipped: LearnedCodec, crop: np.ndarray) -> None:
    plain, refining = LearnedCodec(), shipped
    assert plain.config()["codec"] == "clic" and refining.config()["codec"] == "clic,effort=1"
    assert "submission/refinement.py" in refining.config()["files"].keys() - plain.config()["files"].keys()
    unrefined = plain.encode(plain.prepare(crop), "64")
    stream, reconstruction = encode_latent(plain.networks, plain.models[0], analyse(plain.networks, crop), 64)
    assert unrefined.stream == stream and np.array_equal(unrefined.pixels, reconstruction)
    prepared = refining.prepare(crop)
    encoding, copy = (refining.encode(prepared, point) for point in ("64", "62@64"))
    for coded, gain in ((encoding, 64), (copy, 62)):
        header, _ = read_header(coded.stream)
        assert header.refined and header.gain == gain
        assert np.array_equal(plain.decode(coded.stream), coded.pixels)
    assert len(copy.stream) < len(encoding.stream) < len(stream)
    for codec, point in ((plain, "62@64"), (plain, "145"), (refining, "64@145")):
        with pytest.raises(ClicError, match=f"operating point '{point}'"):
            codec.encode(codec.prepare(crop), point)
    again = subprocess.run([sys.executable, "-c", PROGRAM, PHOTOGRAPH], capture_output=True, text=True, check=True)
    assert again.stdout.splitlines() == [hashlib.sha256(encoding.stream).hexdigest(), "[]"]  # and loads no training


def test_images_too_small_for_the_loss_stay_unrefined() -> None:
    refining, pixels = encoder(), photograph(40, 300)
    prepared = refining.prepare(pixels)
    latents = refining.latents(prepared, OperatingPoint.parse("16"), 5)
    assert not latents.header.refined and torch.equal(
        latents.latent, latents_at(refining.encoder, prepared.analysed, GAIN).latent
    )


def test_an_estimate_of_time_comes_from_a_few_iterations() -> None:
    cost = encoder().cost(photograph(*ODD), GAIN)
    assert cost.iteration > 0 and cost.candidate > 0 and cost.refinement >= 0


points = st.integers(0, GAINS - 1).map(lambda gain: OperatingPoint(gain, gain))
choices = st.lists(st.tuples(st.sampled_from("abc"), points))


@given(choices, choices)
def test_a_plan_serves_every_choice_and_is_done_when_it_has_been_coded(
    chosen: list[tuple[str, OperatingPoint]], before: list[tuple[str, OperatingPoint]]
) -> None:
    done: dict[str, set[int]] = {}
    for image, point in before:
        done.setdefault(image, set()).add(point.gain)
    plan = refinements(chosen, done, GAINS)
    for image, coded in plan.items():
        fresh = {point.refined_at for point in coded}
        assert not fresh & done.get(image, set()) and len(coded) == len(set(coded))
        assert all(0 <= point.gain < GAINS and point.gain - point.refined_at in (0, *COPIES) for point in coded)
        assert {point.gain for point in coded if point.gain == point.refined_at} == fresh
        done.setdefault(image, set()).update(fresh)
    for image, point in chosen:
        assert min(abs(point.gain - gain) for gain in done[image]) <= REACH
    assert refinements(chosen, done, GAINS) == {}


@given(st.integers(0, 200), st.integers(0, 200))
def test_operating_points_have_one_spelling(gain: int, refined_at: int) -> None:
    point = OperatingPoint(gain, refined_at)
    assert OperatingPoint.parse(str(point)) == point
    assert ("@" in str(point)) == (gain != refined_at)


@pytest.mark.parametrize("text", ["", "-4", "56@", "@56", "5.6", "56@54@52", "٥٦", "56 "])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ClicError, match="no operating point"):
        OperatingPoint.parse(text)


@pytest.mark.parametrize("effort", ["-1", str(len(EFFORTS)), "05", "x", "٥"])
def test_other_efforts_are_refused(effort: str) -> None:
    with pytest.raises(ClicError, match=f"no effort '{effort}'"):
        open_codec(f"clic,effort={effort}")


def test_time_is_shared_by_processes_but_an_image_is_not() -> None:
    plan = refinements([(image, OperatingPoint(60, 60)) for image in "abc"], {}, GAINS)
    megapixels, cost = {"a": 1.0, "b": 1.0, "c": 2.0}, Cost(iteration=0.5, refinement=1.0, candidate=0.2)
    one = 10 * 0.5 + 1.0 + 5 * 0.2
    assert estimated_seconds(plan, megapixels, cost, Workforce(10, 1)) == pytest.approx(4 * one)
    assert estimated_seconds(plan, megapixels, cost, Workforce(10, 2)) == pytest.approx(2 * one)
    assert estimated_seconds(plan, megapixels, cost, Workforce(10, 8)) == pytest.approx(2 * one)
    assert estimated_seconds({}, megapixels, cost, Workforce(10, 2)) == 0
    assert larger_budget(94_000) == 100_000
