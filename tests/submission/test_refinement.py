"""Refinement of latents: cheaper streams that the unchanged decoder reads, repeatable, and a plan that ends."""

import hashlib
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

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
from submission.encoder import Latents, Prepared, analyse, encode_latent, encode_latents, latents_at
from submission.evidence.recorded import record
from submission.quantization.scale import SCALE_MIN, SCALE_STEP
from submission.refinement import (
    Goal,
    RateDistortion,
    expected_bits,
    log_odds,
    refine,
    relaxed_sample,
    rescaled,
    schedule,
    slope_between,
    tradeoff_at,
    walked,
)
from submission.refinement_plan import (
    COARSE,
    COPIES,
    DENSE,
    EFFORTS,
    FEW,
    LIFT,
    REACH,
    Cost,
    OperatingPoint,
    further,
    seconds,
)
from submission.refining_encoder import RefiningEncoder
from submission.training.export import decoder_arrays, restore_entropy

GAIN, GAINS = 16, 145
PHOTOGRAPH = Path(data_dir) / "coffee.png"
ODD = (181, 190)  # sides that are no multiple of anything


def encoder(context: str = "3d") -> RefiningEncoder:
    model, networks = small_model(context)
    return RefiningEncoder(model, 0, networks, restore_entropy(decoder_arrays(small_networks(context))), 5)


def as_image(pixels: np.ndarray) -> torch.Tensor:
    """(1, 3, H, W) in 0..1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    return load_rgb(PHOTOGRAPH)[:192, :208]


@pytest.fixture(scope="module")
def shipped() -> LearnedCodec:
    return LearnedCodec(effort="4")


def refined(pixels: np.ndarray, context: str, tradeoff: float, iterations: int) -> tuple[Latents, Latents]:
    """The latents of an image without and with refinement."""
    refining = encoder(context)
    prepared = refining.prepared(pixels)
    latents = latents_at(refining.encoder, prepared.analysed, GAIN)
    goal = Goal(as_image(pixels), tradeoff)
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
    prepared = refining.prepared(crop)
    near = [latents_at(shipped.networks, prepared.analysed, gain, shipped.number) for gain in (58, 70)]
    real, found = [], []
    for latents in near:
        stream, reconstruction = encode_latents(refining.model, latents)
        real.append((record(stream, shipped.models).bits, 1 - reference.score(reconstruction).msssim_competition))
        problem = RateDistortion(refining.networks, refining.model, as_image(crop), latents)
        found.append(problem.measure(walked(refining.model, latents, torch.device("cpu"))))
    np.testing.assert_allclose(found, real, rtol=0.01)
    expected = (real[1][0] - real[0][0]) / crop[:, :, 0].size / (real[0][1] - real[1][1])
    found_slope = slope_between(refining.networks, refining.model, as_image(crop), (near[0], near[1]))
    assert found_slope == pytest.approx(expected, rel=0.05)


def test_lambda_follows_an_images_own_slope_and_not_what_was_refined_before(
    shipped: LearnedCodec, crop: np.ndarray
) -> None:
    """What training says of lambda's growth from level to level is near what this photograph's streams say."""
    refining, image, reference = shipped.refining, as_image(crop), Reference(crop)
    prepared = refining.prepared(crop)
    forwards = {gain: refining.tradeoff(prepared, image, gain) for gain in (40, 72, 104)}
    prepared = refining.prepared(crop)
    assert {gain: refining.tradeoff(prepared, image, gain) for gain in reversed(forwards)} == forwards
    for gain, tradeoff in forwards.items():
        real = []
        for near in (gain - 6, gain + 6):
            encoding = shipped.encode(prepared, str(near))
            distortion = 1 - reference.score(encoding.pixels).msssim_competition
            real.append((8 * len(encoding.stream) / crop[:, :, 0].size, distortion))
        assert tradeoff == pytest.approx((real[1][0] - real[0][0]) / (real[0][1] - real[1][1]), rel=0.35)
    assert tradeoff_at(1.0, 16) == pytest.approx(200 ** (1 / 7)) and tradeoff_at(1.0, 500) == 200


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
codec = LearnedCodec(effort="4")
print(hashlib.sha256(codec.encode(codec.prepare(pixels), "96@96").stream).hexdigest())
print([name for name in sys.modules if name.startswith(("compressai", "submission.training.t"))])
"""


def test_the_codec_refines_by_effort_and_two_runs_give_the_same_bytes(shipped: LearnedCodec, crop: np.ndarray) -> None:
    plain, refining = LearnedCodec(effort="0"), shipped
    assert refining.config()["codec"] == "clic"
    assert "submission/refinement.py" in refining.config()["files"].keys() - plain.config()["files"].keys()
    unrefined = plain.encode(plain.prepare(crop), "96")
    stream, reconstruction = encode_latent(
        plain.networks, plain.models[plain.number], analyse(plain.networks, crop), 96, plain.number
    )
    assert unrefined.stream == stream and np.array_equal(unrefined.pixels, reconstruction)
    prepared = refining.prepare(crop)
    same, encoding, copy = (refining.encode(prepared, point) for point in ("96", "96@96", "94@96"))
    assert same.stream == stream and np.array_equal(same.pixels, reconstruction)
    for coded, gain in ((encoding, 96), (copy, 94)):
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
    prepared = refining.prepared(pixels)
    latents = refining.latents(prepared, GAIN, GAIN)
    assert not latents.header.refined and torch.equal(
        latents.latent, latents_at(refining.encoder, prepared.analysed, GAIN).latent
    )


