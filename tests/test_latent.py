"""The integer entropy path: exact, causal, and the same in wavefront and in raster order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import SHAPE, small_model, small_networks

from decoder.fixed import ACTIVATION_MAX, LATENT_MAX, ONE, Layer, requantise
from decoder.latent import REACH, TAPS, GroupNetwork, walk, wavefront
from decoder.model import Model


class Recorder:
    """A source that rounds a given latent and remembers every parameter that it was shown."""

    def __init__(self, hyper: np.ndarray, latent: np.ndarray) -> None:
        self.known_hyper, self.known = hyper, latent
        self.mean, self.scale = np.zeros(latent.shape), np.zeros(latent.shape, np.int64)

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        assert self.known_hyper.shape == shape
        return self.known_hyper

    def latent(self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray,
               start: int) -> np.ndarray:
        channels = slice(start, start + scale.shape[1])
        self.mean[channels, rows, columns], self.scale[channels, rows, columns] = mean.T, scale.T
        symbols = np.rint(self.known[channels, rows, columns].T - mean / ONE).astype(np.int64)
        return np.where(scale > 0, symbols, 0)


def random_input(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hyper = rng.integers(-9, 10, (SHAPE.hyper, -(-height // 4), -(-width // 4)))
    return hyper, rng.normal(0, 4, (SHAPE.latent, height, width))


def run(model: Model, hyper: np.ndarray, latent: np.ndarray) -> tuple[Recorder, np.ndarray, np.ndarray]:
    recorder = Recorder(hyper, latent)
    quantised, symbols, _ = walk(model.hyper, model.groups, SHAPE.hyper, *latent.shape[1:], recorder)
    return recorder, quantised, symbols


def convolve_int64(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Plain int64 'same' convolution of (in, h, w), tap by tap: the independent evaluation."""
    reach = weight.shape[2] // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    out = np.broadcast_to(bias[:, None, None], (len(weight), *x.shape[1:])).copy()
    for i in range(weight.shape[2]):
        for j in range(weight.shape[3]):
            window = padded[:, i : i + x.shape[1], j : j + x.shape[2]]
            out += np.einsum("oc,chw->ohw", weight[:, :, i, j], window)
    return out


def requantise_int64(sums: np.ndarray, low: int = -ACTIVATION_MAX) -> np.ndarray:
    return np.clip((sums + (1 << 13)) >> 14, low, ACTIVATION_MAX)


def integers(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    return layer.weight.numpy().astype(np.int64), layer.bias.numpy().astype(np.int64)


def raster_int64(model: Model, hyper: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """Symbols in raster order, one position at a time, in int64 numpy alone."""
    height, width = latent.shape[1:]
    x = hyper.astype(np.int64) * ONE
    for number, layer in enumerate(model.hyper.layers):
        x = requantise_int64(convolve_int64(x, *integers(layer)), 0)
        if number in (1, 3):
            c, h, w = x.shape
            x = x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)
    features = x[:, :height, :width]
    coded = np.zeros((0, height, width), np.int64)
    symbols, start = [], 0
    for group in model.groups:
        base = convolve_int64(features, *integers(group.hyper))
        if group.earlier is not None:
            base += convolve_int64(coded, *integers(group.earlier))
        mine = np.zeros((group.channels, height, width), np.int64)
        found = np.zeros_like(mine)
        past = group.past.astype(np.int64)
        for i in range(height):
            for j in range(width):
                window = np.pad(mine, ((0, 0), (REACH, REACH), (REACH, REACH)))[:, i : i + 5, j : j + 5]
                seen = window.reshape(group.channels, -1)[:, :TAPS].T.reshape(-1)
                h = requantise_int64(base[:, i, j] + seen @ past, 0)
                for layer, low in ((group.inner, 0), (group.leave, -ACTIVATION_MAX)):
                    weight, bias = integers(layer)
                    h = requantise_int64(weight[:, :, 0, 0] @ h + bias, low)
                mean, scale = h[: group.channels], np.clip((h[group.channels :] + ONE // 2) >> 8, 0, 63)
                symbol = np.rint(latent[start : start + group.channels, i, j] - mean / ONE).astype(np.int64)
                found[:, i, j] = np.where(scale > 0, symbol, 0)
                mine[:, i, j] = np.clip(found[:, i, j] * ONE + mean, -LATENT_MAX, LATENT_MAX)
        symbols.append(found)
        coded = np.concatenate([coded, mine])
        start += group.channels
    return np.concatenate(symbols)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 11))
def test_wavefront_equals_raster_in_int64(seed: int, height: int, width: int) -> None:
    model, _ = small_model()
    hyper, latent = random_input(seed, height, width)
    _, _, symbols = run(model, hyper, latent)
    assert symbols.any()
    assert np.array_equal(symbols, raster_int64(model, hyper, latent))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30))
