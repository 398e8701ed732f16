"""A study that nobody ran: rows of `runs.csv` with known effects, and gradients with a known trade."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from zlib import crc32

import numpy as np

from submission.study.cells import surrogate_of, temperatures_of
from submission.study.gradients import GradientRow, gradient_tasks
from submission.study.plan import read_study
from submission.study.runs import RunRow, write_runs

SEEDS = (1, 2, 3)
IMAGES = [f"kodim{number:02}" for number in range(1, 7)]
KODAK, CLIC = "Kodak", "CLIC 2025 validation, 26 of 32"
LAMBDAS = {"ms-ssim": (1.2, 3.5, 10.0), "mse": (0.0067, 0.013, 0.025)}
SPREAD = 0.1  # per cent of rate, from seed to seed, of each cell by itself

PLAIN = RunRow(
    study="full",
    row="S",
    cell="",
    network="N",
    surrogate="noise",
    temperature="",
    routing="",
    slope="",
    zero_centre="on",
    stop_gradient="none",
    scale_bound=0.11,
    mean_gradient="through",
    skip_uncoded="off",
    stage="branch",
    parent="",
    objective="mse",
    level=0,
    lambda_=0.0067,
    seed=1,
    steps=2500,
    seconds=360.0,
    parameters=1000,
    image_set=KODAK,
    image="",
    width=768,
    height=512,
    mode="coded",
    bits=0.0,
    mse=0.0,
    msssim_competition=None,
    msssim_paper=None,
    codec="",
)


def plan() -> Iterator[tuple[RunRow, int]]:
    """All cells of the run table `full`, each with its number of levels, and as often as it is coded."""
    study = read_study("full")
    for cell in study.cells:
        about = replace(
            PLAIN,
            **cell.columns() | {"temperature": cell.columns()["temperature"] or ""},
            stage=cell.training.stage,
            steps=cell.training.steps,
        )
        levels = 1 if study.networks[cell.network].layers else 3
        for skip in cell.skip_uncoded:
            yield replace(about, skip_uncoded=skip), levels


def simulated(
    effects: Mapping[tuple[str, str], float] | None = None,
    seeds: Sequence[int] = SEEDS,
    spread: float = SPREAD,
    noise_seed: int = 0,
    gap: Mapping[str, float] | None = None,
) -> list[RunRow]:
    """All rows of the study. `effects` are the per cent of rate that (row, cell) saves at every level and image.

    Each cell's own deviation from seed to seed is `spread` per cent, whatever else is in the study, beside one that all
    cells of a seed share. J is
    larger in training by `gap` per cent of the rate, by surrogate.
    """
    rng = np.random.default_rng(noise_seed)
    shared = {seed: rng.normal(0, 2.0) for seed in seeds}
    of_image = {name: rng.uniform(0.5, 2.0) for name in IMAGES}
    rows = []
    for cell, levels in plan():
        saved = (effects or {}).get((cell.row, cell.cell), 0.0) + (1.0 if cell.skip_uncoded == "on" else 0.0)
        over = (gap or {}).get(cell.surrogate, 1.0)
        for seed in seeds:
            own = np.random.default_rng([noise_seed, seed, crc32(f"{cell.row} {cell.cell}".encode())])
            factor = 1 - (saved + shared[seed] + own.normal(0, spread)) / 100
            for level in range(levels):
                for image_set in (KODAK, CLIC) if cell.row == "T1" else (KODAK,):
                    for image, size in of_image.items():
                        about = replace(
                            cell,
                            seed=seed,
                            level=level,
                            lambda_=LAMBDAS[cell.objective][level],
                            image_set=image_set,
                            image=image,
                        )
                        rows += _modes(about, 0.1 * 2**level * size * factor, size / 2**level, over)
    return sorted(rows, key=lambda row: (row.row, row.cell, row.seed, row.level, row.image_set, row.image, row.mode))


def _modes(about: RunRow, bpp: float, distortion: float, over: float) -> Iterator[RunRow]:
    pixels = about.width * about.height
    loss = 0.03 * distortion
    shown = {"mse": 0.001 * distortion, "msssim_competition": 1 - 0.9 * loss, "msssim_paper": 1 - loss}
    if about.zero_centre == "off":  # around its means each has 2 % fewer bits than as it was trained
        yield replace(about, mode="hard-centred", bits=0.98 * bpp * pixels, **shown)
    elif (about.network, about.surrogate, about.stage) in (("H", "noise", "branch"), ("H", "noise", "soft")):
        yield replace(about, mode="hard-around-zero", bits=1.03 * bpp * pixels, **shown)
    yield replace(about, mode="hard", bits=bpp * pixels, **shown)
    if about.skip_uncoded == "off":
        yield replace(about, mode="training", bits=(1 + over / 100) * bpp * pixels, **shown)
    if about.network != "J" or about.image in IMAGES[:4]:
        around = 0.98 if about.zero_centre == "off" else 1.0
        yield replace(about, mode="coded", bits=8.0 * round(around * bpp * pixels / 8 + 5), codec="c" * 64, **shown)


def rising(temperature: float) -> float:
    """From half of the truth to all of it."""
    return 1.0 - 0.5 * temperature


def write_gradients(path: Path, bias_at: Callable[[float], float] = rising, seeds: Sequence[int] = SEEDS) -> None:
    """Gradients of the trunks of F, H and N. `bias_at` gives the bias at a temperature, as a share of the truth."""
    rng = np.random.default_rng(1)
    study = read_study("full")
    names = [one.name for one in fields(GradientRow)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        for task in gradient_tasks(study, path, path, seeds):
            for one in task.surrogates:
                surrogate, temperature = (
                    surrogate_of(one),
                    (float(temperatures_of(one)[-1]) if temperatures_of(one) else None),
                )
                t = {"noise": 1.0, "universal": 1.0}.get(surrogate, temperature or 0.0)
                bias = bias_at(min(t, 1.0))
                moved = bias * rng.normal(1, 0.02)
                about = {"network": task.cell.network, "seed": task.seed, "surrogate": surrogate}
                about |= {"temperature": "" if temperature is None else temperature, "draws": 32}
                about |= {name: getattr(one, name, "") for name in ("routing", "slope")}
                for channel in range(4):
                    for parameter in ("shift", "gain"):
                        truth = 1.0 + channel
                        figures = {"mean": truth * (1 + moved), "deviation": 0.2 * truth, "truth": truth}
                        figures |= {"truths": f"{truth} {truth} {1.1 * truth}", "mismatch": min(t, 1.0) ** 2 / 6}
                        writer.writerow({**about, "parameter": parameter, "channel": channel, **figures})


def write_study(folder: Path, rows: Sequence[RunRow]) -> Path:
    """A folder with the two files that tables are made from."""
    folder.mkdir(exist_ok=True)
    write_runs(folder / "runs.csv", rows)
    write_gradients(folder / "gradients.csv")
    return folder
