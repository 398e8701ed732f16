"""One run of a study, in a process of its own: a network is trained, then asked what it states of each image.

It writes its own files only, in the study's folder: `training/NAME/` with log and checkpoint, from which a killed run
goes on, and in the end `networks/NAME.safetensors`, in half precision. What it measures it hands to the process that
the user started.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from decoder.attention import ATTENTIONS
from decoder.context import CONTEXTS
from harness.errors import ClicError
from harness.images import load_rgb
from harness.scores.msssim import Reference
from submission.networks.interface import Networks
from submission.networks.model import CodecNetworks
from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer
from submission.quantization.settings import Quantization
from submission.quantization.surrogates import Hard, Noise, StraightThrough
from submission.study.cells import Cell, Network, Objective, Skip
from submission.study.codec import load_networks, make_networks, padded, save_networks, to_pixels
from submission.study.plan import Study
from submission.study.runs import AROUND_ZERO, CENTRED, HARD, PEAK, TRAINING
from submission.study.subjects import LAYERED, HyperpriorNetworks, Layers
from submission.training.data import load_crops
from submission.training.loss import open_loss
from submission.training.recipe import Recipe, Stage, read_recipe
from submission.training.start import start_from_dct
from submission.training.train import Crops, split_crops, train_stage
from submission.training.trainer import Trainer

PLAIN = "nano"  # the preset whose settings hold for all networks where the study says nothing else
EARLY_MSE = {"mse_weight_start": 5.0, "mse_steps": 1500}  # beside MS-SSIM while weights are new
TOLD_STEPS = 10  # after which a run says how far it is
DRAW_SEEDS = 7_919  # draws of one seed have the numbers from here times the seed on


@dataclass(frozen=True)
class Original:
    """An image to code: the hash of its file, and where it lies."""

    sha256: str
    path: str


@dataclass(frozen=True)
class Job:
    """A run, where its crops lie and its files go, and the images that it is asked about, once for each of `skips`."""

    study: Study
    cell: Cell
    seed: int
    data: Path
    out: Path
    originals: tuple[Original, ...]
    skips: tuple[Skip, ...]

    @property
    def name(self) -> str:
        """The run as files are named."""
        return run_name(self.cell, self.seed)

    def carried(self) -> "Job":
        """The same: a study's processes share a disk."""
        return self

    @property
    def networks(self) -> Path:
        """The file of the trained networks."""
        return networks_path(self.out, self.cell, self.seed)


@dataclass(frozen=True)
class Step:
    """How many steps a run has taken."""

    step: int


@dataclass(frozen=True)
class Stated:
    """What the networks state of one image at one level in one mode, by the names in `runs.FIGURES`.

    With `skip` "on", elements of the smallest scales are left out.
    """

    skip: Skip
    image: str
    level: int
    mode: str
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Done:
    """All has been said of a run."""


@dataclass(frozen=True)
class Broken:
    """Why a run could not be done."""

    reason: str


Message = Step | Stated | Done | Broken


def run_name(cell: Cell, seed: int) -> str:
    """A run as files are named: row, cell and seed, each unlike any other's."""
    plain = re.sub(r"[^\w.-]+", "-", cell.name)
    return f"{plain}-{seed}" if plain.startswith(f"{cell.row}-") else f"{cell.row}-{plain}-{seed}"


def networks_path(out: Path, cell: Cell, seed: int) -> Path:
    """Where a run leaves its networks."""
    return out / "networks" / f"{run_name(cell, seed)}.safetensors"


def work(job: Job) -> Iterator[Message]:
    """Train a run, unless that is done, and ask what it states of the images; the last word is Done or Broken."""
    torch.set_num_threads(1)
    try:
        if not job.networks.exists():
            yield from _train(job)
        for skip in job.skips:
            yield from _state(job, skip)
        yield Done()
    except Exception as error:  # whatever it is, the other runs go on
        yield Broken(str(error) if isinstance(error, ClicError) else f"{type(error).__name__}: {error}")


def recipe_of(study: Study, cell: Cell, seed: int) -> Recipe:
    """The recipe of a run. That of networks with other layers has their number of levels, and nothing else of theirs.

    Raises ClicError for a context or an attention that there is not.
    """
    network, objective = study.networks[cell.network], study.objectives[cell.objective]
    preset = read_recipe(network.preset or PLAIN)
    architecture, lambda_max = preset.architecture, objective.lambda_max
    for key, given, known in (("context", network.context, CONTEXTS), ("attention", network.attention, ATTENTIONS)):
        if given and given not in known:
            raise ClicError(f"network {cell.network!r}: {key} {given!r} is not known; give one of {', '.join(known)}")
    architecture = replace(
        architecture,
        context=network.context or architecture.context,
        attention=network.attention or architecture.attention,
    )
    if network.layers:
        architecture, lambda_max = replace(architecture, levels=1), objective.lambda_min
    return replace(
        preset,
        architecture=architecture,
        stages=(stage_of(cell, network, objective),),
        seed=seed,
        lambda_min=objective.lambda_min,
        lambda_max=lambda_max,
        batch=study.batch,
        crop=objective.crop,
        warmup_steps=study.warmup_steps,
        clip_norm=objective.clip_norm,
        holdout=study.holdout,
        precision=study.precision,
    )


