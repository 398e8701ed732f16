"""The commands `clic train` and `clic weights`, run as a person runs them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from decoder.model import shipped_models
from harness.cli import command_parser
from harness.errors import ClicError
from harness.files import sha256
from submission.commands import train
from submission.weights import shipped_weights, versions

Clic = Callable[..., subprocess.CompletedProcess[str]]


def test_help_needs_neither_torch_nor_numpy() -> None:
    code = "import sys; sys.argv = ['clic', 'train', '--help']\nfrom harness.cli import main\n"
    code += "try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules, 'numpy' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "--preset" in out and out.endswith("False False\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--data", ".", "--stage", "medium"], "stage 'medium': not in the recipe; it has soft, hard"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], message: str, clic: Clic, tmp_path: Path) -> None:
    done = clic("train", *arguments, "--out", tmp_path / "run")
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "nothing"], "recipe 'nothing': not found; give one of"),
        (["--context", "4d"], "context '4d': not known; give one of none, 3d, checkerboard"),
        (["--steps", "0"], "--steps 0: give a whole number above 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(arguments: list[str], message: str, tmp_path: Path) -> None:
    options = command_parser("train", train).parse_args(["--data", ".", "--out", str(tmp_path / "run"), *arguments])
    with pytest.raises(ClicError, match=message):
        train.run(options)


def test_export_of_no_checkpoint_is_one_line(clic: Clic, tmp_path: Path) -> None:
    done = clic("weights", "export", tmp_path / "x.safetensors", "0-clic")
    assert done.returncode == 2 and "no such checkpoint" in done.stderr and done.stderr.count("\n") == 1


def test_versions_name_each_weights_file_with_its_hash() -> None:
    lines = list(versions())
    assert len(lines) == len(shipped_models()) + len(shipped_weights()) >= 4
    for weights in shipped_weights():
        assert f"weights {weights.name} decoder {sha256(weights.decoder.read_bytes())}" in lines
        assert f"weights {weights.name} encoder {sha256(weights.encoder.read_bytes())}" in lines
