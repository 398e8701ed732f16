"""The integer entropy path: exact, causal, and the same in wavefront and in raster order."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import ARCHITECTURE, small_model, small_networks

from decoder import fixed
from decoder.context import CONTEXTS, REACH, at_once, checkerboard, wavefront
from decoder.fixed import ONE, VALUE_MAX, Layer, requantise
from decoder.latent import walk
from decoder.model import Model
from submission.quantization.scale import UNCODED


class Recorder:
    """A source that rounds a given latent and remembers every parameter that it was shown."""

    def __init__(self, hyper: np.ndarray, latent: np.ndarray) -> None:
        self.known_hyper, self.known = hyper, latent
        self.mean, self.scale = np.zeros(latent.shape), np.zeros(latent.shape, np.int64)

    def hyper(self, shape: tuple[int, int, int]) -> np.ndarray:
        assert self.known_hyper.shape == shape
        return self.known_hyper

    def latent(
        self, scale: np.ndarray, mean: np.ndarray, rows: np.ndarray, columns: np.ndarray, start: int
    ) -> np.ndarray:
        channels = slice(start, start + scale.shape[1])
        self.mean[channels, rows, columns], self.scale[channels, rows, columns] = mean.T, scale.T
        symbols = np.rint(self.known[channels, rows, columns].T - mean / ONE).astype(np.int64)
        return np.where(scale > 0, symbols, 0)


def random_input(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hyper = rng.integers(-9, 10, (ARCHITECTURE.hyper, -(-height // 4), -(-width // 4)))
    return hyper, rng.normal(0, 4, (ARCHITECTURE.latent, height, width))


def run(model: Model, hyper: np.ndarray, latent: np.ndarray) -> tuple[Recorder, np.ndarray, np.ndarray]:
    recorder = Recorder(hyper, latent)
    quantised, symbols, _ = walk(model.entropy, ARCHITECTURE.hyper, *latent.shape[1:], recorder)
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


def requantise_int64(sums: np.ndarray, low: int = -VALUE_MAX) -> np.ndarray:
    return np.clip((sums + (1 << 13)) >> 14, low, VALUE_MAX)


def integers(layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Weight (out, in, k, k) and bias (out,)."""
    weight = layer.matrix.reshape(layer.side, layer.side, -1, len(layer.bias)).transpose(3, 2, 0, 1)
    return weight.astype(np.int64), layer.bias.astype(np.int64)


TAPS = {  # of a 5 x 5 kernel: two rows above, then two columns of the same row; or every second place
    "none": [],
    "3d": [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4), (2, 0), (2, 1)],
    "checkerboard": [(0, 1), (0, 3), (1, 0), (1, 2), (1, 4), (2, 1), (2, 3), (3, 0), (3, 2), (3, 4), (4, 1), (4, 3)],
}
LATE = {"none": lambda i, j: 0, "3d": lambda i, j: 0, "checkerboard": lambda i, j: (i + j) % 2}
SEES = {**LATE, "3d": lambda i, j: 1}


def one_by_one(context: str, height: int, width: int) -> list[tuple[int, int]]:
    """Positions in an order that the context allows: raster, or the checkerboard's halves."""
    order = [(i, j) for i in range(height) for j in range(width)]
    return sorted(order, key=lambda at: LATE[context](*at))