def stage_of(cell: Cell, network: Network, objective: Objective) -> Stage:
    """The stage in which a cell is trained.

    The hyper-latent has noise in all soft stages. What a context of ours sees has noise of its own, as in the presets;
    that of other layers sees what the synthesis sees.
    """
    training = cell.training
    quantizer: Quantizer = StraightThrough() if training.hard else cell.quantizer
    context: Quantizer | None = None if training.hard else (quantizer if network.layers else Noise())
    early = EARLY_MSE if objective.loss == "ms-ssim" and cell.parent is None else {}
    encoder_side = LAYERED[network.layers].encoder_side if network.layers else CodecNetworks.encoder_side
    return Stage(
        name=training.stage,
        steps=training.steps,
        learning_rate=training.learning_rate,
        final_learning_rate=training.final_learning_rate,
        constant_steps=training.constant_steps,
        quantizer=quantizer,
        hyper_quantizer=Hard() if training.hard else Noise(),
        context_quantizer=context,
        loss=open_loss({"name": objective.loss, **early}),
        centring=cell.centring,
        scale_bound=cell.scale_bound,
        frozen=encoder_side if training.decoder_only else (),
    )


def fresh_networks(study: Study, cell: Cell, recipe: Recipe) -> Networks:
    """The networks of a cell with random weights, of the recipe's seed."""
    torch.manual_seed(recipe.seed)
    network = study.networks[cell.network]
    if network.layers:
        return make_networks({"layers": asdict(Layers(network.layers))})
    return start_from_dct(CodecNetworks(recipe.architecture, recipe.scaled))


@lru_cache(maxsize=1)
def _crops(data: Path, side: int) -> np.ndarray:
    """All crops, read once by a process for all of its runs."""
    return load_crops(data, side)


def crops_of(study: Study, recipe: Recipe, data: Path) -> Crops:
    """The crops of a recipe. Raises ClicError where they do not fit together."""
    return split_crops(_crops(data, study.side), recipe, data)


def _train(job: Job) -> Iterator[Step]:
    """Train a run to its end, from where it was left."""
    cell, folder = job.cell, job.out / "training" / job.name
    recipe = recipe_of(job.study, cell, job.seed)
    stage, checkpoint = recipe.stages[0], folder / f"{cell.training.stage}.safetensors"
    trainer = Trainer(recipe, stage, fresh_networks(job.study, cell, recipe))
    folder.mkdir(parents=True, exist_ok=True)
    if checkpoint.exists():
        trainer.resume(checkpoint)
    elif cell.parent:
        trainer.start_from(load_networks(networks_path(job.out, cell.parent, job.seed))[0])
    for step in train_stage(trainer, crops_of(job.study, recipe, job.data), checkpoint):
        if step % TOLD_STEPS == 0:
            yield Step(step)
    with torch.no_grad():
        for name, parameter in trainer.networks.named_parameters():
            parameter.copy_(trainer.average[name])
    about = {"stage": stage.name, "steps": stage.steps, "seconds": trainer.seconds, "scale_bound": cell.scale_bound}
    save_networks(job.networks, trainer.networks, about)
    checkpoint.unlink()


def roundings(study: Study, cell: Cell, skip_uncoded: bool) -> dict[str, Quantization]:
    """By mode, what is rounded around: first what the cell was trained with.

    Noise is the same around the mean and around 0 in training, so that one checkpoint answers for both.
    """
    bound, layers = cell.scale_bound, study.networks[cell.network].layers
    centred = Quantization(Hard(), Hard(), None, Centring(), bound, skip_uncoded=skip_uncoded)
    around_zero = Quantization(Hard(), Hard(), Hard(), Centring(zero_centre=False), bound)
    if not cell.centring.zero_centre:
        return {HARD: around_zero, CENTRED: centred}
    has_means = bool(layers) and issubclass(LAYERED[layers], HyperpriorNetworks)
    both = has_means and isinstance(cell.quantizer, Noise) and not cell.training.hard
    return {HARD: centred, **({AROUND_ZERO: around_zero} if both else {})}


def _state(job: Job, skip: Skip) -> Iterator[Stated]:
    """What the networks state of each image, at each level, in each mode. In training, none leaves an element out."""
    networks, _ = load_networks(job.networks)
    stage = recipe_of(job.study, job.cell, job.seed).stages[0]
    modes = {name: (one, 1) for name, one in roundings(job.study, job.cell, skip == "on").items()}
    if skip == "off":
        modes[TRAINING] = (stage.quantization, 1 if job.cell.training.hard else job.study.draws)
    for place, original in enumerate(job.originals):
        pixels = load_rgb(Path(original.path))
        reference, image = Reference(pixels), padded(pixels, networks.multiple)
        for level in range(networks.levels):
            for mode, (quantization, draws) in modes.items():
                passes = []
                for draw in range(draws):
                    generator = torch.Generator().manual_seed(job.seed * DRAW_SEEDS + place * draws + draw)
                    with torch.inference_mode():
                        output = networks(image, torch.tensor([level]), quantization, generator, 1.0)
                    score = reference.score(to_pixels(output.image, pixels.shape[1], pixels.shape[0]))
                    bits = float(output.latent_bits + output.hyper_bits)
                    passes.append({"bits": bits, **asdict(score), "mse": score.mse / PEAK**2})
                means = {name: float(np.mean([one[name] for one in passes])) for name in passes[0]}
                yield Stated(skip, original.sha256, level, mode, means)
