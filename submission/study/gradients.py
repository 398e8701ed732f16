"""Row G: how far a surrogate's gradient is from the hard loss's, on trained networks, and on one latent by itself.

On networks each channel of the latent gets a shift (in quantisation steps) and a gain (relative). The truth is a
central difference of the hard loss on common images; at three widths, so that it can be seen to be on a plateau.
Differences along random directions of the weights would be too noisy. The toy of one latent is ours: the analysis in
"On Uniform Scalar Quantization for Learned Image Compression" (Zhang, Li, Liu) is known to us by its abstract alone.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import torch
from scipy.stats import norm
from torch import Tensor, nn

from harness.errors import ClicError
from harness.files import write_atomic
from submission.networks.interface import Networks, Output
from submission.networks.model import CodecNetworks
from submission.quantization.annealing import SoftRounding
from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer, Seen, uniform_like
from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Hard
from submission.study.cells import Cell, surrogate_of, temperatures_of
from submission.study.codec import load_networks
from submission.study.job import DRAW_SEEDS, crops_of, networks_path, recipe_of
from submission.study.plan import Study
from submission.training.data import draw_batch

WIDTHS = (0.02, 0.05, 0.1)  # of the central differences
CHANNELS = 16  # of the latent, those that vary most
LEVEL = 0
FILE = "gradients.csv"


@dataclass(frozen=True)
class GradientRow:
    """One parameter of one channel under one surrogate: mean and deviation of its gradient over draws, the truth.

    Gradients are of R + lambda D in bits per pixel; `draws` are those of all batches. `truth` is the difference at the
    middle one of the widths, `truths` at all three, separated by spaces. `mismatch` is the mean squared distance, in
    steps, of what the synthesis sees from the rounded latent. A schedule's temperature is that of its end.
    """

    network: str
    seed: int
    surrogate: str
    temperature: float | None
    routing: str
    slope: str
    parameter: str
    channel: int
    mean: float
    deviation: float
    draws: int
    truth: float
    truths: str
    mismatch: float


@dataclass(frozen=True)
class GradientTask:
    """The networks of one cell and seed, and the surrogates whose gradients are taken there."""

    study: Study
    cell: Cell
    seed: int
    surrogates: tuple[Quantizer, ...]
    data: Path
    out: Path

    def carried(self) -> "GradientTask":
        """The same: a study's processes share a disk."""
        return self


class _Moved(nn.Module):
    """In place of an analysis: a latent that was computed before, (N, C, h, w), shifted and scaled by channel."""

    def __init__(self, latent: Tensor, unit: Tensor) -> None:
        super().__init__()
        self.latent, self.unit = latent, unit
        self.shift = torch.zeros(latent.shape[1], requires_grad=True)
        self.gain = torch.zeros(latent.shape[1], requires_grad=True)

    def forward(self, image: Tensor) -> Tensor:
        by_channel = (1, -1, 1, 1)
        return self.latent * (1 + self.gain.view(by_channel)) + (self.shift * self.unit).view(by_channel)


@dataclass(frozen=True)
class _Watched(Quantizer):
    """Another quantiser, whose mismatch is noted at each use."""

    inner: Quantizer
    noted: list[float] = field(default_factory=list)

    @property
    def unit_slope(self) -> bool:
        return self.inner.unit_slope

    def see(self, value: Tensor, draw: Tensor, progress: float) -> Seen:
        seen = self.inner.see(value, draw, progress)
        self.noted.append(float((seen.synthesis - value.round()).detach().square().mean()))
        return seen


def gradient_tasks(study: Study, data: Path, out: Path, seeds: Sequence[int]) -> list[GradientTask]:
    """What row G measures: the cells that it names, and on each the surrogates of those that go on from it, and more.

    All are measured at a stage's end, where a schedule is the constant that it ends in.
    """
    tasks = []
    for cell in study.cells:
        if (cell.row, cell.training.stage) == study.gradients.after and cell.network in study.gradients.networks:
            branches = [other.quantizer for other in study.cells if other.parent is cell and other.row == cell.row]
            onward = [one for one in branches if not one.scaled]  # the trunk has no steps
            distinct = tuple(dict.fromkeys(map(at_end, [*onward, *study.gradients.surrogates])))
            tasks += [GradientTask(study, cell, seed, distinct, data, out) for seed in seeds]
    return tasks


def at_end(quantizer: Quantizer) -> Quantizer:
    """The quantiser that it is at a stage's end: of a schedule the last temperature, or sharpness, alone."""
    if len(temperatures_of(quantizer)) < 2:
        return quantizer
    name = "alpha" if isinstance(quantizer, SoftRounding) else "temperature"
    return replace(quantizer, **{name: float(temperatures_of(quantizer)[-1])})  # type: ignore[type-var]


def named(quantizer: Quantizer) -> tuple[str, float | None, str, str]:
    """Surrogate, temperature at a stage's end, routing and slope, as a table of gradients has them."""
    temperatures = temperatures_of(quantizer)
    last = float(temperatures[-1]) if temperatures else None
    return surrogate_of(quantizer), last, getattr(quantizer, "routing", ""), getattr(quantizer, "slope", "")


