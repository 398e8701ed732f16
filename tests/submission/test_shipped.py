"""The codec as it is shipped: its trained weights, its packed decoder, alone in an environment of its own."""

import json
import os
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data_dir

from decoder.architecture import Architecture
from decoder.fixed import ONE, VALUE_MAX
from decoder.model import load_model, shipped_models
from harness.challenge.archive import extract_zip, zip_bytes
from harness.images import load_rgb
from harness.scores.msssim import Reference
from submission.codec import DECODER, MODELS, LearnedCodec
from submission.evidence.rate import float_bits
from submission.evidence.recorded import record
from submission.training.start import load_start
from submission.weights import npz_bytes, read_arrays

PHOTOGRAPHS = ("chelsea.png", "rocket.jpg")


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return load_rgb(Path(data_dir) / "coffee.png")[:256, :320]


@pytest.mark.parametrize("codec", [LearnedCodec(context) for context in MODELS], ids=lambda codec: codec.name)
def test_points_rise_in_rate_and_quality(codec: LearnedCodec, pixels: np.ndarray) -> None:
    points = codec.points()
    assert len(set(points)) == len(points) >= 16
    reference = Reference(pixels)
    prepared = codec.prepare(pixels)
    encodings = [codec.encode(prepared, point) for point in points[::3]]
    rates = [8 * len(e.stream) / (pixels.shape[0] * pixels.shape[1]) for e in encodings]
    scores = [reference.score(e.pixels).msssim_competition for e in encodings]
    assert rates == sorted(rates) and scores == sorted(scores)
    assert all(np.array_equal(codec.decode(e.stream), e.pixels) for e in encodings)


@pytest.mark.parametrize("codec", [LearnedCodec(context) for context in MODELS], ids=lambda codec: codec.name)
def test_integers_cost_no_more_where_the_steps_are_smallest(codec: LearnedCodec, pixels: np.ndarray) -> None:
    """Means beyond 128 steps: once they were clipped there, and bright images at high rates cost up to 25 % more."""
    seen = record(codec.encode(codec.prepare(pixels), codec.points()[-1]).stream, codec.models)
    assert np.abs(seen.mean).max() > 128 * ONE
    assert seen.bits <= 1.003 * float_bits(load_start(Path(codec.weights.name)), seen)


def test_configuration_names_every_file_that_decides_bytes() -> None:
    files = LearnedCodec().config()["files"]
    assert {f"decoder/{path.name}" for path in DECODER.glob("*.py")} <= files.keys()
    assert {name.split("/")[0] for name in files if name.endswith(".npz")} == {"decoder", "submission"}


def test_decoder_archive_is_the_same_when_built_twice() -> None:
    first, second = (LearnedCodec().decoder_files("bs.zip", "images.clic") for _ in range(2))
    assert zip_bytes(dict(reversed(list(first.items())))) == zip_bytes(second)
    assert set(first) >= {"decode", "decoder/main.py", "decoder/profile.json"}
    assert len(zip_bytes(first)) < 25_000_000


def test_exactness_is_proved_for_the_shipped_weights() -> None:
    for path in shipped_models().values():
        arrays = read_arrays(path)
        about = json.loads(arrays["about"].tobytes())
        assert len(about["proof"]) == 5 + 6 * len(Architecture.of(about).groups) - 1
        for name in about["proof"]:
            if name.endswith(".first"):
                continue
            weight = arrays[f"{name}.weight"].astype(int)
            bias = arrays.get(f"{name}.bias", np.zeros(len(weight), int))
            bounds = [int(abs(row).sum()) * VALUE_MAX + abs(int(b)) for row, b in zip(weight, bias, strict=True)]
            assert about["proof"][name] == max(bounds) < 2**53


def test_a_weights_file_with_another_proof_is_refused() -> None:
    path, *_ = shipped_models().values()
    arrays = read_arrays(path)
    arrays["hyper.0.weight"] = arrays["hyper.0.weight"] * 2
    with pytest.raises(ValueError, match="proof"):
        load_model(npz_bytes(arrays))


