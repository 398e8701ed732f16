"""CompressAI's networks: real bytes that decode, any size, weights from safetensors alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_checks import check_description, check_round_trip
from helpers import photograph
from safetensors.torch import save_file

from harness.codecs.compressai import CompressAICodec, architectures
from harness.codecs.protocol import Submittable
from harness.codecs.registry import open_codec
from harness.errors import ClicError

PIXELS = np.asarray(photograph(1, 75, 66))
SMALL = "compressai,architecture=bmshj2018-factorized,quality=1"
QUICK = ("bmshj2018-factorized", "bmshj2018-hyperprior", "mbt2018-mean", "bmshj2018-hyperprior-vbr")
SERIAL = ("mbt2018", "cheng2020-anchor", "cheng2020-attn", "mbt2018-vbr", "mbt2018-mean-vbr")


@pytest.mark.parametrize("architecture", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SERIAL)])
def test_every_architecture_goes_round(architecture: str) -> None:
    codec = open_codec(f"compressai,architecture={architecture}")
    assert not isinstance(codec, Submittable)
    check_description(codec)
    check_round_trip(codec, PIXELS, codec.points()[1])


def test_all_architectures_are_tested() -> None:
    assert {*QUICK, *SERIAL} == set(architectures())


@pytest.mark.parametrize(("width", "height"), [(1, 1), (64, 64), (65, 3)])
def test_images_of_any_size(width: int, height: int) -> None:
    check_round_trip(open_codec(SMALL), np.asarray(photograph(2, width, height)), "1")


def test_seeds_make_other_codecs_and_leave_others_random_numbers_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, second = open_codec(SMALL), open_codec(f"{SMALL},seed=1")
    assert torch.equal(torch.rand(3), wanted)
    assert second.name == f"{SMALL},seed=1" and first.config() != second.config()
    assert first.encode(first.prepare(PIXELS), "1") != second.encode(second.prepare(PIXELS), "1")


def test_weights_of_a_file_and_of_a_folder(tmp_path: Path) -> None:
    for quality, seed in (("1", "3"), ("6", "4")):
        spec = f"compressai,architecture=bmshj2018-factorized,quality={quality},seed={seed}"
        network = CompressAICodec("bmshj2018-factorized", quality, seed=seed)._network(quality)
        path = tmp_path / f"bmshj2018-factorized-mse-{quality}.safetensors"
        save_file({key: value.contiguous() for key, value in network.state_dict().items()}, path)
        drawn, read = open_codec(spec), open_codec(f"compressai,architecture=bmshj2018-factorized,weights={path}")
        wanted = drawn.encode(drawn.prepare(PIXELS), quality).stream
        assert read.encode(read.prepare(PIXELS), "1").stream[1:] == wanted[1:]  # the first byte is the point
    folder = open_codec(f"compressai,architecture=bmshj2018-factorized,weights={tmp_path}")
    assert list(folder.points()) == ["1", "6"]
    check_description(folder)
    assert folder.encode(folder.prepare(PIXELS), "6").stream == wanted
    assert "seed" not in folder.config() and set(folder.config()["weights"]) == {"1", "6"}
    with pytest.raises(ClicError, match="no quality '2'; choose one of 1, 6"):
        open_codec(f"compressai,architecture=bmshj2018-factorized,quality=2,weights={tmp_path}")
    with pytest.raises(ClicError, match=r"no file named bmshj2018-factorized-ms-ssim-QUALITY.safetensors"):
        open_codec(f"compressai,architecture=bmshj2018-factorized,metric=ms-ssim,weights={tmp_path}")
    with pytest.raises(ClicError, match=r"mse-1.safetensors: no weights of mbt2018 \("):
        open_codec(f"compressai,architecture=mbt2018,weights={tmp_path}/bmshj2018-factorized-mse-1.safetensors")


def test_pickled_checkpoints_are_refused_and_not_read(tmp_path: Path) -> None:
    for name in ("net.pth", "net.pth.tar", "net.pt"):
        (tmp_path / name).write_bytes(b"cos\nsystem\n(S'touch hacked'\ntR.")
        with pytest.raises(ClicError, match=r"convert it as docs/bring-your-own-codec.md says under 'CompressAI'"):
            open_codec(f"compressai,weights={tmp_path / name}")
    (tmp_path / "net.safetensors").write_bytes((tmp_path / "net.pth").read_bytes())
    with pytest.raises(ClicError, match=r"net.safetensors: no weights of bmshj2018-hyperprior \("):
        open_codec(f"compressai,weights={tmp_path}/net.safetensors")
    with pytest.raises(ClicError, match="no such file or folder"):
        open_codec(f"compressai,weights={tmp_path}/gone.safetensors")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("architecture=elic", "no architecture 'elic'; choose one of bmshj2018-factorized, "),
        ("quality=9", "no quality '9'; choose one of 1, 2, 3, 4, 5, 6, 7, 8"),
        ("metric=lpips", "no metric 'lpips'; choose one of mse, ms-ssim"),
        ("seed=-1", "seed '-1' is no whole number from 0"),
        ("pretrained=yes", "no setting 'pretrained'"),
    ],
)
def test_unknown_settings_are_named(settings: str, says: str) -> None:
    with pytest.raises(ClicError, match=says):
        open_codec(f"compressai,{settings}")


def test_damaged_streams_are_refused() -> None:
    codec = open_codec("compressai,quality=1")
    stream = codec.encode(codec.prepare(PIXELS), "1").stream
    for damaged in (b"", stream[:4], stream[:8], b"\x09" + stream[1:], stream[:5] + b"\xff\xff\xff\xff" + stream[9:]):
        with pytest.raises(ClicError, match="codec 'compressai,quality=1'"):
            codec.decode(damaged)


def test_torchvision_and_torch_geometric_are_not_needed(tmp_path: Path) -> None:
    script = (
        "import sys; from harness.codecs.registry import open_codec; open_codec('compressai,quality=1');"
        "print([name for name in sys.modules if name.startswith(('torchvision', 'torch_geometric'))])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
