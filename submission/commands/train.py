"""`clic train`: the codec's models, from crops and a recipe."""

import math
from argparse import ArgumentParser, Namespace
from pathlib import Path

HELP = "train the models of the codec; by several processes under torchrun"


def add_arguments(parser: ArgumentParser) -> None:
    """The recipe, the crops, the run's folder, and what to take of the recipe."""
    parser.add_argument("--preset", metavar="NAME", default="base", help="a recipe's name or .toml file; default: base")
    parser.add_argument("--data", metavar="FOLDER", type=Path, required=True, help="crops of at least 512 x 512 pixels")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder of the run, for checkpoints and log; a run that was interrupted goes on there",
    )
    parser.add_argument("--stage", metavar="NAME", help="train this stage alone; default: all of the recipe")
    parser.add_argument("--steps", metavar="N", type=int, help="steps of each stage; default: the recipe's")
    parser.add_argument("--minutes", metavar="M", type=float, default=math.inf, help="stop earlier, to be resumed")
    parser.add_argument(
        "--start", metavar="FROM", type=Path, help="a checkpoint (.safetensors) or the name of shipped weights"
    )
    parser.add_argument("--context", metavar="NAME", help="kind of context model, instead of the recipe's")


def run(options: Namespace) -> int:
    """Train, or go on, and print where the last stage's checkpoint is.

    Under torchrun (`torchrun --nproc-per-node 2 -m harness train ...`) the processes share each batch.
    """
    from harness.images import require_folder

    require_folder(options.data, "a folder of training crops")  # before torch takes its seconds
    from dataclasses import replace

    from decoder.context import CONTEXTS
    from harness.errors import ClicError
    from submission.training.parallel import is_first_process
    from submission.training.recipe import read_recipe
    from submission.training.train import Run, train

    recipe = read_recipe(options.preset)
    if options.context:
        if options.context not in CONTEXTS:
            raise ClicError(f"context {options.context!r}: not known; give one of {', '.join(CONTEXTS)}")
        recipe = replace(recipe, architecture=replace(recipe.architecture, context=options.context))
    stages = [recipe.stage(options.stage)] if options.stage else list(recipe.stages)
    if options.steps is not None:
        if options.steps < 1:
            raise ClicError(f"--steps {options.steps}: give a whole number above 0")
        stages = [replace(stage, steps=options.steps, constant_steps=0) for stage in stages]
    checkpoint = train(Run(recipe, options.data, options.out, options.start, options.minutes), stages)
    if is_first_process():
        print(checkpoint)
    return 0