def needed(name: str, found: set[str]) -> None:
    """Names of a distribution and of everything that it requires without extras."""
    try:
        requirements = distribution(name).requires or []
    except PackageNotFoundError:
        return
    found.add(name)
    for requirement in requirements:
        required = requirement.split(";")[0].split("[")[0].split("=")[0].split("<")[0].split(">")[0].split("!")[0]
        if "extra ==" not in requirement and required.strip(" ~(") not in found:
            needed(required.strip(" ~("), found)


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment whose packages are torch, numpy, pillow and what they require; nothing of ours."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, with_pip=False, symlinks=True)
    [site] = folder.glob("lib/python*/site-packages")
    names: set[str] = set()
    for name in ("torch", "numpy", "pillow"):
        needed(name, names)
    for name in names:
        package = distribution(name)
        for top in {Path(file).parts[0] for file in package.files or [] if not str(file).startswith("..")}:
            if top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(package.locate_file(top))
    return folder / "bin" / "python3"


@pytest.mark.parametrize("codec", [LearnedCodec(context) for context in MODELS], ids=lambda codec: codec.name)
def test_packed_decoder_runs_with_torch_numpy_and_pillow_alone(
    codec: LearnedCodec, bare_python: Path, tmp_path: Path
) -> None:
    images = {Path(name).stem: load_rgb(Path(data_dir) / name)[:200, :240] for name in PHOTOGRAPHS}
    images["tiny"] = images["chelsea"][:1, :1]
    encodings = {name: codec.encode(codec.prepare(image), codec.points()[9]) for name, image in images.items()}
    (tmp_path / "decoder.zip").write_bytes(zip_bytes(codec.decoder_files("bs.zip", "images.clic")))
    work = tmp_path / "work"
    extract_zip(tmp_path / "decoder.zip", work, 100_000_000)
    payload = codec.pack({name: encoding.stream for name, encoding in encodings.items()})
    (work / "bs.zip").write_bytes(zip_bytes({"images.clic": payload}, executable=()))
    environment = {"PATH": f"{bare_python.parent}:{os.environ['PATH']}", "LANG": "C.UTF-8"}
    check = "import importlib.util as u; print([n for n in ('harness', 'submission', 'compressai') if u.find_spec(n)])"
    found = subprocess.run([bare_python, "-c", check], cwd=work, env=environment, capture_output=True, text=True)
    assert found.stdout == "[]\n", found.stderr
    done = subprocess.run(["./decode"], cwd=work, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name, encoding in encodings.items():
        with Image.open(work / "images" / f"{name}.png") as image:
            assert image.mode == "RGB"
            assert np.array_equal(np.asarray(image), encoding.pixels)


def test_one_damaged_stream_does_not_stop_the_others(tmp_path: Path, pixels: np.ndarray) -> None:
    codec = LearnedCodec()
    stream = codec.encode(codec.prepare(pixels), codec.points()[4]).stream
    extract_folder = tmp_path / "work"
    (tmp_path / "decoder.zip").write_bytes(zip_bytes(codec.decoder_files("data.clic", "data.clic")))
    extract_zip(tmp_path / "decoder.zip", extract_folder, 100_000_000)
    damaged = stream[:40] + bytes([stream[40] ^ 1]) + stream[41:]
    streams = {"good": stream, "bad": damaged, "short": b"", "too": stream}
    (extract_folder / "data.clic").write_bytes(codec.pack(streams))
    done = subprocess.run([sys.executable, "decode"], cwd=extract_folder, capture_output=True, text=True)
    assert done.returncode == 1
    assert "decode: bad: " in done.stderr and "decode: short: " in done.stderr
    assert sorted(p.name for p in (extract_folder / "images").iterdir()) == ["good.png", "too.png"]
