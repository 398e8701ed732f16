"""Surrogates: what each promises of its values and gradients, and that a planted fault breaks a promise."""

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import ARCHITECTURE
from torch import Tensor

from decoder.context import CONTEXTS, ContextModel, checkerboard
from submission.networks.entropy import gaussian_bits
from submission.networks.model import CodecNetworks
from submission.quantization.annealing import Gumbel, SoftRounding, soft_round, soft_round_inverse, temperature_at
from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer, Seen, uniform_like
from submission.quantization.registry import QUANTIZERS, open_quantizer
from submission.quantization.scale import SCALE_MIN, SCALE_STEP, lower_bound, scale_of_index
from submission.quantization.settings import CODED, Quantization
from submission.quantization.surrogates import (
    Hard,
    Mixed,
    Noise,
    Scaled,
    ScaledNoise,
    Skipping,
    StraightThrough,
    Universal,
)
from submission.quantization.uniform_annealing import UniformAnnealingA, UniformAnnealingB, UniformAnnealingC

DRAWS = 1_000_000
ALL = [kind() for kind in QUANTIZERS.values()]
UNIT = [quantizer for quantizer in ALL if quantizer.unit_slope]
OTHERS = [quantizer for quantizer in ALL if not quantizer.unit_slope and not isinstance(quantizer, Hard)]
IDS = {"ids": lambda value: type(value).__name__}


