"""Streams of whole images: any size, equal reconstruction, damage always noticed, tools' view of the codec."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_model import photograph, small_model

from decoder.attention import ATTENTIONS
from decoder.bitstream import (
    VERSION,
    Header,
    Stream,
    get_varint,
    least_words,
    put_varint,
    read_header,
    read_stream,
    write_stream,
)
from decoder.container import pack, unpack
from decoder.context import CONTEXTS
from decoder.errors import BitstreamError
from decoder.image import decode_image, decode_latent
from decoder.model import GAINS_BELOW, interpolate
from submission.encoder import analyse, encode_latent

SIZES = [(1, 1), (1, 40), (37, 1), (15, 17), (16, 16), (64, 48), (65, 63), (130, 200)]


@pytest.mark.parametrize("context", list(CONTEXTS))
@pytest.mark.parametrize("size", SIZES)
def test_any_size_decodes_to_the_encoders_reconstruction(size: tuple[int, int], context: str) -> None:
    model, networks = small_model(context)
    pixels = photograph(*size)
    analysed = analyse(networks, pixels)
    for gain in (0, 7, 32):
        stream, reconstruction = encode_latent(networks, model, analysed, gain)
        assert reconstruction.shape == pixels.shape and reconstruction.dtype == np.uint8
        assert np.array_equal(decode_image(stream, {0: model}), reconstruction)


@pytest.mark.parametrize("attention", list(ATTENTIONS))
def test_every_attention_codes(attention: str) -> None:
    model, networks = small_model("3d", attention)
    pixels = photograph(65, 63)
    stream, reconstruction = encode_latent(networks, model, analyse(networks, pixels), 16)
    assert np.array_equal(decode_image(stream, {0: model}), reconstruction)
    assert np.abs(reconstruction.astype(int) - pixels).mean() < np.abs(128 - pixels.astype(int)).mean()


def test_a_grey_photograph_comes_back_grey() -> None:
    model, networks = small_model()
    pixels = photograph(65, 63)
    tinged = pixels[:, :, 1:2].repeat(3, axis=2)
    tinged[64, 62, 2] ^= 1
    for image, is_grey in ((pixels, False), (tinged, False), (pixels[:, :, 1:2].repeat(3, axis=2), True)):
        stream, reconstruction = encode_latent(networks, model, analyse(networks, image), 16)
        assert read_header(stream)[0].grey is is_grey
        assert np.array_equal(decode_image(stream, {0: model}), reconstruction)
        assert bool((reconstruction == reconstruction[:, :, :1]).all()) is is_grey


def test_large_values_are_escaped() -> None:
    model, networks = small_model()
    analysed = analyse(networks, photograph(64, 64))
    analysed = replace(analysed, latent=analysed.latent.clone())
    analysed.latent[0, :, 1, 2] = 3000.0
    stream, reconstruction = encode_latent(networks, model, analysed, 32)
    assert read_stream(stream).escapes
    assert np.array_equal(decode_image(stream, {0: model}), reconstruction)


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_damage_is_always_noticed(seed: int) -> None:
    model, networks = small_model()
    stream, _ = encode_latent(networks, model, analyse(networks, photograph(48, 64)), 16)
    rng = np.random.default_rng(seed)
    damaged = bytearray(stream)
    kind = rng.integers(3)
    if kind == 0:
        damaged[rng.integers(len(damaged))] ^= 1 << int(rng.integers(8))
    elif kind == 1:
        del damaged[rng.integers(len(damaged)) :]
    else:
        at = int(rng.integers(len(damaged)))
        damaged[at : at + 4] = rng.bytes(4)
    if bytes(damaged) == stream:
        return
    with pytest.raises(BitstreamError):
        decode_latent(bytes(damaged), {0: model})


@given(st.integers(0, 2**35 - 1), st.binary(max_size=4))
def test_varints(value: int, rest: bytes) -> None:
    encoded = put_varint(value)
    assert get_varint(encoded + rest, 0) == (value, len(encoded))
    for cut in range(len(encoded)):
        with pytest.raises(BitstreamError):
            get_varint(encoded[:cut], 0)


@given(
    st.integers(1, 65536),
    st.integers(1, 1024),
    st.integers(0, 255),
    st.integers(0, 255),
    st.booleans(),
    st.integers(0, 255),
    st.integers(0, 255),
)
def test_headers(width: int, height: int, gain: int, model: int, refined: bool, offset: int, sharpness: int) -> None:
    header = Header(width, height, gain, model, refined, offset, sharpness)
    words = np.pad(np.arange(9, dtype=np.uint16), (0, least_words(header)))
    stream = Stream(header, 7, words, 32, 1234, [5, -6, 0])
    again = read_stream(write_stream(stream))
    assert again.header == header and again.escapes == [5, -6, 0]
    assert (again.check, again.lanes, again.main) == (7, 32, 1234)
    assert np.array_equal(again.words, words)


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (1 << 17, 1), (1 << 16, 1 << 16), (1 << 14, 1 << 13)])
def test_hostile_sizes_are_refused(width: int, height: int) -> None:
    data = bytes([VERSION << 4, 0, 0]) + put_varint(width) + put_varint(height) + bytes(40)
    with pytest.raises(BitstreamError, match="claims an image"):
        read_stream(data)


def resized(stream: bytes, width: int, height: int) -> bytes:
    """The same stream with other sides in its header."""
    header, _ = read_header(stream)
    return write_stream(replace(read_stream(stream), header=replace(header, width=width, height=height)))


def test_sizes_that_the_bytes_or_the_symbols_belie_are_refused_before_the_work() -> None:
    model, networks = small_model()
    stream, _ = encode_latent(networks, model, analyse(networks, photograph(96, 128)), 32)
    limit = 2048 * len(stream)
    with pytest.raises(BitstreamError, match=r"claims 128 x \d+ pixels in \d+ bytes"):
        decode_latent(resized(stream, 128, limit // 128 + 64), {0: model})
    idle = replace(model, entropy=replace(model.entropy, hyper=None))  # fails if the work begins
    for width, height in [(129, 96), (96, 128), (1024, limit // 1024 - 16), (3, 1)]:
        with pytest.raises(BitstreamError, match=r"hyper-latent|too early"):
            decode_latent(resized(stream, width, height), {0: idle})


def test_lanes_that_no_encoder_would_choose_are_refused() -> None:
    header = Header(64, 64, 0)
    for lanes, words in [(1, 16_000), (40, 20_500)]:
        fitting, odd = (Stream(header, 0, np.ones(n, np.uint16), lanes, 0) for n in (words, words + 1))
        assert read_stream(write_stream(fitting)).lanes == lanes
        with pytest.raises(BitstreamError, match=f"{words + 1} words for {lanes} lanes"):
            read_stream(write_stream(odd))
    for lanes in (0, 2, 31, 257):
        with pytest.raises(BitstreamError, match=f"5000 words for {lanes} lanes"):
            read_stream(write_stream(Stream(header, 0, np.ones(5000, np.uint16), lanes, 0)))


def test_flat_images_have_as_many_bytes_as_a_decoder_asks_for() -> None:
    model, networks = small_model()
    flat = np.full((512, 8192, 3), 128, np.uint8)
    stream, reconstruction = encode_latent(networks, model, analyse(networks, flat), 0)
    assert len(stream) >= 512 * 8192 / 2048
    assert np.array_equal(decode_image(stream, {0: model}), reconstruction)


@given(
    st.dictionaries(
        st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n/\\\0"), min_size=1).filter(
            lambda name: name not in (".", "..")
        ),
        st.binary(max_size=30),
        max_size=8,
    )
)
def test_containers(streams: dict[str, bytes]) -> None:
    assert unpack(pack(streams)) == streams


@settings(max_examples=200)
@given(st.data())
def test_damaged_containers_are_refused(data: st.DataObject) -> None:
    whole = pack({"one": b"12345", "two": b"678", "a" * 40: b""})
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = whole[:at] if data.draw(st.booleans()) else whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :]
    try:
        streams = unpack(broken)
    except BitstreamError:
        return
    assert len(streams) == 3  # a flip inside a stream is the stream's own checksum's business


def test_names_cannot_leave_the_folder() -> None:
    for name in ("../up", "a/b", "..", "c\\d"):
        with pytest.raises(BitstreamError, match="no file name"):
            unpack(pack({name: b""}))


def test_decoder_imports_nothing_else_of_ours() -> None:
    """In a fresh interpreter: after importing every module of the decoder, only it, torch, numpy and pillow."""
    code = """
