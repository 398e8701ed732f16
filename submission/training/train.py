"""Training of the codec: MS-SSIM and rate at all levels at once, then the decoder's side on rounded latents.

Stage "soft" trains everything with noise in the rate and straight-through rounding before the synthesis. Stage
"hard" is the second stage of soft-then-hard (Guo et al., CLIC 2021): analysis, hyper-analysis and the encoder's
gains are frozen, latents are rounded, and the rest is trained on the actual rate and distortion.

    clic train --data FOLDER --out RUN [--stage soft|hard] [--steps N] [--minutes M] [--start CHECKPOINT]

A model of another context is the second stage again, from the same first: --stage hard --context checkerboard.
RUN/checkpoint.safetensors is replaced every few minutes and resumed from; RUN/log.jsonl is appended to.
"""

import json
import math
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from decoder.networks import Shape
from submission.networks import CodecNetworks
from submission.training.checkpoint import load_tensors, save_tensors
from submission.training.data import draw_batch, load_crops
from submission.training.export import load_start
from submission.training.loss import msssim

CONFIGS = Path(__file__).parents[1] / "presets"
FROZEN_WHEN_HARD = ("analysis.", "hyper_analysis.", "log_gain")


@dataclass(frozen=True)
class Recipe:
    """The fields of a file in `submission/presets`."""

    seed: int
    lambda_min: float
    lambda_max: float
    batch: int
    crop: int
    learning_rate: float
    hard_learning_rate: float
    final_learning_rate: float
    warmup_steps: int
    clip_norm: float
    average_decay: float
    mse_weight: float
    mse_weight_start: float
    mse_steps: int
    holdout: int
    threads: int
    shape: Shape

    @staticmethod
    def read(path: Path) -> "Recipe":
        """Raises TypeError on unknown or missing fields, ValueError on bad TOML."""
        fields = tomllib.loads(path.read_text())
        return Recipe(**(fields | {"shape": Shape.from_json(fields["shape"])}))

    def lambdas(self) -> Tensor:
        """Weight of distortion against bits per pixel at each level, (levels,)."""
        return torch.logspace(math.log10(self.lambda_min), math.log10(self.lambda_max), self.shape.levels)


def learning_rate(recipe: Recipe, stage: str, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    top = recipe.hard_learning_rate if stage == "hard" else recipe.learning_rate
    warmup = min(1.0, (step + 1) / recipe.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / steps)))
    return warmup * (recipe.final_learning_rate + (top - recipe.final_learning_rate) * cosine)


def learning_factor(name: str) -> float:
    """Of the learning rate, by parameter: block transforms start well, entropy networks and gains are shallow."""
    if ".block." in name:
        return 0.1
    return 3.0 if name.startswith(("context.", "hyper_synthesis.", "prior.", "log_")) else 1.0