def test_an_estimate_of_time_comes_from_a_few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock on which an iteration takes 2 seconds, what a refinement takes beside them 3, the slope of an image
    that was not refined before 4, and a candidate 1."""
    clock, refining = [0.0], encoder()

    def passes(seconds: float) -> None:
        clock[0] += seconds

    monkeypatch.setattr("submission.refining_encoder.time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr("submission.refining_encoder.encode_latents", lambda model, latents: passes(1))

    def refined(prepared: Prepared, gain: int, iterations: int) -> None:
        passes(3 + 2 * iterations + 4 * (prepared.slope is None))
        prepared.slope = 1.0

    monkeypatch.setattr(refining, "refined", refined)
    megapixels = ODD[0] * ODD[1] / 1e6
    assert refining.cost(photograph(*ODD), GAIN) == Cost(
        *(pytest.approx(seconds / megapixels) for seconds in (2, 3, 4, 1))
    )


BASE = tuple(OperatingPoint(gain) for gain in range(0, GAINS, 8))
unrefined = st.sampled_from(BASE)
choices = st.dictionaries(st.sampled_from("abcdefghijkl"), st.lists(unrefined, min_size=1, max_size=3))


@given(choices, st.booleans())
def test_nothing_is_asked_for_twice_and_all_choices_are_served(
    chosen: dict[str, list[OperatingPoint]], refines: bool
) -> None:
    """A choice that stays where it is has its neighbours in the end, or what was refined for it."""
    coded = {image: list(BASE) for image in chosen}
    for _ in range(10):
        plan = further(chosen, coded, GAINS, refines)
        if not plan:
            break
        for image, points in plan.items():
            assert points and len(set(points)) == len(points) and not set(points) & set(coded[image])
            assert all(0 <= point.gain < GAINS for point in points)
            coded[image] += points
    assert further(chosen, coded, GAINS, refines) == {}
    for image, points in chosen.items():
        gains = {point.gain for point in coded[image] if point.refined_at is None}
        refined = {point.refined_at for point in coded[image] if point.refined_at is not None}
        for point in points:
            if refines:
                wanted = min(point.gain + LIFT, GAINS - 1)
                assert min(abs(wanted - gain) for gain in refined) <= REACH
                assert {OperatingPoint(gain, gain) for gain in refined} <= set(coded[image])
            else:
                near = (point.gain + offset for offset in (DENSE if len(coded) <= FEW else (-COARSE, COARSE)))
                assert {gain for gain in near if 0 <= gain < GAINS} <= gains
                assert not refined


def test_a_refined_gain_precedes_its_copies_and_serves_what_is_near() -> None:
    at = OperatingPoint
    coded = [*BASE, at(52), at(60)]
    many = {str(number): coded for number in range(FEW + 1)}
    asked = further({"0": [at(56)]}, many, GAINS, True)
    assert asked == {"0": [at(58, 58), *(at(58 + offset, 58) for offset in COPIES)]}
    after = many | {"0": [*coded, *asked["0"]]}
    assert further({"0": [at(56, 58)]}, after, GAINS, True) == {}
    assert further({"0": [at(62, 58)]}, after, GAINS, True)["0"][0] == at(62, 62)
    few = further({"0": [at(56)]}, {"0": coded}, GAINS, True)["0"]
    assert {point.gain for point in few} == set(range(52, 65)) and few[0] == at(58, 58)


def test_an_image_is_refined_twice_a_rate_at_most() -> None:
    at = OperatingPoint
    coded = [*BASE, at(52), at(60)]
    for gain in (58, 80):
        coded.append(at(gain, gain))
    assert further({"a": [at(120, 116)]}, {"a": coded}, GAINS, True) == {}
    assert further({"a": [at(120, 116), at(56)]}, {"a": coded}, GAINS, True) != {}


@given(st.integers(0, 200), st.none() | st.integers(0, 200))
def test_operating_points_have_one_spelling(gain: int, refined_at: int | None) -> None:
    point = OperatingPoint(gain, refined_at)
    assert OperatingPoint.parse(str(point)) == point
    assert ("@" in str(point)) == (refined_at is not None)


@pytest.mark.parametrize("text", ["", "-4", "56@", "@56", "5.6", "56@54@52", "٥٦", "56 "])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(ClicError, match="no operating point"):
        OperatingPoint.parse(text)


@pytest.mark.parametrize("effort", ["-1", str(len(EFFORTS)), "05", "x", "٥"])
def test_other_efforts_are_refused(effort: str) -> None:
    with pytest.raises(ClicError, match=f"no effort '{effort}'"):
        open_codec(f"clic,effort={effort}")


def test_seconds_are_those_of_refinements_and_of_candidates() -> None:
    points = list(map(OperatingPoint.parse, ("60", "60@60", "58@60", "90@90")))
    found = seconds(points, 10, Cost(iteration=0.5, refinement=1.0, slope=2.0, candidate=0.2))
    assert found == pytest.approx([0.2, 8.2, 0.2, 6.2])


def test_the_codec_says_what_further_points_take(shipped: LearnedCodec, crop: np.ndarray) -> None:
    plain, refined, copy = shipped.seconds(crop, ["60", "60@60", "58@60"])
    assert refined > 2 * copy == 2 * plain > 0
    asked = LearnedCodec(effort="0").further({"a": ["56"]}, {"a": ["48", "56", "64"]})
    assert asked == {"a": ["52", "60"]}
    assert shipped.further({"a": ["56"]}, {"a": ["48", "56", "64"]})["a"][0] == "58@58"
    assert "effort=0" in shipped.about_further() and "20 iterations" in shipped.about_further()
    assert shipped.points() == LearnedCodec(effort="0").points()
