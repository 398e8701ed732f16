"""What a study is made of: networks, objectives, ways to train, and the cells that combine them."""

from dataclasses import dataclass
from typing import Any, Literal

from submission.quantization.centring import Centring, MeanGradient
from submission.quantization.quantizer import Quantizer
from submission.quantization.registry import QUANTIZERS
from submission.study.subjects import LAYERED
from submission.training.loss import LOSSES
from submission.training.recipe import preset_names

Skip = Literal["off", "on"]
"""Whether elements of the smallest scales are left out in coding, as the shipped codec does."""


@dataclass(frozen=True)
class Network:
    """A network of a study: a preset's, with another context or attention, or one of `subjects.LAYERED`.

    `zero_centre` says whether it is trained with rounding around the mean. Coding always is. Of each set the first
    `coded_images` are coded, all where it is 0; what the networks state is asked of all.
    """

    preset: str = ""
    layers: str = ""
    context: str = ""
    attention: str = ""
    zero_centre: bool = True
    coded_images: int = 0

    def __post_init__(self) -> None:
        if (self.preset in preset_names()) == (self.layers in LAYERED):
            known = f"a preset ({', '.join(preset_names())}) or layers ({', '.join(LAYERED)})"
            raise ValueError(f"a network needs {known}, not {self.preset or self.layers!r}")


@dataclass(frozen=True)
class Objective:
    """A distortion, and what goes with it: the side of its windows, its weight at the first and at the last level.

    A step's gradient is scaled down to a norm of `clip_norm`. Norms are in units of the distortion: 1 seldom cuts
    those of MS-SSIM, and always those of squared errors.
    """

    loss: str
    crop: int
    lambda_min: float
    lambda_max: float
    clip_norm: float

    def __post_init__(self) -> None:
        if self.loss not in LOSSES or self.crop % 64 or self.crop < LOSSES[self.loss].least_crop:
            raise ValueError(f"{self.loss!r} on windows of {self.crop}: give {', '.join(LOSSES)} and multiples of 64")
        if not self.clip_norm > 0:
            raise ValueError(f"clip_norm is {self.clip_norm}; give a number above 0")


@dataclass(frozen=True)
class Training:
    """One way to train: how long, how fast, and what. `stage` is what tables call it.

    With `decoder_only` the encoder's side stays as it is; with `hard` everything is rounded.
    """

    stage: str
    steps: int
    learning_rate: float
    final_learning_rate: float
    constant_steps: int = 0
    decoder_only: bool = False
    hard: bool = False
    mean_gradient: MeanGradient = "through"

    def __post_init__(self) -> None:
        if self.steps <= self.constant_steps:
            raise ValueError(f"{self.steps} steps are not more than constant_steps {self.constant_steps}")
        if (self.hard or self.mean_gradient == "true") and not self.decoder_only:
            raise ValueError("hard, and a true mean_gradient, give the encoder no gradient; set decoder_only")


@dataclass(frozen=True)
class Cell:
    """One way to come by a trained network; with a seed, a run. `name` is unique in its `row`.

    `quantizer` is the surrogate; where all is rounded, that of the cell from which it goes on. `everywhere` says
    whether it is coded on all sets of images, or on the first alone; it is coded once for each of `skip_uncoded`.
    """

    row: str
    name: str
    network: str
    objective: str
    training: Training
    quantizer: Quantizer
    centring: Centring
    scale_bound: float
    parent: "Cell | None" = None
    everywhere: bool = False
    skip_uncoded: tuple[Skip, ...] = ("off",)

    @property
    def key(self) -> tuple[str, str]:
        """What no two cells of a study share."""
        return self.row, self.name

    @property
    def has_steps(self) -> bool:
        """Whether its networks quantise each element in a step of its own, which no decoder of ours can."""
        return self.quantizer.scaled and not self.training.hard

    def columns(self) -> dict[str, Any]:
        """The settings, as columns of `runs.csv` have them."""
        return {
            "row": self.row,
            "cell": self.name,
            "network": self.network,
            "surrogate": surrogate_of(self.quantizer),
            "temperature": " to ".join(f"{number:g}" for number in temperatures_of(self.quantizer)) or None,
            "routing": getattr(self.quantizer, "routing", ""),
            "slope": getattr(self.quantizer, "slope", ""),
            "zero_centre": "on" if self.centring.zero_centre else "off",
            "stop_gradient": self.centring.stop_gradient,
            "scale_bound": self.scale_bound,
            "mean_gradient": self.training.mean_gradient,
            "parent": self.parent.name if self.parent else "",
            "objective": self.objective,
        }


def surrogate_of(quantizer: Quantizer) -> str:
    """A quantiser's name."""
    return next(name for name, kind in QUANTIZERS.items() if type(quantizer) is kind)


def temperatures_of(quantizer: Quantizer) -> tuple[float, ...]:
    """A quantiser's temperatures, or sharpnesses, at a stage's begin and end; one where it does not change."""
    given = getattr(quantizer, "temperature", getattr(quantizer, "alpha", ()))
    return (given,) if isinstance(given, int | float) else tuple(given)


def label_of(quantizer: Quantizer) -> str:
    """A quantiser in a cell's name: "sua-a 0.5 tied", "soft-rounding 1-8"."""
    parts = [surrogate_of(quantizer), "-".join(f"{number:g}" for number in temperatures_of(quantizer))]
    parts += [getattr(quantizer, name, "") for name in ("routing", "slope")]
    return " ".join(part for part in parts if part not in ("", "split", "unit"))