def generator(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def values(seed: int = 2, *shape: int) -> Tensor:
    """Of a latent, with every kind of place in a bin."""
    return 6 * torch.randn(shape or (2, 3, 40, 50), generator=generator(seed))


def bit_equal(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


def gradients(quantizer: Quantizer, value: Tensor, draw: Tensor) -> tuple[Seen, list[Tensor]]:
    """What is seen, and the gradients of weighted sums of either side."""
    leaf = value.clone().requires_grad_()
    seen = quantizer(leaf, draw)
    weight = torch.randn(value.shape, generator=generator(3))
    found = []
    for side in (seen.synthesis, seen.rate):
        if side.requires_grad:
            found += torch.autograd.grad((weight * side).sum(), leaf, retain_graph=True)
        else:
            found.append(torch.zeros_like(leaf))
    return seen, found


def check_same(first: Quantizer, second: Quantizer) -> None:
    value = values()
    draw = uniform_like(value, generator())
    (seen, grads), (other, other_grads) = (gradients(quantizer, value, draw) for quantizer in (first, second))
    assert bit_equal(seen.synthesis, other.synthesis) and bit_equal(seen.rate, other.rate)
    assert all(bit_equal(a, b) for a, b in zip(grads, other_grads, strict=True))


# What every one of them promises.


@pytest.mark.parametrize("quantizer", ALL, **IDS)
def test_all_are_pure_and_keep_the_shape(quantizer: Quantizer) -> None:
    value = values()
    draw, kept = uniform_like(value, generator()), value.clone()
    first, second = quantizer(value, draw, 0.3), quantizer(value, draw, 0.3)
    for side, again in zip(first[:2], second[:2], strict=True):
        assert bit_equal(side, again) and side.shape == value.shape and side.isfinite().all()
    assert bit_equal(value, kept)


@pytest.mark.parametrize("quantizer", ALL, **IDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
def test_other_precisions_are_refused(quantizer: Quantizer, dtype: torch.dtype) -> None:
    value = values()
    with pytest.raises(TypeError, match="float32"):
        quantizer(value.to(dtype), uniform_like(value, generator()))
    with pytest.raises(TypeError, match="float32"):
        quantizer(value, uniform_like(value, generator()).to(dtype))


@pytest.mark.parametrize("quantizer", [q for q in ALL if not isinstance(q, Hard)], **IDS)
def test_slopes_are_what_they_are_said_to_be(quantizer: Quantizer) -> None:
    value = values()
    _, (synthesis, rate) = gradients(quantizer, value, uniform_like(value, generator()))
    weight = torch.randn(value.shape, generator=generator(3))
    assert bit_equal(synthesis, weight) == quantizer.unit_slope
    assert synthesis.isfinite().all() and rate.isfinite().all()


def test_draws_are_the_same_for_all_of_one_seed_and_shape() -> None:
    """Also where one quantiser makes no use of them: the next one's noise is the same."""
    networks = CodecNetworks(ARCHITECTURE).eval()
    image = torch.rand(1, 3, 64, 64, generator=generator())
    seen = []

    @dataclass(frozen=True)
    class Listening(Noise):
        def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
            seen.append(draw)
            return super().see(value, draw, progress)

    for other in (Noise(), Hard(), StraightThrough(), UniformAnnealingC()):
        with torch.no_grad():
            networks(image, torch.tensor([1]), Quantization(Listening(), other, other), generator(7))
    assert len(seen) == 4 and all(bit_equal(draw, seen[0]) for draw in seen)


def test_draws_keep_the_layout_and_so_the_order_of_the_numbers() -> None:
    value = values().contiguous(memory_format=torch.channels_last)
    torch.manual_seed(5)
    assert bit_equal(uniform_like(value, generator(5)), torch.rand_like(value))


# What each of them promises.


def test_hard_is_rounding_without_gradient() -> None:
    value = values().requires_grad_()
    seen = Hard()(value, uniform_like(value, generator()))
    assert bit_equal(seen.synthesis, value.detach().round()) and seen.rate is seen.synthesis
    assert not seen.synthesis.requires_grad


def test_noise_has_the_finite_difference_as_its_mean_gradient() -> None:
    """Of a quartic l the mean of l'(y + u) is l(y + 1/2) - l(y - 1/2)."""

    def loss(x: Tensor) -> Tensor:
        return 0.3 * x**4 - x**3 + 0.5 * x

    def mean_gradient(at: float, draw: Tensor) -> Tensor:
        leaf = torch.full(draw.shape, at).requires_grad_()
        (found,) = torch.autograd.grad(loss(Noise()(leaf, draw).synthesis).sum(), leaf)
        return found.double()

    nodes, weights = map(torch.from_numpy, np.polynomial.legendre.leggauss(8))
    for at in (-1.3, -0.5, 0.0, 0.2, 0.9):
        exact = float(loss(torch.tensor(at + 0.5, dtype=torch.float64)) - loss(torch.tensor(at - 0.5).double()))
        drawn = mean_gradient(at, torch.rand(DRAWS, generator=generator()))
        assert abs(float(drawn.mean()) - exact) < 3 * float(drawn.std()) / DRAWS**0.5
        quadrature = float((weights / 2 * mean_gradient(at, ((nodes + 1) / 2).float())).sum())
        assert abs(quadrature - exact) < 1e-5


def check_mixed(mixed: Quantizer) -> None:
    value = values()
    draw = uniform_like(value, generator())
    seen = mixed(value, draw)
    assert bit_equal(seen.synthesis, Hard()(value, draw).synthesis)
    assert bit_equal(seen.rate, Noise()(value, draw).rate)


def test_mixed_is_hard_for_the_synthesis_and_noise_for_the_rate() -> None:
    check_mixed(Mixed())


def test_universal_is_rounding_of_a_shared_dither() -> None:
    value = values()
    draw = uniform_like(value, generator())
    seen = Universal()(value, draw).synthesis
    dither = draw[:, :1, :1, :1] - 0.5
    assert torch.allclose(seen + dither, (seen + dither).round(), atol=1e-5)
    error = (Universal(per_element=True)(value, draw).synthesis - value).abs()
    assert error.max() < 0.5 + 1e-5 and abs(float(error.square().mean()) - 1 / 12) < 2e-3


def check_uniform_annealing(kind: type[UniformAnnealingA]) -> None:
    check_same(kind(1.0, "split"), Noise())
    check_same(kind(0.0, "split"), Mixed())
    check_same(kind(0.0, "tied"), StraightThrough())
    value = values()
    _, (synthesis, _) = gradients(kind(0.25, "split"), value, uniform_like(value, generator()))
    assert bit_equal(synthesis, torch.randn(value.shape, generator=generator(3)))


def test_sua_a_lies_between_noise_and_mixed() -> None:
    check_uniform_annealing(UniformAnnealingA)


def test_sua_a_has_slope_t_only_where_it_is_tied() -> None:
    value = values()
    _, (synthesis, rate) = gradients(UniformAnnealingA(0.25, "tied", "true"), value, uniform_like(value, generator()))
    weight = torch.randn(value.shape, generator=generator(3))
    assert torch.allclose(synthesis, weight / 4) and torch.allclose(rate, weight / 4)
    with pytest.raises(ValueError, match="R \\+ t lambda D"):
        UniformAnnealingA(0.25, "split", "true")


def test_sua_b_rounds_up_as_often_as_its_ramp_says() -> None:
    for t in (0.25, 0.5, 1.0):
        for part in (0.05, 0.3, 0.45, 0.5, 0.6, 0.9):
            value = torch.full((DRAWS,), 3 + part)
            seen = UniformAnnealingB(t)(value, uniform_like(value, generator())).synthesis
            expected = min(1.0, max(0.0, 0.5 + (part - 0.5) / t))
            assert abs(float((seen == 4).float().mean()) - expected) < 0.002
            assert ((seen == 3) | (seen == 4)).all()


def test_the_ramp_of_sua_b_is_the_slope_of_its_mean() -> None:
    value = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9]).requires_grad_()
    seen = UniformAnnealingB(0.5, "tied", "ramp")(value, torch.full((5,), 0.5)).synthesis
    (slope,) = torch.autograd.grad(seen.sum(), value)
    assert slope.tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize("t", [0.25, 0.5, 0.75])
def test_mismatches_are_those_of_the_formulas(t: float) -> None:
    """Mean square of what the synthesis sees less round(v), for v spread evenly over its bin."""
    value = 2.5 + torch.rand(DRAWS, generator=generator(8))
    draw = uniform_like(value, generator())
    expected = {
        UniformAnnealingA(t): t**2 / 6,
        UniformAnnealingB(t): t / 4,
        UniformAnnealingC(t): t / 4 - t**2 / 12,
    }
    for quantizer, mismatch in expected.items():
        found = float((quantizer(value, draw).synthesis - value.round()).square().mean())
        assert found == pytest.approx(mismatch, rel=0.02)


def test_sua_c_ends_in_universal_quantisation() -> None:
    check_same(UniformAnnealingC(1.0, "tied"), Universal(per_element=True))


def test_scaled_noise_in_steps_of_one_is_noise() -> None:
    check_same(ScaledNoise(), Noise())
    check_same(Scaled(ScaledNoise(), torch.ones(2, 3, 40, 50)), Noise())


def test_a_step_makes_noise_as_wide_and_its_rate_that_of_a_bin_as_wide() -> None:
    value, step = values(), torch.rand(2, 3, 40, 50, generator=generator(4)) + 0.5
    seen = Scaled(ScaledNoise(), step)(value, uniform_like(value, generator()))
    assert bool(((seen.synthesis - value).abs() <= step / 2 + 1e-5).all()) and seen.width is step
    rounded = Scaled(Hard(), step)(value, uniform_like(value, generator())).synthesis
    assert bool(((rounded - value).abs() <= step / 2 + 1e-5).all())
    # Residual, scale and step times a: the rate stays. Here a = exp(10 SCALE_STEP), ten indices.
    index, factor = torch.full_like(value, 20.0), float(torch.tensor(10 * SCALE_STEP).exp())
    plain = gaussian_bits(seen.rate / 9, index, width=step)
    larger = gaussian_bits(factor * seen.rate / 9, index + 10, width=factor * step)
    assert torch.allclose(plain, larger, rtol=1e-3, atol=1e-4)


def test_networks_with_steps_of_their_own_are_trained_but_not_exported() -> None:
    from submission.training.export import decoder_arrays

    torch.manual_seed(1)
    networks = CodecNetworks(ARCHITECTURE, scaled=True)
    image = torch.rand(1, 3, 64, 64, generator=generator())
    output = networks(image, torch.tensor([1]), Quantization(ScaledNoise()), generator())
    (output.latent_bits.sum() + output.image.square().sum()).backward()
    assert networks.steps is not None and networks.steps.leave.weight.grad.abs().sum() > 0
    with torch.no_grad():
        plain = CodecNetworks(ARCHITECTURE)
        plain.load_state_dict({k: v for k, v in networks.state_dict().items() if not k.startswith("steps.")})
        for quantization in (Quantization(Noise()), CODED):  # at first all steps are 1
            first, second = (n(image, torch.tensor([1]), quantization, generator()) for n in (networks, plain))
            assert bit_equal(first.image, second.image) and bit_equal(first.latent_bits, second.latent_bits)
    with pytest.raises(ValueError, match="the decoder cannot"):
        decoder_arrays(networks)


@settings(max_examples=50, deadline=None)
@given(st.floats(-30, 30, width=32), st.floats(0.125, 8, width=32))
def test_soft_rounding_has_an_inverse_and_keeps_halves(at: float, alpha: float) -> None:
    value = torch.tensor([at, round(at), round(at) + 0.5])
    softened = soft_round(value, alpha)
    assert torch.allclose(softened[1:], value[1:], atol=1e-5)
    assert torch.allclose(soft_round_inverse(softened, alpha), value, atol=2e-3)
    assert torch.allclose(soft_round(-value, alpha), -softened, atol=1e-4)


def test_soft_rounding_goes_from_noise_to_rounding_and_has_the_slopes_of_the_paper() -> None:
    value = values()
    draw = uniform_like(value, generator())
    for side in SoftRounding(0.0)(value, draw)[:2]:
        assert torch.allclose(side, Noise()(value, draw).rate, atol=1e-6)
    away = ((value - value.floor() - 0.5).abs() > 0.2).float()
    assert float(((soft_round(value, 16.0) - value.round()) * away).abs().max()) < 0.01
    leaf = torch.tensor([2.5 + 1e-4, 3.0 + 1e-4]).requires_grad_()
    (slope,) = torch.autograd.grad(soft_round(leaf, 5.0).sum(), leaf)
    assert slope.tolist() == pytest.approx([2.534, 0.0674], abs=2e-3)


def test_gumbel_stays_between_its_integers_and_hardens() -> None:
    value = values()
    draw = uniform_like(value, generator())
    for temperature in (0.5, 0.1):
        seen = Gumbel(temperature)(value, draw).synthesis
        assert bool((seen >= value.floor()).all() and (seen <= value.ceil()).all())
    whole = value.round()
    assert bit_equal(Gumbel()(whole, draw).synthesis, whole)
    half = Gumbel()(torch.full((DRAWS,), 0.5), torch.rand(DRAWS, generator=generator())).synthesis
    assert abs(float(half.mean()) - 0.5) < 2e-3
    clear = (value - value.round()).abs() < 0.3
    assert float((Gumbel(0.05)(value, draw).synthesis - value.round())[clear].abs().mean()) < 0.01


# Temperatures and names.


def test_temperatures_are_constant_or_go_evenly_in_ratios() -> None:
    assert [temperature_at(0.5, p) for p in (0.0, 1.0)] == [0.5, 0.5]
    assert [temperature_at([1, 8], p) for p in (0, 1 / 3, 2 / 3, 1)] == pytest.approx([1, 2, 4, 8])
    value = values()
    draw = uniform_like(value, generator())
    annealed, last = UniformAnnealingA([1.0, 0.25]), UniformAnnealingA(0.25)
    assert bit_equal(annealed(value, draw, 1.0).synthesis, last(value, draw).synthesis)
    assert bit_equal(annealed(value, draw, 0.0).synthesis, Noise()(value, draw).synthesis)


@pytest.mark.parametrize("name", list(QUANTIZERS))
def test_every_name_opens_its_quantiser(name: str) -> None:
    assert open_quantizer(name) == open_quantizer({"name": name}) == QUANTIZERS[name]()
    assert inspect.getdoc(QUANTIZERS[name])


@pytest.mark.parametrize("name", ["sua-a", "sua-b", "sua-c"])
def test_reconstructions_are_said_to_be_ours(name: str) -> None:
    text = inspect.getdoc(QUANTIZERS[name]) or ""
    assert text.startswith(f"{name.upper()}, a reconstruction of ours")
    assert "our reconstructions" in (inspect.getdoc(Centring) or "")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"name": "sua-a", "temperature": 2}, "temperature is 2"),
        ({"name": "sua-a", "temperature": [1, 0]}, "temperature is"),
        ({"name": "sua-a", "temperature": "warm"}, "temperature is"),
        ({"name": "sua-a", "routing": "both"}, "routing is 'both'; give one of tied, split"),
        ({"name": "sua-c", "slope": "true"}, "slope is 'true'; give one of unit"),
        ({"name": "sua-b", "temperature": 0, "slope": "ramp"}, "above 0"),
        ({"name": "gumbel", "temperature": 0}, "temperature is 0"),
        ({"name": "soft-rounding", "alpha": 99}, "alpha is 99"),
        ({"name": "noise", "width": 1}, "has no setting 'width'"),
        ({"temperature": 1}, "quantiser None is not known"),
        ("sua", "quantiser 'sua' is not known; give one of hard, noise"),
    ],
)
def test_settings_that_cannot_be_are_refused(written: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        open_quantizer(written)
    assert message in str(error.value)


# Centring and gradients of the mean.


def mean_gradients(
    centring: Centring, quantizer: Quantizer, distortion: float = 1.0, rate: float = 1.0
) -> tuple[Tensor, Tensor, Seen]:
    """Gradients of y and of its mean from a distortion and from bits, and what was seen."""
    latent, mean = values(5, 2, 3, 8, 9).requires_grad_(), values(6, 2, 3, 8, 9).requires_grad_()
    seen = centring(quantizer, latent, mean, uniform_like(latent, generator()), 0.0)
    bits = gaussian_bits(seen.rate, torch.full_like(latent, 45.0)).sum()
    loss = distortion * (seen.synthesis - 1).square().sum() + rate * bits
    found = torch.autograd.grad(loss, (latent, mean), allow_unused=True) if loss.requires_grad else (None, None)
    of_latent, of_mean = (torch.zeros_like(latent) if gradient is None else gradient for gradient in found)
    return of_latent, of_mean, seen


@pytest.mark.parametrize("quantizer", ALL, **IDS)
@pytest.mark.parametrize("stop", ["psg-1", "psg-3"])
def test_stop_gradients_change_no_number(quantizer: Quantizer, stop: Any) -> None:
    for zero_centre in (True, False):
        plain = mean_gradients(Centring(zero_centre), quantizer)[2]
        stopped = mean_gradients(Centring(zero_centre, stop), quantizer)[2]
        assert bit_equal(plain.synthesis, stopped.synthesis) and bit_equal(plain.rate, stopped.rate)


def check_psg(centring: Centring) -> None:
    for quantizer in UNIT + OTHERS:
        assert not mean_gradients(centring, quantizer, rate=0)[1].any()
        assert mean_gradients(centring, quantizer, distortion=0)[1].any()
    for quantizer in OTHERS:
        assert mean_gradients(Centring(), quantizer, rate=0)[1].any()


def test_psg_1_keeps_the_distortion_from_the_mean() -> None:
    check_psg(Centring(stop_gradient="psg-1"))


@pytest.mark.parametrize("quantizer", UNIT, **IDS)
@pytest.mark.parametrize("stop", ["psg-1", "psg-3"])
def test_with_unit_slope_psg_is_none_bit_for_bit(quantizer: Quantizer, stop: Any) -> None:
    plain, stopped = (mean_gradients(Centring(stop_gradient=kind), quantizer) for kind in ("none", stop))
    assert bit_equal(plain[0], stopped[0]) and bit_equal(plain[1], stopped[1])


def test_psg_3_stops_what_the_context_sees_and_psg_1_does_not() -> None:
    torch.manual_seed(1)
    networks = CodecNetworks(ARCHITECTURE)
    image = torch.rand(1, 3, 64, 64, generator=generator())
    found: dict[str, Tensor] = {}
    for stop in ("none", "psg-1", "psg-3"):
        quantization = Quantization(Noise(), centring=Centring(stop_gradient=stop))  # type: ignore[arg-type]
        output = networks(image, torch.tensor([1]), quantization, generator())
        (found[stop],) = torch.autograd.grad(output.latent_bits.sum(), networks.log_gain)
    assert bit_equal(found["none"], found["psg-1"]) and not torch.allclose(found["none"], found["psg-3"])


def test_without_zero_centre_the_mean_is_only_the_rates() -> None:
    centring = Centring(zero_centre=False)
    for quantizer in ALL:
        assert not mean_gradients(centring, quantizer, rate=0)[1].any()
    latent, mean = values(5), values(6)
    draw = uniform_like(latent, generator())
    seen = centring(StraightThrough(), latent, mean, draw, 0.0)
    assert bit_equal(seen.synthesis, latent.round()) and bit_equal(seen.rate, latent.round() - mean)


def test_noise_is_the_same_with_and_without_zero_centre() -> None:
    on, off = (mean_gradients(Centring(centred), Noise()) for centred in (True, False))
    assert torch.allclose(on[2].synthesis, off[2].synthesis, atol=1e-5)
    assert torch.allclose(on[2].rate, off[2].rate, atol=1e-5)
    assert torch.allclose(on[0], off[0], atol=1e-4) and torch.allclose(on[1], off[1], atol=1e-4)


def test_the_mean_gradient_is_none_through_rounding_and_one_with_the_symbol_held() -> None:
    through, true = Centring(), Centring(mean_gradient="true")
    assert not mean_gradients(through, StraightThrough(), rate=0)[1].any()
    of_latent, of_mean, seen = mean_gradients(true, StraightThrough(), rate=0)
    assert not of_latent.any() and bit_equal(of_mean, 2 * (seen.synthesis.detach() - 1))
    rates = [mean_gradients(centring, StraightThrough(), distortion=0)[1] for centring in (through, true)]
    assert bit_equal(*rates) and rates[0].any()
    assert bit_equal(seen.synthesis, mean_gradients(through, StraightThrough())[2].synthesis)


def test_elements_that_are_not_coded_are_their_mean() -> None:
    latent, mean = values(5), values(6).requires_grad_()
    coded = torch.rand(latent.shape, generator=generator()) < 0.5
    draw = uniform_like(latent, generator())
    seen = Centring()(Skipping(StraightThrough(), coded), latent, mean, draw, 0.0)
    assert bit_equal(seen.synthesis[~coded], mean[~coded]) and not seen.rate[~coded].any()
    (gradient,) = torch.autograd.grad(seen.synthesis.sum(), mean)
    assert bit_equal(gradient, (~coded).float())


# The scale.


def test_scales_are_bounded_and_gradients_may_raise_them() -> None:
    index = torch.linspace(-40, 90, 200)
    for bound in (0.04, 0.08, SCALE_MIN, 0.2):
        scale = scale_of_index(index, bound)
        assert float(scale.min()) == pytest.approx(bound, rel=1e-5) and float(scale.max()) == pytest.approx(
            60, rel=1e-4
        )
    low = torch.tensor([-1.0, -1.0, 1.0, 1.0]).requires_grad_()
    (gradient,) = torch.autograd.grad((lower_bound(low, 0.0) * torch.tensor([1.0, -1.0, 1.0, -1.0])).sum(), low)
    assert gradient.tolist() == [0, -1, 1, -1]


def check_precision_of_bits(bits: Any) -> None:
    value, index = values(), torch.full((2, 3, 40, 50), 9.0)
    for first, second in ((value.bfloat16(), index), (value, index.bfloat16())):
        with pytest.raises(TypeError, match="float32"):
            bits(first, second)


def test_bits_in_bfloat16_are_refused() -> None:
    check_precision_of_bits(gaussian_bits)


def check_bits_against_double_precision(bits: Any) -> None:
    """Within a thousandth, of all that costs less than 20 bits."""
    index = torch.linspace(0, 40, 50).repeat(60, 1)
    residual = torch.linspace(-3, 3, 60)[:, None].expand_as(index).contiguous()
    scale, distance = scale_of_index(index).double(), residual.double().abs()
    upper, lower = (torch.erfc((distance + half) / (scale * 2**0.5)) for half in (-0.5, 0.5))
    exact = -(0.5 * (upper - lower)).log2()
    known = exact < 20
    assert torch.allclose(bits(residual, index).double()[known], exact[known], rtol=1e-3, atol=1e-3)


def test_bits_are_those_of_double_precision() -> None:
    check_bits_against_double_precision(gaussian_bits)


def test_a_dead_latent_costs_what_theory_says() -> None:
    """In training the rate of v = 0 at bound b is 1.378 b bits, twice the integral of -log2 Phi over the half-line."""
    draw = (torch.arange(DRAWS) + 0.5) / DRAWS
    for bound in (0.04, 0.08, 0.11, 0.2):
        seen = Noise()(torch.zeros(DRAWS), draw).rate
        bits = gaussian_bits(seen, torch.full((DRAWS,), -99.0), bound)
        assert float(bits.double().mean()) == pytest.approx(1.378 * bound, rel=0.01)


# Planted faults: each breaks the promise above it.


@dataclass(frozen=True)
class DrawnAnew(Mixed):
    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        return Seen(super().see(value, draw, progress).synthesis, value + torch.rand_like(value) - 0.5)


@dataclass(frozen=True)
class SlopeInSplit(UniformAnnealingA):
    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        return Seen(self.sample(value, draw, temperature_at(self.temperature, progress)), value + draw - 0.5)


@dataclass(frozen=True)
class MeanNotDetached(Centring):
    def __call__(self, quantizer: Quantizer, latent: Tensor, mean: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = quantizer(latent - mean, draw, progress)
        return Seen(seen.synthesis + mean, seen.rate)


def careless_bits(residual: Tensor, index: Tensor) -> Tensor:
    return gaussian_bits(residual.float(), index.float()).bfloat16()


def coarse_bits(residual: Tensor, index: Tensor) -> Tensor:
    """Computed in bfloat16, though it comes and goes in float32."""
    scale, distance = scale_of_index(index).bfloat16(), residual.bfloat16().abs()
    factor = 2**-0.5 / scale
    mass = 0.5 * (torch.erfc((distance - 0.5) * factor) - torch.erfc((distance + 0.5) * factor))
    return -lower_bound(mass, 1e-9).log2().float()


def visited(context: ContextModel, height: int, width: int) -> Iterator[tuple[set, list]]:
    """The positions known before each step, and those that it visits, if they see their taps."""
    known: set[tuple[int, int]] = set()
    for step in context.steps(height, width):
        here = list(zip(step.rows.tolist(), step.columns.tolist(), strict=True))
        yield known, here if step.sees else []
        known = known | set(here)


def check_causality(context: ContextModel) -> None:
    for known, here in visited(context, 6, 7):
        for row, column in here:
            taps = {(row + di, column + dj) for di, dj in context.taps}
            assert {at for at in taps if 0 <= at[0] < 6 and 0 <= at[1] < 7} <= known


@pytest.mark.parametrize("name", list(CONTEXTS))
def test_contexts_are_causal(name: str) -> None:
    check_causality(CONTEXTS[name])


LEAKS = [replace(CONTEXTS["3d"], taps=(*CONTEXTS["3d"].taps, (0, 1)))]
LEAKS += [ContextModel((*CONTEXTS["checkerboard"].taps, (0, 2)), checkerboard)]


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        (check_mixed, DrawnAnew()),
        (check_uniform_annealing, SlopeInSplit),
        (check_psg, MeanNotDetached(stop_gradient="psg-1")),
        (check_precision_of_bits, careless_bits),
        (check_bits_against_double_precision, coarse_bits),
        *((check_causality, leak) for leak in LEAKS),
    ],
    ids=[
        "noise drawn anew",
        "slope t in split",
        "mean not detached",
        "bits out of bfloat16",
        "bits in bfloat16",
        "leak 3d",
        "leak board",
    ],
)
def test_a_planted_fault_is_found(check: Any, fault: Any) -> None:
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        check(fault)