def test_wavefront_visits_all_and_only_after_what_they_need(height: int, width: int) -> None:
    when = np.full((height, width), -1)
    steps = 0
    for time, (rows, columns) in enumerate(wavefront(height, width)):
        assert (when[rows, columns] == -1).all()
        when[rows, columns] = time
        steps += 1
    assert (when >= 0).all()
    assert steps <= width + (REACH + 1) * (height - 1)
    for di in range(-REACH, 1):
        for dj in range(-REACH, REACH + 1):
            if (di, dj) >= (0, 0):
                continue
            for i in range(-di, height):
                for j in range(max(0, -dj), min(width, width - dj)):
                    assert when[i + di, j + dj] < when[i, j]


def test_later_symbols_never_change_earlier_parameters() -> None:
    """Perturb each position and group of a small latent: what was coded before it must not notice."""
    model, _ = small_model()
    height, width = 4, 5
    hyper, latent = random_input(3, height, width)
    before, _, _ = run(model, hyper, latent)
    noticed = 0
    start = 0
    for index, group in enumerate(model.groups):
        for i in range(height):
            for j in range(width):
                changed = latent.copy()
                changed[start : start + group.channels, i, j] += 3
                after, _, _ = run(model, hyper, changed)
                differs = (after.mean != before.mean) | (after.scale != before.scale)
                later_groups = differs[start + group.channels :]
                own = differs[start : start + group.channels].any(axis=0)
                assert not differs[:start].any()
                assert not own.reshape(-1)[: i * width + j + 1].any()
                noticed += int(own.any()) + int(later_groups.any())
        start += model.groups[index].channels
    assert noticed > height * width  # the context is used at all


def test_symbols_do_not_depend_on_threads() -> None:
    model, _ = small_model()
    hyper, latent = random_input(9, 12, 17)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            results.append(run(model, hyper, latent)[2])
    finally:
        torch.set_num_threads(threads)
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_integer_networks_stay_close_to_the_float_ones() -> None:
    model, _ = small_model()
    networks = small_networks()
    hyper, latent = random_input(4, 8, 8)
    recorder, quantised, _ = run(model, hyper, latent)
    with torch.no_grad():
        features = networks.hyper_synthesis(torch.from_numpy(hyper)[None].float())[:, :, :8, :8]
        mean, scale = networks.entropy_parameters(features, torch.from_numpy(quantised / ONE)[None].float())
    assert np.abs(recorder.mean / ONE - mean[0].numpy()).max() < 0.1
    assert np.abs(recorder.scale - scale[0].clamp(0, 63).numpy()).max() < 0.6


def test_layers_refuse_sums_beyond_the_exact_range() -> None:
    with pytest.raises(ValueError, match="beyond the exact range"):
        Layer(np.full((1, 512, 1, 1), 1 << 31), None, 1 << 15)


def test_requantise_rounds_half_up_and_clips() -> None:
    sums = torch.tensor([8191.0, 8192.0, -8192.0, -8193.0, 2.0**60, -(2.0**60)], dtype=torch.float64)
    assert requantise(sums).tolist() == [0, 1, 0, -1, ACTIVATION_MAX, -ACTIVATION_MAX]


def test_groups_are_plain_data() -> None:
    model, _ = small_model()
    assert [group.channels for group in model.groups] == list(SHAPE.groups)
    assert all(isinstance(group, GroupNetwork) and len(group.past) == TAPS * group.channels for group in model.groups)
