"""The training loop: the stages of a recipe one after the other, resumed where they stopped.

In the run's folder, NAME.safetensors is the checkpoint of stage NAME, replaced every few minutes and resumed from, and
log.jsonl is appended to. A stage begins from the average of the one before it.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness.errors import ClicError
from harness.progress import bar, log
from submission.training.data import load_crops
from submission.training.parallel import Part, part_of_torchrun
from submission.training.recipe import Recipe, Stage
from submission.training.start import load_average, load_start
from submission.training.trainer import Trainer

LOG_STEPS = 50  # whose figures are averaged in a line of the log
VALIDATION_STEPS = 1000
SAVE_SECONDS = 240.0


@dataclass(frozen=True)
class Run:
    """A training run: its recipe, folder of crops, folder of results, and where the first stage begins.

    `start` is a checkpoint, or the name of shipped weights; without it the first stage begins from a block DCT.
    `minutes` ends the run earlier, to be resumed.
    """

    recipe: Recipe
    data: Path
    out: Path
    start: Path | None = None
    minutes: float = math.inf


@dataclass(frozen=True)
class Crops:
    """What a run trains on, uint8 (N, side, side, 3), and what it is validated on, float32 (M, 3, crop, crop)."""

    training: np.ndarray
    validation: Tensor


def train(run: Run, stages: Sequence[Stage] | None = None) -> Path:
    """Run, or resume, the stages (all of the recipe's by default); returns the last one's checkpoint.

    Under torchrun each process takes its part of every batch, and the first one alone writes and says something.
    Raises ClicError where crops, recipe, start or folder do not fit together.
    """
    torch.set_num_threads(run.recipe.threads)
    crops, deadline = _crops(run), time.monotonic() + 60 * run.minutes
    run.out.mkdir(parents=True, exist_ok=True)
    with part_of_torchrun() as part:
        for stage in stages or run.recipe.stages:
            checkpoint = run.out / f"{stage.name}.safetensors"
            trainer = _trainer(run, stage, checkpoint, part)
            if trainer.step < stage.steps:
                with bar(f"stage {stage.name}", trainer.step) if part.is_first else nullcontext(_silent) as show:
                    for step in train_stage(trainer, crops, checkpoint, deadline):
                        show(step, stage.steps)
            if trainer.step < stage.steps:
                where = f"step {trainer.step} of {stage.steps}"
                _say(part, f"stage {stage.name}: stopped at {where}; the same command goes on")
                break
    return checkpoint


def _silent(done: int, total: int) -> None:
    """Shows no progress, of processes beside the first."""


def _say(part: Part, message: str) -> None:
    if part.is_first:
        log(message)


def _crops(run: Run) -> Crops:
    """Raises ClicError where the folder has too few, or a crop of the recipe's size does not fit in one."""
    return split_crops(load_crops(run.data), run.recipe, run.data)


def split_crops(crops: np.ndarray, recipe: Recipe, data: Path) -> Crops:
    """The crops of the folder `data`, (N, side, side, 3), without those that the recipe holds out, and these.

    Raises ClicError where there are too few, or one of the recipe's size does not fit in one.
    """
    if len(crops) <= recipe.holdout:
        raise ClicError(f"{data}: {len(crops)} crops, of which {recipe.holdout} are held out; give more")
    for stage in recipe.stages:
        if not stage.loss.least_crop <= recipe.crop <= crops.shape[1]:
            raise ClicError(
                f"crop is {recipe.crop}; stage {stage.name!r} needs {stage.loss.least_crop} pixels for its loss, "
                f"and the crops have {crops.shape[1]}"
            )
    held_out, training = crops[len(crops) - recipe.holdout :], crops[: len(crops) - recipe.holdout]
    middle = (crops.shape[1] - recipe.crop) // 2
    window = held_out[:, middle : middle + recipe.crop, middle : middle + recipe.crop]
    return Crops(training, torch.from_numpy(window.copy()).permute(0, 3, 1, 2).float() / 255)


def _trainer(run: Run, stage: Stage, checkpoint: Path, part: Part) -> Trainer:
    """Resumed, or begun from the stage before it in the same folder, or from where the run starts.

    Raises ClicError where a stage that freezes a part has nothing to begin from.
    """
    trainer = Trainer(run.recipe, stage, part=part)
    place = [other.name for other in run.recipe.stages].index(stage.name)
    before = run.out / f"{run.recipe.stages[place - 1].name}.safetensors" if place else None
    if checkpoint.exists():
        trainer.resume(checkpoint)
    elif before is not None and before.exists():
        _say(part, f"stage {stage.name}: begins from {before}")
        trainer.start_from(load_average(before))
    elif run.start:
        _say(part, f"stage {stage.name}: begins from {run.start}")
        trainer.start_from(load_start(run.start))
    elif stage.frozen:
        raise ClicError(f"stage {stage.name!r} does not train {', '.join(stage.frozen)}; give --start to begin from")
    return trainer


def train_stage(trainer: Trainer, crops: Crops, checkpoint: Path, deadline: float = math.inf) -> Iterator[int]:
    """Train to the end of the trainer's stage, or until `deadline` of the monotonic clock; yields the steps taken.

    Checkpoints are saved on the way and in the end; beside them log.jsonl is written, both by the first process alone.
    """
    part = trainer.part
    if part.is_first:
        yield from _written(trainer, crops, checkpoint, deadline)
    else:
        while trainer.step < trainer.stage.steps and part.first_says(False):
            trainer.next_step(crops.training)
            yield trainer.step
    part.wait()


def _written(trainer: Trainer, crops: Crops, checkpoint: Path, deadline: float) -> Iterator[int]:
    stage, saved = trainer.stage, time.monotonic()
    recent: list[dict[str, float]] = []
    with _log(trainer, checkpoint.parent / "log.jsonl") as write:
        while trainer.step < stage.steps and trainer.part.first_says(time.monotonic() < deadline):
            recent.append(trainer.next_step(crops.training))
            if trainer.step % LOG_STEPS == 0:
                write({key: round(sum(row[key] for row in recent) / len(recent), 5) for key in recent[0]})
                recent = []
            yield trainer.step
            if trainer.step % VALIDATION_STEPS == 0:
                write({"validation": trainer.validate(crops.validation)})
            if time.monotonic() - saved > SAVE_SECONDS:
                trainer.save(checkpoint)
                saved = time.monotonic()
        trainer.save(checkpoint)
        write({"validation": trainer.validate(crops.validation)})


@contextmanager
def _log(trainer: Trainer, path: Path) -> Iterator[Callable[[dict[str, Any]], None]]:
    """A function that appends a row to the run's log, with the step, the stage and the seconds since now."""
    began = time.monotonic()
    with path.open("a") as file:

        def write(row: dict[str, Any]) -> None:
            about = {"step": trainer.step, "stage": trainer.stage.name, "seconds": round(time.monotonic() - began, 1)}
            file.write(json.dumps(about | row) + "\n")
            file.flush()

        yield write
