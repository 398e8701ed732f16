"""What of a study is asked for, with which crops and images, and into which folder."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ClicError
from submission.study.asked import NEEDS_GRADIENTS, cells_of
from submission.study.cells import Cell
from submission.study.plan import Study, study_names

GRADIENTS = "G"  # a row without cells
Run = tuple[Cell, int]


@dataclass(frozen=True)
class Request:
    """What a study is done with: crops, folders of images (the first for all cells), folder of results, processes.

    `rows`, `seeds` and `networks` are those to be done, all of the study's where empty, and what their runs go on from;
    with `questions`, what these primary questions rest on alone. With `train_only` nothing is coded, and no images are
    needed.
    """

    data: Path
    images: tuple[Path, ...]
    out: Path
    jobs: int = 2
    rows: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    questions: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    train_only: bool = False

    @property
    def with_gradients(self) -> bool:
        """Whether row G is asked for."""
        if self.train_only:
            return False
        asked = not self.questions or any(name in NEEDS_GRADIENTS for name in self.questions)
        return asked and (not self.rows or GRADIENTS in self.rows)

    @property
    def gradients_alone(self) -> bool:
        """Whether row G is all that is asked for."""
        return self.rows == (GRADIENTS,)

    def runs(self, study: Study) -> list[Run]:
        """What of a study is asked for. Raises ClicError for a question, row or network that there is not."""
        _check("row", self.rows, [cell.row for cell in study.cells] + [GRADIENTS], study)
        _check("network", self.networks, study.networks, study)
        rests_on = cells_of(self.questions)
        return study.runs(self.rows, self.seeds, lambda cell: rests_on(cell) and self.takes(cell.network))

    def takes(self, network: str) -> bool:
        """Whether runs of a network are asked for."""
        return not self.networks or network in self.networks

    def command(self, study: str) -> str:
        """As a person repeats it, with folders by their names."""
        name = study if study in study_names() else f"{study}.toml"
        images = " ".join(folder.resolve().name for folder in self.images)
        words = (
            f"clic ablate {name} --data {self.data.resolve().name} --images {images} --out {self.out.resolve().name}"
        )
        parts = {"rows": self.rows, "questions": self.questions, "networks": self.networks, "seeds": self.seeds}
        asked = [f" --{name} {','.join(map(str, part))}" for name, part in parts.items() if part]
        return f"{words} --jobs {self.jobs}{''.join(asked)}"


def _check(kind: str, asked: Iterable[str], there: Iterable[str], study: Study) -> None:
    names = dict.fromkeys(there)
    for name in asked:
        if name not in names:
            raise ClicError(f"study {study.name!r} has no {kind} {name!r}; it has {', '.join(names)}")
