"""A recipe: an architecture and a list of training stages, read from strict TOML.

Soft-then-hard (Guo et al., CLIC 2021) is two entries of that list. A recipe may extend another one: a preset's name, or
a path. Its keys then stand over the other's, those of `[architecture]` one by one; a list of stages replaces the
other's.
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from decoder.architecture import Architecture
from decoder.attention import ATTENTIONS
from decoder.context import CONTEXTS
from harness.errors import ClicError
from harness.settings import locate, names_in, read_table
from submission.quantization.centring import Centring
from submission.quantization.quantizer import Quantizer
from submission.quantization.registry import open_quantizer
from submission.quantization.scale import SCALE_MIN
from submission.quantization.settings import Quantization
from submission.training.loss import Loss, open_loss

PRESETS = Path(__file__).parents[1] / "presets"


@dataclass(frozen=True)
class Stage:
    """One stretch of training with its own optimiser, from the average that the stage before it left.

    `frozen` names parameters, or modules of them, that are not trained. `learning_rate` holds for `constant_steps`,
    then falls by a cosine to `final_learning_rate`. Levels are drawn by `level_shares`, one a level, or evenly.
    The other fields are those of `submission.quantization.settings.Quantization`.
    """

    name: str
    steps: int
    learning_rate: float
    final_learning_rate: float
    quantizer: Quantizer
    hyper_quantizer: Quantizer
    context_quantizer: Quantizer | None
    loss: Loss
    centring: Centring = field(default_factory=Centring)
    scale_bound: float = SCALE_MIN
    skip_uncoded: bool = False
    frozen: tuple[str, ...] = ()
    constant_steps: int = 0
    level_shares: tuple[float, ...] = ()

    @property
    def quantization(self) -> Quantization:
        """What stands in for rounding in this stage."""
        return Quantization(
            self.quantizer,
            self.hyper_quantizer,
            self.context_quantizer,
            self.centring,
            self.scale_bound,
            self.skip_uncoded,
        )

    def freezes(self, parameter: str) -> bool:
        """Whether a parameter of that name is not trained."""
        return any(parameter == name or parameter.startswith(f"{name}.") for name in self.frozen)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run but its crops.

    Distortion weighs `lambda_min` at the first level up to `lambda_max` at the last, in even ratios. `batch` crops of
    `crop` pixels make a step. `average_decay` is that of the moving average that is exported; `holdout` crops are kept
    out of training, for validation; `grey_share` of the training's windows are made grey.
    """

    architecture: Architecture
    stages: tuple[Stage, ...]
    seed: int
    lambda_min: float
    lambda_max: float
    batch: int
    crop: int
    warmup_steps: int
    clip_norm: float
    average_decay: float
    holdout: int
    grey_share: float = 0.0
    threads: int = 1
    precision: Literal["bfloat16", "float32"] = "bfloat16"

    def lambdas(self) -> Tensor:
        """Weight of distortion against bits per pixel at each level, (levels,)."""
        return torch.logspace(math.log10(self.lambda_min), math.log10(self.lambda_max), self.architecture.levels)

    @property
    def scaled(self) -> bool:
        """Whether a stage needs a quantisation step for each element, which all of them then have."""
        return any(stage.quantizer.scaled for stage in self.stages)

    def stage(self, name: str) -> Stage:
        """The stage of that name. Raises ClicError where there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ClicError(f"stage {name!r}: not in the recipe; it has {', '.join(stage.name for stage in self.stages)}")


def preset_names() -> list[str]:
    """Names of the recipes that come with the package."""
    return names_in(PRESETS)


def read_recipe(name: str) -> Recipe:
    """The recipe of a preset's name, or of the TOML file at a path.

    Raises ClicError, one line that names the file, the key and what is allowed there.
    """
    find = partial(locate, "recipe", PRESETS)
    path = find(name, Path())
    table = read_table(path, find)
    try:
        return _recipe(table)
    except ValueError as error:
        raise ClicError(f"{path}: {error}") from error


def _recipe(table: Mapping[str, Any]) -> Recipe:
    """Raises ValueError on anything that a recipe cannot have."""
    plain = {key: value for key, value in table.items() if key not in ("architecture", "stages")}
    given = {"architecture": table.get("architecture", {}), "stages": table.get("stages", [])}
    architecture = _architecture(given["architecture"])
    if not isinstance(given["stages"], list) or not given["stages"]:
        raise ValueError("a recipe needs at least one [[stages]]")
    stages = tuple(_stage(stage, architecture) for stage in given["stages"])
    names = [stage.name for stage in stages]
    if len(set(names)) < len(names):
        raise ValueError(f"two stages have the same name among {', '.join(names)}")
    checked = arguments_of("", plain, Recipe, {"architecture", "stages"})
    return Recipe(architecture=architecture, stages=stages, **checked)


def _architecture(table: Mapping[str, Any]) -> Architecture:
    checked = arguments_of("architecture: ", table, Architecture, set())
    for key, known in (("context", CONTEXTS), ("attention", ATTENTIONS)):
        if checked.get(key, next(iter(known))) not in known:
            raise ValueError(f"architecture: {key} is {checked[key]!r}; give one of {', '.join(known)}")
    architecture = Architecture(**checked)
    sizes = (architecture.stride4, architecture.stride8, architecture.stride16, architecture.hyper)
    if min(*sizes, architecture.features, *architecture.groups) < 1 or len(architecture.blocks) != 3:
        raise ValueError("architecture: widths must be above 0, and blocks three numbers")
    if architecture.levels < 2:
        raise ValueError(f"architecture: levels is {architecture.levels}; give 2 or more, between which gains lie")
    return architecture


AS_CODED = ("context_quantizer", "walk")  # the context sees the very latent that is coded
QUANTIZER_KEYS = ("quantizer", "hyper_quantizer", "context_quantizer")


def _stage(table: Mapping[str, Any], architecture: Architecture) -> Stage:
    where = f"stage {table.get('name', 'without a name')!r}: "
    objects = {*QUANTIZER_KEYS, "loss", "centring"}
    checked = arguments_of(where, {key: value for key, value in table.items() if key not in objects}, Stage, objects)
    try:
        for key in QUANTIZER_KEYS:
            checked[key] = None if (key, table[key]) == AS_CODED else open_quantizer(table[key])
        checked["loss"] = open_loss(table["loss"])
        checked["centring"] = Centring(**arguments_of("centring: ", table.get("centring", {}), Centring, set()))
        stage = Stage(**checked)
        _ = stage.quantization  # which checks what goes with what
    except KeyError as error:
        raise ValueError(f"{where}key {error.args[0]!r} is missing") from error
    except ValueError as error:
        raise ValueError(f"{where}{error}") from error
    if stage.steps <= stage.constant_steps:
        raise ValueError(f"{where}steps must be more than constant_steps")
    if stage.level_shares and (len(stage.level_shares) != architecture.levels or sum(stage.level_shares) <= 0):
        raise ValueError(f"{where}level_shares must be {architecture.levels} numbers, one a level")
    return stage


def arguments_of(where: str, table: Mapping[str, Any], kind: type, elsewhere: set[str]) -> dict[str, Any]:
    """The table as arguments of the dataclass `kind`: each key known, present and of its type."""
    hints = get_type_hints(kind)
    known: dict[str, Field[Any]] = {field.name: field for field in fields(kind) if field.name not in elsewhere}
    for key in table:
        if key not in known:
            raise ValueError(f"{where}unknown key {key!r}; allowed are {', '.join(sorted({*known, *elsewhere}))}")
    for key, wanted in known.items():
        if key not in table and wanted.default is MISSING and wanted.default_factory is MISSING:
            raise ValueError(f"{where}key {key!r} is missing")
    return {key: _value(where + key, value, hints[key]) for key, value in table.items()}


def _value(key: str, value: Any, kind: Any) -> Any:
    """The value as a `kind`: a plain type, a choice of texts, or a tuple of plain types. Raises ValueError."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise ValueError(f"{key} is {value!r}; give one of {', '.join(get_args(kind))}")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{key} is {value!r}; give a list")
        return tuple(_value(key, entry, get_args(kind)[0]) for entry in value)
    right = (int, float) if kind is float else (kind,)
    if type(value) not in right or (kind in (int, float) and (not math.isfinite(value) or value < 0)):
        words = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise ValueError(f"{key} is {value!r}; give {words[kind]}{' not below 0' if kind in (int, float) else ''}")
    return value if kind is not float else float(value)