import importlib, pkgutil, sys
import torch, numpy, PIL.Image
before = set(sys.modules)
import decoder
for module in pkgutil.iter_modules(decoder.__path__):
    importlib.import_module("decoder." + module.name)
new = {name.partition(".")[0] for name in set(sys.modules) - before}
allowed = {"decoder", "torch", "numpy", "PIL"} | set(sys.stdlib_module_names)
print(sorted(name for name in new if name not in allowed and not name.startswith("_")))
print([name for name in ("compressai", "submission", "harness", "leaderboard", "scipy") if name in new])
"""
    root = Path(__file__).parents[2]
    out = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True).stdout
    assert out.split("\n")[:2] == ["[]", "[]"]


def test_gains_pass_through_the_levels_and_go_on_below() -> None:
    rows = torch.tensor([[0.0, 1.0], [2.0, 4.0], [3.0, 3.0]])
    levels = [interpolate(rows, 16 * (level + GAINS_BELOW)) for level in range(3)]
    assert torch.equal(torch.stack(levels), rows)
    assert torch.equal(interpolate(rows, 16 * GAINS_BELOW + 8), torch.tensor([1.0, 2.5]))
    assert torch.equal(interpolate(rows, 16 * (GAINS_BELOW - 1)), torch.tensor([-2.0, -2.0]))


def test_encoding_and_decoding_load_no_training() -> None:
    """A worker that codes images loads neither compressai nor scipy nor anything of training."""
    code = """
import sys
import numpy
from submission.codec import LearnedCodec
codec = LearnedCodec()
codec.decode(codec.encode(codec.prepare(numpy.zeros((16, 16, 3), numpy.uint8)), codec.points()[0]).stream)
print(sorted(name for name in sys.modules if name.startswith(("compressai", "scipy.", "submission.training"))))
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == "[]\n"