def symbols_int64(model: Model, hyper: np.ndarray, latent: np.ndarray) -> np.ndarray:
    """Symbols in raster order, one position at a time, in int64 numpy alone."""
    height, width = latent.shape[1:]
    context = model.architecture.context
    x = hyper.astype(np.int64) * ONE
    for number, layer in enumerate(model.entropy.hyper.layers):
        x = requantise_int64(convolve_int64(x, *integers(layer)), 0)
        if number in (1, 3):
            c, h, w = x.shape
            x = x.reshape(c // 4, 2, 2, h, w).transpose(0, 3, 1, 4, 2).reshape(c // 4, 2 * h, 2 * w)
    features = x[:, :height, :width]
    coded = np.zeros((0, height, width), np.int64)
    symbols, start = [], 0
    for group in model.entropy.groups:
        base = convolve_int64(features, *integers(group.hyper))
        if group.earlier is not None:
            base += convolve_int64(coded, *integers(group.earlier))
        mine = np.zeros((group.channels, height, width), np.int64)
        found = np.zeros_like(mine)
        past, bias = integers(group.past) if group.past else (np.zeros(0), np.zeros(0))
        for i, j in one_by_one(context, height, width):
            h = base[:, i, j]
            if SEES[context](i, j):
                window = np.pad(mine, ((0, 0), (REACH, REACH), (REACH, REACH)))[:, i : i + 5, j : j + 5]
                seen = np.concatenate([window[:, di, dj] for di, dj in TAPS[context]])
                h = h + past[:, :, 0, 0] @ seen + bias
            h = requantise_int64(h, 0)
            for layer, low in ((group.inner, 0), (group.leave, -VALUE_MAX)):
                weight, offset = integers(layer)
                h = requantise_int64(weight[:, :, 0, 0] @ h + offset, low)
            mean, scale = h[: group.channels], np.clip((h[group.channels :] + ONE // 2) >> 8, 0, 63)
            symbol = np.rint(latent[start : start + group.channels, i, j] - mean / ONE).astype(np.int64)
            found[:, i, j] = np.where(scale > 0, symbol, 0)
            mine[:, i, j] = np.clip(found[:, i, j] * ONE + mean, -VALUE_MAX, VALUE_MAX)
        symbols.append(found)
        coded = np.concatenate([coded, mine])
        start += group.channels
    return np.concatenate(symbols)


@pytest.mark.parametrize("context", list(CONTEXTS))
@settings(max_examples=12, deadline=None)
@given(st.integers(0, 999), st.integers(1, 9), st.integers(1, 11))
def test_steps_give_the_symbols_of_one_position_at_a_time_in_int64(
    context: str, seed: int, height: int, width: int
) -> None:
    model, _ = small_model(context)
    hyper, latent = random_input(seed, height, width)
    _, _, symbols = run(model, hyper, latent)
    assert symbols.any()
    assert np.array_equal(symbols, symbols_int64(model, hyper, latent))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30))
def test_steps_visit_all_and_only_after_what_they_see(height: int, width: int) -> None:
    for name, context in CONTEXTS.items():
        when = np.full((height, width), -1)
        for time, (rows, columns, sees) in enumerate(context.steps(height, width)):
            assert (when[rows, columns] == -1).all()
            when[rows, columns] = time
            for di, dj in context.taps if sees else ():
                inside = (rows + di >= 0) & (rows + di < height) & (columns + dj >= 0) & (columns + dj < width)
                before = when[rows[inside] + di, columns[inside] + dj]
                assert (before >= 0).all() and (before < time).all(), name
        assert (when >= 0).all()
        sees = [[SEES[name](i, j) for j in range(width)] for i in range(height)]
        assert np.array_equal(context.sees(height, width), sees)
    assert len(list(at_once(height, width))) == 1
    assert len(list(wavefront(height, width))) <= width + (REACH + 1) * (height - 1)
    assert len(list(checkerboard(height, width))) <= 2


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_later_symbols_never_change_earlier_parameters(context: str) -> None:
    """Perturb each position and group of a small latent: what was coded before it must not notice."""
    model, _ = small_model(context)
    height, width = 4, 5
    hyper, latent = random_input(3, height, width)
    before, _, _ = run(model, hyper, latent)
    order = one_by_one(context, height, width)
    noticed = 0
    start = 0
    for group in model.entropy.groups:
        for place, (i, j) in enumerate(order):
            changed = latent.copy()
            changed[start : start + group.channels, i, j] += 3
            after, _, _ = run(model, hyper, changed)
            differs = (after.mean != before.mean) | (after.scale != before.scale)
            later_groups = differs[start + group.channels :]
            own = differs[start : start + group.channels].any(axis=0)
            assert not differs[:start].any()
            assert not any(own[at] for at in order[: place + 1])
            assert CONTEXTS[context].taps or not own.any()
            noticed += int(own.any()) + int(later_groups.any())
        start += group.channels
    groups, own = len(model.entropy.groups), sum(SEES[context](*at) for at in order)
    assert noticed >= (groups - 1) * height * width + own // 2  # the context is used at all


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_integer_networks_stay_close_to_the_float_ones(context: str) -> None:
    model, _ = small_model(context)
    networks = small_networks(context)
    hyper, latent = random_input(4, 8, 8)
    recorder, quantised, _ = run(model, hyper, latent)
    with torch.no_grad():
        features = networks.hyper_synthesis(torch.from_numpy(hyper)[None].float())[:, :, :8, :8]
        mean, scale = networks.entropy_parameters(features, torch.from_numpy(quantised / ONE)[None].float())
    assert np.abs(recorder.mean / ONE - mean[0].numpy()).max() < 0.1
    assert np.abs(recorder.scale - (scale[0] - UNCODED).clamp(0, 63).numpy()).max() < 0.6


def test_layers_refuse_sums_beyond_the_exact_range() -> None:
    with pytest.raises(ValueError, match="beyond the exact range"):
        Layer(np.full((1, 512, 1, 1), 1 << 26), None)


def test_requantise_rounds_half_up_and_clips() -> None:
    sums = np.array([8191.0, 8192.0, -8192.0, -8193.0, 2.0**60, -(2.0**60)])
    assert requantise(sums.copy()).tolist() == [0, 1, 0, -1, VALUE_MAX, -VALUE_MAX]
    assert requantise(sums, low=0).tolist() == [0, 1, 0, 0, VALUE_MAX, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), st.integers(1, 30), st.integers(1, 30), st.sampled_from([1, 3, 5]), st.integers(1, 99))
def test_layers_are_convolutions(seed: int, height: int, width: int, side: int, run: int) -> None:
    rng = np.random.default_rng(seed)
    weight, bias = rng.integers(-999, 999, (5, 3, side, side)), rng.integers(-999, 999, 5)
    x = rng.integers(-999, 999, (3, height, width))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fixed, "RUN", run)
        sums = Layer(weight, bias)(x.transpose(1, 2, 0).astype(np.float64))
    assert np.array_equal(sums.transpose(2, 0, 1), convolve_int64(x, weight, bias))
