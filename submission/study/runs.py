"""`runs.csv`: all measurements of a study, a row for each trained network, level, image and mode.

It is exported from the store and sorted, so that a study that was killed and went on gives the same file, `seconds`
apart. An `experiment` row of the store says what was trained, the `candidate` rows of its codec what was coded, and
`score` rows what the networks state without coding.
"""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from harness.errors import ClicError
from harness.files import sha256, write_atomic
from harness.records import Candidate, CodecConfig, Experiment, Image, Member, Score
from harness.store import Store

RUNS = "runs.csv"
CODED, HARD, TRAINING = "coded", "hard", "training"
CENTRED, AROUND_ZERO = "hard-centred", "hard-around-zero"  # of the same weights, rounded around the other thing
STATED = (
    HARD,
    CENTRED,
    AROUND_ZERO,
    TRAINING,
)  # modes whose figures are scores of a candidate's key, named MODE_FIGURE
FIGURES = ("bits", "mse", "msssim_competition", "msssim_paper")
PEAK = 255.0


@dataclass(frozen=True)
class RunRow:
    """One image at one level of one trained network, in one mode.

    `mode` is "coded" (real bytes), "hard" (bits that the networks state for rounded latents) or "training" (the
    surrogate's own forward, a mean over draws). "hard" rounds around what the networks were trained with: their means,
    or 0 where `zero_centre` is off. Those are stated around their means too, as they are coded ("hard-centred"); and of
    `noise`, to which it is the same in training, H around 0 as well ("hard-around-zero"). `mse` is of pixels in 0..1,
    by 8-bit pixels in all modes. `steps` and `seconds` are those of the last stage alone, `parameters` the number of
    weights. `temperature` is a number, or a schedule as "1 to 8". What does not apply is None, or an empty text.
    """

    study: str
    row: str
    cell: str
    network: str
    surrogate: str
    temperature: str
    routing: str
    slope: str
    zero_centre: str
    stop_gradient: str
    scale_bound: float
    mean_gradient: str
    skip_uncoded: str
    stage: str
    parent: str
    objective: str
    level: int
    lambda_: float
    seed: int
    steps: int
    seconds: float
    parameters: int
    image_set: str
    image: str
    width: int
    height: int
    mode: str
    bits: float
    mse: float
    msssim_competition: float | None
    msssim_paper: float | None
    codec: str


HEADER = tuple("lambda" if field.name == "lambda_" else field.name for field in fields(RunRow))
OF_CELL = (  # columns that an experiment's `cell` holds as JSON
    "row",
    "cell",
    "network",
    "surrogate",
    "temperature",
    "routing",
    "slope",
    "zero_centre",
    "stop_gradient",
    "scale_bound",
    "mean_gradient",
    "skip_uncoded",
    "parent",
    "objective",
    "level",
    "parameters",
)


def export_runs(store: Store, study: str, image_sets: Mapping[str, str]) -> list[RunRow]:
    """The rows of a study, sorted; `image_sets` gives the name of each set by its id in the store."""
    images = {image.sha256: image for image in store.rows(Image)}
    configs = {codec.sha256: sha256(codec.config.encode()) for codec in store.rows(CodecConfig)}
    coded: dict[tuple[str, str], dict[str, Candidate]] = {}
    for candidate in store.rows(Candidate):
        coded.setdefault((candidate.codec, candidate.point), {})[candidate.image] = candidate
    scores: dict[tuple[str, str], dict[str, dict[str, float]]] = {}
    for score in store.rows(Score):
        of_images = scores.setdefault((score.codec, score.point), {})
        of_images.setdefault(score.image, {})[score.metric] = score.value
    rows = []
    for experiment in store.rows(Experiment, study=study):
        cell = json.loads(experiment.cell)
        point = str(cell["level"])
        candidates = coded.get((experiment.codec, point), {})
        stated = scores.get((experiment.codec, point), {})
        for image_set, title in image_sets.items():
            for member in store.rows(Member, image_set=image_set):
                image = images[member.image]
                for mode, figures in _modes(candidates.get(image.sha256), stated.get(image.sha256, {})):
                    rows.append(
                        RunRow(
                            study=study,
                            **{name: cell[name] for name in OF_CELL} | {"temperature": _temperature(cell)},
                            stage=experiment.stage,
                            lambda_=experiment.lambda_,
                            seed=experiment.seed,
                            steps=experiment.steps,
                            seconds=experiment.seconds,
                            image_set=title,
                            image=member.name,
                            width=image.width,
                            height=image.height,
                            mode=mode,
                            codec=configs[experiment.codec] if mode == CODED else "",
                            **figures,
                        )
                    )
    return in_order(rows)


def _temperature(cell: Mapping[str, Any]) -> str:
    """As the text that it is; older experiments have the number of a schedule's end, or nothing."""
    given = cell["temperature"]
    return "" if given is None else f"{given:g}" if isinstance(given, float) else str(given)


def in_order(rows: Sequence[RunRow]) -> list[RunRow]:
    """The rows in the order of the file."""
    return sorted(rows, key=_order)


def _order(row: RunRow) -> tuple[str, str, str, int, int, str, str, str]:
    return row.row, row.cell, row.skip_uncoded, row.seed, row.level, row.image_set, row.image, row.mode


def _modes(candidate: Candidate | None, stated: Mapping[str, float]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The figures of an image in each mode that there is."""
    if candidate is not None:
        scores = {name: getattr(candidate, name) for name in FIGURES[1:]}
        yield CODED, _defined({"bits": 8.0 * candidate.bytes, **scores, "mse": candidate.mse / PEAK**2})
    for mode in STATED:
        if f"{mode}_bits" in stated:
            yield mode, _defined({name: stated[f"{mode}_{name}"] for name in FIGURES})


def _defined(figures: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def write_runs(path: Path, rows: Sequence[RunRow]) -> None:
    """Write the rows as CSV, atomically; numbers so that reading gives them back in every digit."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(["" if value is None else value for value in asdict(row).values()] for row in rows)
    write_atomic(path, text.getvalue().encode())


def read_runs(path: Path) -> list[RunRow]:
    """The rows of a `runs.csv`. Raises ClicError, with file and line, where it is none."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.reader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ClicError(
            f"{path}: cannot be read ({error}); give the folder of a study, as clic ablate made it"
        ) from error
    if not lines or tuple(lines[0]) != HEADER:
        raise ClicError(f"{path}: its first line is not that of a study's runs; make it anew with clic ablate")
    hints = get_type_hints(RunRow)
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            cells = zip(fields(RunRow), line, strict=True)
            rows.append(RunRow(**{field.name: _read(text, hints[field.name]) for field, text in cells}))
        except ValueError as error:
            raise ClicError(f"{path}: line {number}: {error}; make it anew with clic ablate") from error
    return rows


def _read(text: str, hint: Any) -> Any:
    """A cell's value as one of that type. Raises ValueError."""
    kinds = get_args(hint) or (hint,)
    if not text and NoneType in kinds:
        return None
    return kinds[0](text)
