"""`clic train`: the codec's models, from crops and a recipe."""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "train the models of the codec"


def add_arguments(parser: ArgumentParser) -> None:
    """The recipe, the crops, the run's folder, and the stage."""
    parser.add_argument("--config", default="clic", help="name in submission/presets, or a TOML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of crops of at least 512 x 512 pixels")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run: checkpoint and log")
    parser.add_argument("--context", help="kind of context model, instead of the recipe's: 3d or checkerboard")
    parser.add_argument("--stage", choices=["soft", "hard"], default="soft")
    parser.add_argument("--steps", type=int, default=20_000, help="steps of the whole schedule")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop earlier, to be resumed")
    parser.add_argument("--start", type=Path, help="checkpoint, or the name of shipped weights, to start from")


def run(options: Namespace) -> int:
    """Train, or go on, and print where the checkpoint is."""
    from dataclasses import replace

    from decoder.context import CONTEXTS
    from harness.errors import ClicError
    from submission.training.train import CONFIGS, Recipe, train

    named = CONFIGS / f"{options.config}.toml"
    recipe = Recipe.read(named if named.exists() else Path(options.config))
    if options.context and options.context not in CONTEXTS:
        raise ClicError(f"context {options.context!r}: not known; give one of {', '.join(CONTEXTS)}")
    if options.context:
        recipe = replace(recipe, shape=replace(recipe.shape, context=options.context))
    try:
        path = train(recipe, options.data, options.out, options.stage, options.steps, options.minutes, options.start)
    except ValueError as error:
        raise ClicError(str(error)) from error
    print(path)
    return 0
