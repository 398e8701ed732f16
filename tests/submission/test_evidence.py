"""The measurements behind the decoder's claims: they see what the decoder sees, and would notice if it were wrong."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from small_model import photograph, small_model, small_networks

from decoder.bitstream import checksum
from decoder.container import pack
from decoder.context import CONTEXTS
from decoder.image import decode_latent
from decoder.precision import PRECISIONS, has_bf16
from harness.challenge.archive import zip_bytes
from harness.rates import Rate
from harness.scores.msssim import Reference
from harness.scores.objectives import objective
from submission.codec import LearnedCodec
from submission.encoder import analyse, encode_latent
from submission.evidence.choices import (
    GAINS,
    ONE_GAIN,
    ONE_RATE,
    REFINED,
    SWEPT,
    at_one_gain,
    between,
    budgets,
    choices,
)
from submission.evidence.parameters import parameters_float32, parameters_int64
from submission.evidence.precision import Compared
from submission.evidence.rate import float_bits
from submission.evidence.recorded import Recorded, read_data_file, record
from submission.evidence.steps import in_steps, raster
from submission.training.export import decoder_arrays

ROOT = Path(__file__).parents[2]


def recorded(context: str, height: int, width: int, gain: int = 32) -> tuple[bytes, Recorded]:
    model, networks = small_model(context)
    stream, _ = encode_latent(networks, model, analyse(networks, photograph(height, width)), gain)
    return stream, record(stream, {0: model})


@pytest.mark.parametrize("context", list(CONTEXTS))
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 200), st.integers(1, 200))
def test_int64_parameters_are_those_of_the_walk(context: str, height: int, width: int) -> None:
    _, seen = recorded(context, height, width)
    arrays, groups = decoder_arrays(small_networks(context)), seen.model.architecture.groups
    mean, scale = parameters_int64(arrays, groups, context, seen.hyper, seen.latent)
    assert np.array_equal(mean, seen.mean) and np.array_equal(scale, seen.scale)
    arrays["context.1.leave.bias"] = arrays["context.1.leave.bias"] + (1 << 15)
    mean, scale = parameters_int64(arrays, groups, context, seen.hyper, seen.latent)
    assert not np.array_equal(mean, seen.mean)


@pytest.mark.parametrize("context", list(CONTEXTS))
def test_float32_parameters_are_near_but_not_equal(context: str) -> None:
    _, seen = recorded(context, 160, 192)
    known = (seen.model.architecture.groups, context, seen.hyper, seen.latent, torch.contiguous_format)
    mean, scale = parameters_float32(decoder_arrays(small_networks(context)), *known)
    assert np.abs(mean - seen.mean).max() < 30 and np.abs(scale - seen.scale).max() <= 1
    assert not np.array_equal(mean, seen.mean)


def test_a_record_holds_what_the_stream_says() -> None:
    stream, seen = recorded("3d", 96, 130)
    assert checksum(seen.header, [seen.hyper, seen.symbols]) == seen.crc
    assert np.array_equal(decode_latent(stream, {0: seen.model})[2], seen.latent)
    assert len(stream) - 16 < seen.bits / 8 < len(stream)
    assert 0.8 < float_bits(small_networks(), seen) / seen.bits < 1.2


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 150), st.integers(1, 150), st.booleans())
def test_raster_and_wavefront_streams_hold_the_same_symbols(height: int, width: int, line: bool) -> None:
    model, networks = small_model()
    analysed = analyse(networks, photograph(1 if line else height, width))
    results = []
    for ordered in (model, in_steps(model, raster)):
        stream, pixels = encode_latent(networks, ordered, analysed, 32)
        results.append((decode_latent(stream, {0: ordered})[2], pixels, record(stream, {0: ordered}).crc))
    (latent, pixels, crc), (other_latent, other_pixels, other_crc) = results
    assert crc == other_crc and np.array_equal(latent, other_latent) and np.array_equal(pixels, other_pixels)


def data_file(folder: Path) -> Path:
    """Of two small photographs, in a zip as a submission has it."""
    codec = LearnedCodec()
    streams = {
        f"{seed}": codec.encode(codec.prepare(photograph(96, 128, seed)), codec.points()[9]).stream for seed in range(2)
    }
    path = folder / "images.zip"
    path.write_bytes(zip_bytes({"images.clic": pack(streams)}))
    assert read_data_file(path) == streams
    return path


def evidence(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"submission.evidence.{name}", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_rate_is_measured_on_a_data_file(tmp_path: Path) -> None:
    done = evidence("rate", data_file(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "images.zip" in done.stdout


@pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16")
def test_the_price_of_bf16_is_counted(tmp_path: Path) -> None:
    pixels = photograph(192, 256)
    Image.fromarray(pixels).save(tmp_path / "photograph.png")
    done = evidence("precision", tmp_path, "--gains", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    exact, near = (LearnedCodec(effort="0", precision=each).encode for each in PRECISIONS)
    prepared = LearnedCodec().prepare(pixels)
    first, second = exact(prepared, "60").pixels, near(prepared, "60").pixels
    assert first is not None and second is not None
    off = np.mean(np.abs(first.astype(int) - second) == 1)
    row = next(line for line in done.stdout.splitlines() if "│ 60" in line)
    assert f"{off:.2%}" in row and f"{Reference(pixels).score(second).msssim_competition:.6f}" in row
    assert evidence("precision", tmp_path, "--gains", "999").returncode == 2


def test_more_than_what_is_promised_of_bf16_is_found() -> None:
    pixels = photograph(192, 256)
    for change, is_within in ((0, True), (2, True), (3, False)):
        compared, near = Compared(), pixels.astype(int)
        near[0, 0, 0] += change if near[0, 0, 0] < 128 else -change
        compared.add(100, Reference(pixels, paper=False), pixels, near.astype(np.uint8))
        assert compared.is_within == is_within and compared.off[change] >= 1
    for near_score, is_within in ((0.8997, True), (0.8995, False)):
        assert Compared(scores=[(100, 0.95, 0.95), (100, 0.9, near_score)]).is_within == is_within


@pytest.mark.slow
def test_symbols_are_compared_under_all_settings(tmp_path: Path) -> None:
    done = evidence("symbols", data_file(tmp_path))
    assert "symbols compared" in done.stdout and "none differs" in done.stdout.replace("\n", " "), done.stderr


def test_ways_of_choosing_on_a_set_with_known_answers() -> None:
    rows = []
    for image, factor in (("easy", 1), ("hard", 3)):
        for point, size, db in (("8", 100, 10.0), ("16", 200, 13.0), ("24", 400, 16.0), ("16@16", 190, 13.2)):
            score = 1 - 10 ** (-db / 10)
            rows.append((image, 40, 20, point, factor * size, score, score))
    names = ["image", "width", "height", "point", "bytes", "msssim_competition", "msssim_paper"]
    table = pd.DataFrame(rows, columns=names)
    found = choices(table, 800, "paper")
    assert found[ONE_GAIN] == pytest.approx(13.0)  # exactly where all have the point 16
    easy, hard = 10 ** (-1.6), 10 ** (-between([300, 600, 1200], [10, 13, 16], 400) / 10)
    assert found[ONE_RATE] == pytest.approx(
        -10 * np.log10((easy + hard) / 2)
    )  # 400 bytes each: 24, and between 8 and 16
    assert found[SWEPT] == pytest.approx(13.0) and found[GAINS] == found[SWEPT]
    assert found[REFINED] == pytest.approx(13.2)
    assert np.isnan(choices(table, 500, "paper")[ONE_RATE])  # a share of 250, and "hard" begins at 300


def test_checkpoints_are_compared_by_what_their_streams_take(tmp_path: Path) -> None:
    """The shipped weights, twice: as the codec's own streams have it."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name, pixels in (("a", photograph(192, 200)), ("b", photograph(181, 192))):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    done = evidence("checkpoints", folder, "2-clic", "2-clic", "--rates", "0.3,0.5,9")
    assert done.returncode == 0, done.stdout + done.stderr
    codec, rows = LearnedCodec(effort="0"), []
    for path in sorted(folder.iterdir()):
        pixels = np.asarray(Image.open(path))
        prepared, reference = codec.prepare(pixels), Reference(pixels)
        for point in codec.points():
            coded = codec.encode(prepared, point)
            score = reference.score(codec.decode(coded.stream)).msssim_competition
            shape = {"image": path.stem, "width": pixels.shape[1], "height": pixels.shape[0]}
            rows.append(shape | {"point": point, "bytes": len(coded.stream), "msssim_competition": score})
    candidates = pd.DataFrame(rows)
    expected = [
        at_one_gain(candidates, budget, objective("competition"))
        for budget in budgets(candidates, [Rate.parse("0.3"), Rate.parse("0.5")])
    ]
    # A stream has its model's number, which is 0 in one and 2 in the other, and with it sometimes a word more.
    found = [float(db) for db in re.findall(r"([\d.]+) \(\+0\.000\)", done.stdout)]
    assert found == pytest.approx(2 * expected, abs=0.01)
    assert done.stdout.count("not reached") == 2
    assert evidence("checkpoints", folder, "9-none").returncode == 2
