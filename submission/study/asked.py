"""Which cells of the run table a primary question rests on, so that further seeds can be run for it alone."""

from collections.abc import Callable, Mapping, Sequence

from harness.errors import ClicError
from submission.quantization.annealing import SoftRounding
from submission.quantization.surrogates import Mixed, Noise, StraightThrough
from submission.quantization.uniform_annealing import UniformAnnealingA
from submission.study.cells import Cell

Rests = Callable[[Cell], bool]


def _stages(*stages: str) -> Rests:
    return lambda cell: cell.row == "T1" and cell.training.stage in stages


def _latents(cell: Cell) -> bool:
    compared = (Noise, StraightThrough, SoftRounding)
    return cell.row == "S2" and cell.network == "H" and isinstance(cell.quantizer, compared)


def _trade(cell: Cell) -> bool:
    between = isinstance(cell.quantizer, UniformAnnealingA) and cell.quantizer.routing == "split"
    return cell.row == "S" and (between or type(cell.quantizer) in (Noise, Mixed))


def _annealing(cell: Cell) -> bool:
    return cell.row == "S" and cell.network in ("H", "N")


RESTS_ON: Mapping[str, Rests] = {
    "P1": _stages("hard", "soft-continued"),
    "P2": _stages("hard", "decoder-only"),
    "P3": _latents,
    "P4": _trade,
    "P5": _annealing,
}
"""Cells that a question compares; what these go on from is trained with them. P4 needs row G as well."""
ROWS_OF: Mapping[str, Sequence[str]] = {"P1": ["T1"], "P2": ["T1"], "P3": ["S", "S2"], "P4": ["S"], "P5": ["S"]}
"""The rows that are run for a question."""
NEEDS_GRADIENTS = ("P4",)


def cells_of(questions: Sequence[str]) -> Rests:
    """Whether one of the questions rests on a cell; on all of them where none is asked. Raises ClicError."""
    unknown = [name for name in questions if name not in RESTS_ON]
    if unknown:
        raise ClicError(f"question {unknown[0]!r} is not one of the primary ones: {', '.join(RESTS_ON)}")
    return lambda cell: not questions or any(RESTS_ON[name](cell) for name in questions)
