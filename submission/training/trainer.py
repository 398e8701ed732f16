"""One stage of training: networks, their moving average, an optimiser, and the step that they take together."""

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from harness.errors import ClicError
from submission.networks.interface import Networks
from submission.networks.model import CodecNetworks
from submission.quantization.settings import CODED
from submission.training.checkpoint import load_tensors, save_tensors
from submission.training.data import draw_batch
from submission.training.loss import LEAST_SIDE, msssim
from submission.training.parallel import ALONE, Part
from submission.training.precision import transforms_in
from submission.training.recipe import Recipe, Stage
from submission.training.start import start_from_dct

NEVER_TRAINED = "prior.quantiles"  # of no use to us: the decoder's tables are made from the prior itself
NOISE_SEEDS = 1_000_003  # steps of one seed have the numbers from here times the seed on
VALIDATION_BATCH = 4


def learning_rate(recipe: Recipe, stage: Stage, step: int) -> float:
    """Linear warm-up, then a cosine to the final rate."""
    warmup = min(1.0, (step + 1) / recipe.warmup_steps) if recipe.warmup_steps else 1.0
    place = max(0, step - stage.constant_steps) / (stage.steps - stage.constant_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, place)))
    return warmup * (stage.final_learning_rate + (stage.learning_rate - stage.final_learning_rate) * cosine)


def draw_levels(recipe: Recipe, stage: Stage, rng: np.random.Generator) -> Tensor:
    """A level for each crop of a batch, (batch,): by the stage's shares, or evenly."""
    levels = recipe.architecture.levels
    if not stage.level_shares:
        return torch.from_numpy(rng.integers(levels, size=recipe.batch))
    shares = np.array(stage.level_shares) / sum(stage.level_shares)
    return torch.from_numpy(rng.choice(levels, size=recipe.batch, p=shares))


def training_device(part: Part) -> torch.device:
    """A GPU where there is one and one process trains; several processes share the CPU's cores."""
    return torch.device("cuda" if part.ranks == 1 and torch.cuda.is_available() else "cpu")