def measure(task: GradientTask) -> Iterator[GradientRow]:
    """The rows of one trunk. Raises ClicError where it was not trained yet."""
    torch.set_num_threads(1)
    study, cell = task.study, task.cell
    networks, _ = load_networks(networks_path(task.out, cell, task.seed))
    recipe = recipe_of(study, cell, task.seed)
    weight, loss = float(recipe.lambdas()[LEVEL]), recipe.stages[0].loss
    crops = crops_of(study, recipe, task.data).training
    rng = np.random.default_rng([task.seed, DRAW_SEEDS])
    images = [draw_batch(crops, study.gradients.windows, recipe.crop, rng) for _ in range(study.gradients.batches)]

    def cost(image: Tensor, quantization: Quantization, generator: torch.Generator | None = None) -> Tensor:
        level = torch.full((len(image),), LEVEL)
        output: Output = networks(image, level, quantization, generator, 1.0)
        bpp = (output.latent_bits + output.hyper_bits) / image[0, 0].numel()
        return (bpp + weight * loss(output.image, image, float("inf"))[0]).mean()

    with torch.no_grad():
        latents = [networks.analysis(image).float() for image in images]  # type: ignore[operator]
    unit = _step_of(networks, latents[0].shape[1])
    spread = torch.stack([(latent / unit.view(1, -1, 1, 1)).var(dim=(0, 2, 3)) for latent in latents]).mean(0)
    channels = sorted(spread.argsort(descending=True)[:CHANNELS].tolist())
    moved = [_Moved(latent, unit) for latent in latents]
    hard = Quantization(Hard(), Hard(), None, Centring(), cell.scale_bound)
    truths = {
        key: [0.0] * len(WIDTHS) for key in ((name, channel) for name in ("shift", "gain") for channel in channels)
    }
    with torch.no_grad():
        for place, image in zip(moved, images, strict=True):
            networks.analysis = place
            for (name, channel), found in truths.items():
                parameter = getattr(place, name)
                for at, width in enumerate(WIDTHS):
                    for end in (width, -width):
                        parameter[channel] = end
                        found[at] += float(cost(image, hard)) / (2 * end * len(images))
                    parameter[channel] = 0.0
    soft = recipe.stages[0].quantization
    for surrogate in task.surrogates:
        watched = _Watched(surrogate)
        quantization = replace(soft, latent=watched, context=watched if soft.context is soft.latent else soft.context)
        taken: dict[str, list[list[Tensor]]] = {"shift": [], "gain": []}
        for number, (place, image) in enumerate(zip(moved, images, strict=True)):
            networks.analysis = place
            for rows in taken.values():
                rows.append([])
            for draw in range(study.gradients.draws):
                seeded = task.seed * DRAW_SEEDS + number * study.gradients.draws + draw
                generator = torch.Generator().manual_seed(seeded)
                ends = torch.autograd.grad(cost(image, quantization, generator), [place.shift, place.gain])
                for rows, gradient in zip(taken.values(), ends, strict=True):
                    rows[-1].append(gradient)
        name_of, temperature, routing, slope = named(surrogate)
        for name, rows in taken.items():
            draws = torch.stack([torch.stack(row) for row in rows])  # (batches, draws, C)
            means = draws.mean(dim=(0, 1))
            deviations = draws.var(dim=1).mean(dim=0).sqrt()
            for channel in channels:
                yield GradientRow(
                    network=cell.network,
                    seed=task.seed,
                    surrogate=name_of,
                    temperature=temperature,
                    routing=routing,
                    slope=slope,
                    parameter=name,
                    channel=channel,
                    mean=float(means[channel]),
                    deviation=float(deviations[channel]),
                    draws=draws.shape[0] * draws.shape[1],
                    truth=truths[name, channel][len(WIDTHS) // 2],
                    truths=" ".join(f"{truth:.6g}" for truth in truths[name, channel]),
                    mismatch=float(np.mean(watched.noted)),
                )


def _step_of(networks: Networks, channels: int) -> Tensor:
    """What one quantisation step is of what the analysis gives, by channel, (C,)."""
    if isinstance(networks, CodecNetworks):
        return (-networks.log_gain[LEVEL]).exp().detach()
    return torch.ones(channels)


def read_gradients(path: Path) -> list[dict[str, str]]:
    """The rows of a table that `write_gradients` wrote, none where there is no file. Raises ClicError for another."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if reader.fieldnames != [one.name for one in fields(GradientRow)]:
        raise ClicError(f"{path}: not a table of gradients; remove it, and clic ablate makes it anew")
    return rows


def write_gradients(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write the rows, sorted, as CSV."""
    names = [one.name for one in fields(GradientRow)]
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    key = ("network", "seed", "surrogate", "temperature", "parameter")
    writer.writerows(sorted(rows, key=lambda row: (*(row[name] for name in key), int(row["channel"]))))
    write_atomic(path, text.getvalue().encode())


def as_texts(row: GradientRow) -> dict[str, str]:
    """A row as `read_gradients` gives it."""
    return {name: "" if value is None else str(value) for name, value in asdict(row).items()}


def toy_truth(middle: float, spread: float) -> float:
    """d/dm of E round(v)^2 for a latent v = m + s n, n of a standard normal distribution."""
    steps = np.arange(-60, 61)
    return float((norm.pdf(steps + 0.5, middle, spread) * ((steps + 1) ** 2 - steps**2)).sum())


def toy_gradients(quantizer: Quantizer, middle: float, spread: float, draws: int, seed: int) -> Tensor:
    """A surrogate's gradient of the same loss with respect to m at each of many draws of v, (draws,)."""
    generator = torch.Generator().manual_seed(seed)
    value = (middle + spread * torch.randn(draws, generator=generator)).requires_grad_()
    seen = quantizer(value, uniform_like(value, generator), 1.0)
    (gradient,) = torch.autograd.grad(seen.synthesis.square().sum(), value)
    return gradient