class Trainer:
    """Networks, their moving average, optimiser and step count; everything that a checkpoint holds."""

    def __init__(self, recipe: Recipe, stage: str) -> None:
        self.recipe, self.hard, self.step = recipe, stage == "hard", 0
        self.mse_first = not self.hard  # only new weights begin with the squared error
        torch.manual_seed(recipe.seed)
        self.networks = CodecNetworks(recipe.shape)
        self.networks.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for name, parameter in self.networks.named_parameters():
            frozen = self.hard and name.startswith(FROZEN_WHEN_HARD)
            parameter.requires_grad_(not frozen and name != "prior.quantiles")
        self.trained = {name: p for name, p in self.networks.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.networks.named_parameters()}
        self.optimiser = torch.optim.Adam(
            {"params": [parameter], "factor": learning_factor(name)} for name, parameter in self.trained.items()
        )

    def save(self, path: Path) -> None:
        """Networks, average and optimiser in one safetensors file, written atomically."""
        tensors = {f"networks.{name}": p.detach() for name, p in self.networks.named_parameters()}
        tensors |= {f"average.{name}": p for name, p in self.average.items()}
        for name, parameter in self.trained.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}.{key}"] = value
        about = {"step": self.step, "mse_first": self.mse_first, "shape": self.recipe.shape.to_json()}
        save_tensors(path, tensors, about)

    @torch.no_grad()
    def start_from(self, networks: CodecNetworks) -> None:
        """Begin with the weights of other networks of the same widths; what only one kind of context has stays."""
        self.mse_first = False
        for name, value in networks.named_parameters():
            if name in self.average:
                self.average[name].copy_(value)
                self.networks.get_parameter(name).copy_(value)

    @torch.no_grad()
    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was saved."""
        tensors, about = load_tensors(path)
        self.step, self.mse_first = int(about["step"]), bool(about["mse_first"])
        for name, parameter in self.networks.named_parameters():
            parameter.copy_(tensors[f"networks.{name}"])
            self.average[name].copy_(tensors[f"average.{name}"])
        for name, parameter in self.trained.items():
            prefix = f"optimiser.{name}."
            self.optimiser.state[parameter] = {
                key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)
            }

    def train_step(self, image: Tensor, level: Tensor, rate: float) -> dict[str, float]:
        """One optimiser step; returns the figures for the log."""
        recipe, pixels = self.recipe, image.shape[2] * image.shape[3]
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = self.networks(image, level, hard=self.hard)
        bpp = (output.latent_bits + output.hyper_bits) / pixels
        similarity = msssim(output.image, image)
        mse = (output.image - image).square().mean(dim=(1, 2, 3))
        early = max(0.0, 1 - self.step / recipe.mse_steps) if self.mse_first else 0.0
        mse_weight = recipe.mse_weight + (recipe.mse_weight_start - recipe.mse_weight) * early
        weight = recipe.lambdas()[level]
        # Levels differ in the size of their loss about as the square root of lambda: even them out.
        loss = ((bpp + weight * (1 - similarity + mse_weight * mse)) / weight.sqrt()).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), recipe.clip_norm)
        if norm.isfinite():
            self.optimiser.step()
            decay = min(recipe.average_decay, (self.step + 1) / (self.step + 10))
            with torch.no_grad():
                for name, parameter in self.trained.items():
                    self.average[name].lerp_(parameter, 1 - decay)
        self.step += 1
        return {
            "loss": float(loss.detach()),
            "bpp": float(bpp.detach().mean()),
            "msssim": float(similarity.detach().mean()),
            "mse": float(mse.detach().mean()),
            "norm": float(norm),
        }

    def validate(self, images: Tensor) -> dict[str, list[float]]:
        """Hard bits per pixel and MS-SSIM of the averaged networks at each level over held-out crops."""
        current = {name: p.detach().clone() for name, p in self.networks.named_parameters()}
        result: dict[str, list[float]] = {"bpp": [], "msssim": []}
        with torch.no_grad():
            for name, parameter in self.networks.named_parameters():
                parameter.copy_(self.average[name])
            for level in range(self.recipe.shape.levels):
                bits, similarity = [], []
                for image in images.split(4):
                    output = self.networks(image, torch.full((len(image),), level), hard=True)
                    bits.append((output.latent_bits + output.hyper_bits) / image[0, 0].numel())
                    similarity.append(msssim(output.image.clamp(0, 1), image))
                result["bpp"].append(round(float(torch.cat(bits).mean()), 5))
                result["msssim"].append(round(float(torch.cat(similarity).mean()), 5))
            for name, parameter in self.networks.named_parameters():
                parameter.copy_(current[name])
        return result


def train(recipe: Recipe, data: Path, out: Path, stage: str, steps: int, minutes: float, start: Path | None) -> Path:
    """Run, or resume, one stage until `steps` or `minutes` are reached. Returns the checkpoint's path."""
    torch.set_num_threads(recipe.threads)
    out.mkdir(parents=True, exist_ok=True)
    trainer, checkpoint = Trainer(recipe, stage), out / "checkpoint.safetensors"
    if checkpoint.exists():
        trainer.resume(checkpoint)
    elif start:
        trainer.start_from(load_start(start))
    crops = load_crops(data)
    held_out, crops = crops[-recipe.holdout :], crops[: -recipe.holdout]
    middle = (held_out.shape[1] - recipe.crop) // 2
    window = held_out[:, middle : middle + recipe.crop, middle : middle + recipe.crop]
    validation = torch.from_numpy(window.copy()).permute(0, 3, 1, 2).float() / 255
    began = saved = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    display = Progress(*columns, console=console, disable=not console.is_terminal)
    with (out / "log.jsonl").open("a") as log, display:
        task = display.add_task(stage, total=steps)

        def write(row: dict[str, Any]) -> None:
            seconds = round(time.monotonic() - began, 1)
            log.write(json.dumps({"step": trainer.step, "stage": stage, "seconds": seconds} | row) + "\n")
            log.flush()

        recent: list[dict[str, float]] = []
        while trainer.step < steps and time.monotonic() - began < 60 * minutes:
            # The step number seeds its batch and its noise, so that a resumed run repeats the unbroken one.
            rng = np.random.default_rng([recipe.seed, trainer.step])
            torch.manual_seed(recipe.seed * 1_000_003 + trainer.step)
            image = draw_batch(crops, recipe.batch, recipe.crop, rng).contiguous(memory_format=torch.channels_last)
            level = torch.from_numpy(rng.integers(recipe.shape.levels, size=recipe.batch))
            recent.append(trainer.train_step(image, level, learning_rate(recipe, stage, trainer.step, steps)))
            loss = sum(row["loss"] for row in recent) / len(recent)
            if trainer.step % 50 == 0:
                write({key: round(sum(row[key] for row in recent) / len(recent), 5) for key in recent[0]})
                recent = []
            display.update(task, completed=trainer.step, description=f"{stage}, loss {loss:.3f}")
            if trainer.step % 1000 == 0:
                write({"validation": trainer.validate(validation)})
            if time.monotonic() - saved > 240:
                trainer.save(checkpoint)
                saved = time.monotonic()
        trainer.save(checkpoint)
        write({"validation": trainer.validate(validation)})
    return checkpoint