class Trainer:
    """Networks, their moving average, optimiser and step count; everything that a checkpoint holds.

    `networks` are trained instead of the recipe's, whose architecture then tells the number of levels alone. `part` is
    this process's of every batch. `seconds` are the processor's for all steps so far. Raises ClicError where a name
    that the stage freezes is no parameter's, or a batch has no equal parts.
    """

    def __init__(self, recipe: Recipe, stage: Stage, networks: Networks | None = None, part: Part = ALONE) -> None:
        self.recipe, self.stage, self.part, self.step = recipe, stage, part, 0
        part.check(recipe.batch)
        self.from_scratch, self.seconds = True, 0.0
        torch.manual_seed(recipe.seed)
        self.networks = networks or start_from_dct(CodecNetworks(recipe.architecture, recipe.scaled))
        self.device = training_device(part)
        self.networks.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._freeze()
        self.trained = {name: p for name, p in self.networks.named_parameters() if p.requires_grad}
        self.average = {name: p.detach().clone() for name, p in self.networks.named_parameters()}
        groups: dict[float, list[Tensor]] = {}
        for name, parameter in self.trained.items():
            groups.setdefault(self.networks.learning_factor(name), []).append(parameter)
        self.optimiser = torch.optim.Adam(
            [{"params": alike, "factor": factor} for factor, alike in groups.items()], foreach=True
        )

    def _freeze(self) -> None:
        names = [name for name, _ in self.networks.named_parameters()]
        for frozen in self.stage.frozen:
            if not any(name == frozen or name.startswith(f"{frozen}.") for name in names):
                known = sorted({name.partition(".")[0] for name in names})
                raise ClicError(
                    f"stage {self.stage.name!r}: frozen {frozen!r} is no parameter or module of the networks; "
                    f"they have {', '.join(known)}"
                )
        for name, parameter in self.networks.named_parameters():
            parameter.requires_grad_(not self.stage.freezes(name) and name != NEVER_TRAINED)
        if self.stage.centring.mean_gradient == "true" and not self.stage.freezes("analysis.block.weight"):
            raise ClicError(
                f'stage {self.stage.name!r}: mean_gradient = "true" gives the analysis no gradient; freeze "analysis"'
            )

    def save(self, path: Path) -> None:
        """Networks, average and optimiser in one safetensors file, written atomically."""
        tensors = {f"networks.{name}": p.detach() for name, p in self.networks.named_parameters()}
        tensors |= {f"average.{name}": p for name, p in self.average.items()}
        for name, parameter in self.trained.items():
            for key, value in self.optimiser.state.get(parameter, {}).items():
                tensors[f"optimiser.{name}.{key}"] = value
        tensors = {name: value.cpu() for name, value in tensors.items()}
        about = {
            "stage": self.stage.name,
            "step": self.step,
            "from_scratch": self.from_scratch,
            "seconds": self.seconds,
            **self.networks.describe(),
        }
        save_tensors(path, tensors, about)

    @torch.no_grad()
    def start_from(self, networks: Networks) -> None:
        """Begin with the weights of other networks of the same widths; what only one kind of context has stays.

        Raises ClicError where the widths differ.
        """
        self.from_scratch = False
        for name, value in networks.named_parameters():
            if name in self.average:
                if self.average[name].shape != value.shape:
                    raise ClicError(
                        f"the networks to start from have {name} of {tuple(value.shape)}, the recipe's "
                        f"{tuple(self.average[name].shape)}; give weights of the recipe's architecture"
                    )
                self.average[name].copy_(value)
                self.networks.get_parameter(name).copy_(value)

    @torch.no_grad()
    def resume(self, path: Path) -> None:
        """Go on where a checkpoint was saved. Raises ClicError where it is not of this stage and architecture."""
        tensors, about = load_tensors(path)
        if about.get("stage") != self.stage.name or not self.networks.is_described_by(about):
            raise ClicError(f"{path}: of another stage or architecture than the recipe's; choose another --out")
        self.step, self.from_scratch = int(about["step"]), bool(about["from_scratch"])
        self.seconds = float(about.get("seconds", 0.0))
        for name, parameter in self.networks.named_parameters():
            parameter.copy_(tensors[f"networks.{name}"])
            self.average[name].copy_(tensors[f"average.{name}"])
        for name, parameter in self.trained.items():
            prefix = f"optimiser.{name}."
            self.optimiser.state[parameter] = {
                key.removeprefix(prefix): value if key.endswith(".step") else value.to(self.device)
                for key, value in tensors.items()
                if key.startswith(prefix)
            }

    def next_step(self, crops: np.ndarray) -> dict[str, float]:
        """Take the next step on crops drawn from (N, side, side, 3), uint8; returns the figures for the log.

        The step's number seeds its batch and its noise, so that a resumed run repeats the unbroken one.
        """
        recipe, began = self.recipe, time.process_time()
        rng = np.random.default_rng([recipe.seed, self.step])
        generator = self.part.generator(recipe.seed * NOISE_SEEDS + self.step)
        windows = self.part.of(draw_batch(crops, recipe.batch, recipe.crop, rng, recipe.grey_share))
        image = windows.to(self.device).contiguous(memory_format=torch.channels_last)
        level = self.part.of(draw_levels(recipe, self.stage, rng)).to(self.device)
        figures = self.train_step(image, level, generator)
        self.seconds += time.process_time() - began
        return figures

    def train_step(self, image: Tensor, level: Tensor, generator: torch.Generator) -> dict[str, float]:
        """One optimiser step on images (N, 3, H, W) at levels (N,); returns the figures for the log."""
        recipe, stage, pixels = self.recipe, self.stage, image.shape[2] * image.shape[3]
        rate = learning_rate(recipe, stage, self.step)
        for group in self.optimiser.param_groups:
            group["lr"] = rate * group["factor"]
        with transforms_in(recipe.precision, image.device):
            output = self.networks(image, level, stage.quantization, generator, self.step / stage.steps)
        bpp = (output.latent_bits + output.hyper_bits) / pixels
        distortion, measured = stage.loss(output.image, image, self.step if self.from_scratch else math.inf)
        weight = recipe.lambdas().to(level.device)[level]
        # Levels differ in the size of their loss about as the square root of lambda: even them out.
        loss = ((bpp + weight * distortion) / weight.sqrt()).mean()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.part.average(p.grad for p in self.trained.values() if p.grad is not None)
        norm = torch.nn.utils.clip_grad_norm_(self.trained.values(), recipe.clip_norm)
        if norm.isfinite():
            self.optimiser.step()
            self._follow()
        self.step += 1
        means = {name: float(values.detach().mean()) for name, values in measured.items()}
        figures = {"loss": float(loss.detach()), "bpp": float(bpp.detach().mean()), **means}
        return {**self.part.average_figures(figures), "norm": float(norm)}

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(self.recipe.average_decay, (self.step + 1) / (self.step + 10))
        for name, parameter in self.trained.items():
            self.average[name].lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def validate(self, images: Tensor) -> dict[str, list[float]]:
        """Bits per pixel and distortion as coded, of the averaged networks at each level, over (N, 3, H, W)."""
        current = {name: p.detach().clone() for name, p in self.networks.named_parameters()}
        result: dict[str, list[float]] = {"bpp": [], "msssim": [], "mse": []}
        if not len(images):
            return result
        for name, parameter in self.networks.named_parameters():
            parameter.copy_(self.average[name])
        for level in range(self.recipe.architecture.levels):
            rows: dict[str, list[Tensor]] = {key: [] for key in result}
            for some in images.split(VALIDATION_BATCH):
                image = some.to(self.device)
                output = self.networks(image, torch.full((len(image),), level, device=self.device), CODED)
                shown = output.image.clamp(0, 1)
                rows["bpp"].append((output.latent_bits + output.hyper_bits) / image[0, 0].numel())
                rows["mse"].append((shown - image).square().mean(dim=(1, 2, 3)))
                if min(image.shape[2:]) >= LEAST_SIDE:
                    rows["msssim"].append(msssim(shown, image))
            for key, values in rows.items():
                if values:
                    result[key].append(round(float(torch.cat(values).mean()), 7 if key == "mse" else 5))
        for name, parameter in self.networks.named_parameters():
            parameter.copy_(current[name])
        return result
