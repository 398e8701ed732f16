"""Decoding in bf16: the same symbols, pixels that differ by at most 2, and float32 where the processor lacks it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import photograph
from PIL import Image

from decoder import precision
from decoder.precision import has_bf16
from harness.challenge.archive import extract_zip, write_zip
from harness.codecs.protocol import codec_sha256
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.scores.msssim import Reference
from submission.codec import LearnedCodec

needs_bf16 = pytest.mark.skipif(not has_bf16(), reason="this processor has no bf16")


def packed(folder: Path, codec: LearnedCodec, stream: bytes) -> Path:
    """A folder with the codec's unpacked decoder and its data file."""
    write_zip(folder / "decoder.zip", codec.decoder_files("data", "data"), executable={"decode"})
    extract_zip(folder / "decoder.zip", folder / "work", 10**9)
    (folder / "work/data").write_bytes(codec.pack({"photograph": stream}))
    return folder / "work"


@needs_bf16
def test_pixels_differ_by_two_at_most_and_symbols_do_not() -> None:
    pixels = np.asarray(photograph(5, 320, 256))
    plain, quick = LearnedCodec(), LearnedCodec(precision="bf16")
    assert quick.name == "clic,precision=bf16" and codec_sha256(quick) != codec_sha256(plain)
    assert codec_sha256(open_codec(quick.config())) == codec_sha256(quick)
    score = Reference(pixels).score
    for point in ("20", "60", "100"):
        exact, near = (codec.encode(codec.prepare(pixels), point) for codec in (plain, quick))
        assert near.stream == exact.stream and near.pixels is not None and exact.pixels is not None
        assert 0 < np.abs(near.pixels.astype(int) - exact.pixels).max() <= 2
        assert score(near.pixels).msssim_competition > score(exact.pixels).msssim_competition - 2e-4
        assert np.array_equal(quick.decode(near.stream), near.pixels)


@needs_bf16
def test_the_packed_decoder_gives_the_encoders_pixels(tmp_path: Path) -> None:
    codec = LearnedCodec(precision="bf16")
    pixels = np.asarray(photograph(5, 200, 150))
    encoding = codec.encode(codec.prepare(pixels), "60")
    work = packed(tmp_path, codec, encoding.stream)
    assert json.loads((work / "decoder/profile.json").read_text())["precision"] == "bf16"
    subprocess.run([sys.executable, "decode"], cwd=work, check=True, stdout=subprocess.DEVNULL)
    assert np.array_equal(np.asarray(Image.open(work / "images/photograph.png")), encoding.pixels)


def test_a_processor_without_it_decodes_in_float32_and_says_so(tmp_path: Path) -> None:
    """In a namespace where the system names no processor with bf16."""
    plain, quick = LearnedCodec(), LearnedCodec(precision="bf16")
    encoding = plain.encode(plain.prepare(np.asarray(photograph(5, 200, 150))), "60")
    work = packed(tmp_path, quick, encoding.stream)
    (tmp_path / "cpuinfo").write_text("flags : fpu sse avx2\n")
    inside = f"mount --bind {tmp_path / 'cpuinfo'} /proc/cpuinfo && exec {sys.executable} decode"
    command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip(f"no namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0 and "no bf16 in this processor: float32 instead" in done.stderr
    assert np.array_equal(np.asarray(Image.open(work / "images/photograph.png")), encoding.pixels)


def test_the_codec_says_which_it_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """So candidates of a machine without bf16 are not taken for those of one with it."""
    here = LearnedCodec(precision="bf16").config()["bf16"]
    assert here == has_bf16()
    monkeypatch.setattr(precision, "FLAGS", set())
    assert not LearnedCodec(precision="bf16").config()["bf16"]
    with pytest.raises(ClicError, match="no precision 'half'; choose one of float32, bf16"):
        LearnedCodec(precision="half")
