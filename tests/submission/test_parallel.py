"""Training by several processes under torchrun: the losses of one process with the whole batch, written once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_model import photograph

from submission.quantization.quantizer import PartOfBatch, uniform_like
from submission.training.checkpoint import load_tensors

TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
RECIPE = """
extends = "nano"
batch = 4
crop = 64
holdout = 1
warmup_steps = 2
precision = "float32"
lambda_min = 0.0067
lambda_max = 0.025

[architecture]
stride4 = 16
stride8 = 16
stride16 = 32
blocks = [1, 1, 1]
groups = [4, 8]
hyper = 8
features = 16

[[stages]]
name = "soft"
steps = 50
learning_rate = 1e-4
final_learning_rate = 1e-5
quantizer = "mixed"
hyper_quantizer = "noise"
context_quantizer = "noise"
loss = "mse"

[[stages]]
name = "hard"
steps = 50
learning_rate = 1e-4
final_learning_rate = 1e-5
quantizer = "straight-through"
hyper_quantizer = "hard"
context_quantizer = "hard"
frozen = ["analysis", "hyper_analysis", "log_gain"]
loss = "mse"
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and crops."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "crops").mkdir()
    (folder / "mine.toml").write_text(RECIPE)
    for seed in range(3):
        Image.fromarray(photograph(512, 512, seed)).save(folder / f"crops/{seed}.png")
    return folder


def trained(project: Path, out: str, *before: str, recipe: str = "mine.toml", more: tuple[str, ...] = ()) -> str:
    """What `clic train` says on standard error, run as users run it."""
    command = [*(before or (sys.executable,)), "-m", "harness", "train", "--preset", recipe, "--data", "crops"]
    done = subprocess.run(
        [*command, "--out", out, *more],
        cwd=project,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert (done.returncode == 0) == (recipe == "mine.toml"), done.stderr
    return done.stdout + done.stderr


def read_log(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_parts_of_the_noise_are_those_of_the_whole(layout: torch.memory_format) -> None:
    value = torch.zeros(6, 3, 5, 7).contiguous(memory_format=layout)
    whole = uniform_like(value, torch.Generator().manual_seed(4))
    parts = []
    for rank in range(3):
        generator = PartOfBatch(rank, 3)
        generator.manual_seed(4)
        parts.append(uniform_like(value[:2], generator))
        assert parts[-1].stride() == whole[:2].stride()
    assert torch.equal(torch.cat(parts), whole)


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(project: Path) -> None:
    trained(project, "alone")
    said = trained(project, "shared", *TORCHRUN)
    assert said.count("begins from") == 1  # one process speaks
    alone, shared = read_log(project / "alone"), read_log(project / "shared")
    assert [row["step"] for row in alone] == [row["step"] for row in shared]
    assert [row["stage"] for row in shared] == ["soft", "soft", "hard", "hard"]
    for one, other in zip(alone, shared, strict=True):
        for key in one.keys() - {"stage", "seconds", "validation"}:
            assert other[key] == pytest.approx(one[key], rel=1e-3), key
        if "validation" in one:
            for key, values in one["validation"].items():
                assert other["validation"][key] == pytest.approx(values, rel=1e-3)
    first, _ = load_tensors(project / "alone/hard.safetensors")
    second, _ = load_tensors(project / "shared/hard.safetensors")
    assert first.keys() == second.keys()
    moved = [float((first[name] - second[name]).abs().max()) for name in first if name.startswith("average.")]
    assert max(moved) < 1e-4  # a learning rate: what fifty steps of another noise would exceed many times


@pytest.mark.slow
def test_a_batch_without_equal_parts_is_one_line(project: Path) -> None:
    (project / "odd.toml").write_text('extends = "mine.toml"\nbatch = 3\n')
    said = trained(project, "odd", *TORCHRUN, recipe="odd.toml")
    assert "batch is 3; 2 processes need a multiple of 2" in said


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(project: Path) -> None:
    """Also where the first time two processes worked, and then one."""
    stopped = trained(project, "stopped", *TORCHRUN, more=("--stage", "soft", "--minutes", "0.0001"))
    assert "the same command goes on" in stopped
    step = load_tensors(project / "stopped/soft.safetensors")[1]["step"]
    assert step < 50
    trained(project, "stopped", more=("--stage", "soft"))
    trained(project, "whole", more=("--stage", "soft"))
    first, second = (load_tensors(project / f"{run}/soft.safetensors")[0] for run in ("stopped", "whole"))
    moved = [float((first[name] - second[name]).abs().max()) for name in first if name.startswith("average.")]
    assert max(moved) < 1e-4
