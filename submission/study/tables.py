"""All tables of a study, from its `runs.csv`, `gradients.csv` and `made.json`, and the files that they are printed in.

Everything is made in memory first, a pure function of the three files. So writing and checking differ in one word, and
a check that passes says that every printed figure follows from the measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import pandas as pd
from rich.console import Console

from harness.errors import ClicError
from harness.files import as_json, sha256, write_atomic
from harness.progress import counted, log
from submission.study import columns, frames, sentences, stages
from submission.study.contrasts import Contrast
from submission.study.cost import NOTE as COST_NOTE
from submission.study.cost import cost_rows
from submission.study.figures import figures_of
from submission.study.gradients import FILE as GRADIENTS
from submission.study.identical import identical_rows
from submission.study.made import FILE as MADE
from submission.study.made import Made, read_made
from submission.study.measured import Study, study_of
from submission.study.missing import missing_rows
from submission.study.named_files import soft_then_hard_csv, surrogates_csv
from submission.study.names import LETTERS, RECONSTRUCTIONS
from submission.study.page import page
from submission.study.published import PUBLIC_FIGURES, TABLE_1_NOTE
from submission.study.questions import SEEDS, Answer, answers
from submission.study.risks import Risks, read_risks
from submission.study.runs import RUNS, read_runs
from submission.study.table import Table

WIDTH = 120  # of what is printed into a file or a pipe
TITLES = {
    "T1": "Soft-then-hard and its controls, MS-SSIM",
    "T1m": "Soft-then-hard and its controls, MSE",
    "S": "Surrogates, each a branch of the trunk with noise",
    "S2": "Surrogates, after stage hard",
    "C": "Surrogates, from scratch",
    "D": "Bounds of the scale, zero-centre and stopped gradients",
    "X": "Context and attention",
}
"""Of the tables of contrasts, by row of the run table."""

QUESTIONS_TITLE = "The five primary questions"
STAGES_TITLE = "Soft-then-hard, stage by stage"
PARTS_TITLE = "What soft-then-hard is made of"
OF_ANSWERS = ("name", "question", "verdict", "reason")
OF_STAGES = ("objective", "image_set", "skips")
OF_CONTRASTS = ("image_set", "network", "skips")

STAGES_NOTE = (
    "Left out: what the same networks save where elements of the smallest scales are not coded, as in the shipped "
    "codec, against coding all of them. Gap: how much more J is in training than with hard rounding."
)
CONTRAST_NOTE = (
    "dJ/R is (J of the control - J) / R of the control at equal lambda, J = R + lambda D with hard rounding, D by the"
    " competition's MS-SSIM or the MSE: to first order the rate saved at equal quality, mean over levels. BD-rates "
    "are by the papers' MS-SSIM, or PSNR. Rate and quality (the same measure) at equal lambda say where the test lies "
    "beside its control: one that lies far along the curve has that counted in dJ/R, and not in its BD-rate. Sets are "
    "plain means over images. The interval over seeds is Student's, those over images a bootstrap of the mean over "
    "seeds. What was trained with rounding around 0 (J, zero-centre off) is compared as it was trained, by stated "
    "bits; beside that stands the same with both rounded around their means, as coding does."
)


@dataclass(frozen=True, eq=False)
class Findings:
    """All that a study's files say: what tables, figures, page and sentences are made from."""

    study: Study
    risks: Risks
    sources: Mapping[str, str]
    made: Made | None = None

    @cached_property
    def answers(self) -> list[Answer]:
        """To the five primary questions."""
        return answers(self.study, self.risks)

    @property
    def _by_three(self) -> list[Answer]:
        """What the first seeds answer alone; where there are no others, it is what all of them do."""
        first = [row for row in self.study.rows if row.seed <= SEEDS]
        if len(first) == len(self.study.rows) or not first:
            return self.answers
        return answers(study_of(first), self.risks.up_to(SEEDS))

    @cached_property
    def contrasts(self) -> dict[str, list[Contrast]]:
        """By row of the run table, those rows that have some."""
        rows = dict.fromkeys(cell.key.row for cell in self.study.cells)
        found = {row: list(frames.contrasts_of(self.study, row)) for row in rows}
        order = [*(row for row in TITLES if row in found), *(row for row in found if row not in TITLES)]
        return {row: found[row] for row in order if found[row]}

    @cached_property
    def agrees(self) -> list[str]:
        """Whether rows from scratch have the sign of finishing surrogates, one word each."""
        rows = frames.from_scratch_rows(self.study, self.contrasts.get("C", []))
        return rows["agrees"].tolist() if len(rows) else []

    @cached_property
    def sentences(self) -> list[str]:
        """What the numbers support beside the answers to the primary questions."""
        said = list(sentences.of_seeds(self.study, self.answers, self._by_three))
        for row in ("T1", "T1m"):
            said += sentences.of_stages(self.contrasts.get(row, []), self.study.image_sets)
        said.append(sentences.of_warm_starts(self.agrees, self.study.main_set))
        said += [sentences.of_contrast(one) for found in self.contrasts.values() for one in found]
        return [*said, sentences.SCOPE, RECONSTRUCTIONS, *([self.made.sentence] if self.made else [])]

    @cached_property
    def tables(self) -> list[Table]:
        """All tables that have a row."""
        return [table for table in _tables(self) if len(table.frame)]


def _tables(found: Findings) -> list[Table]:
    study = found.study
    on = f"All five are answered on {study.main_set}."
    holm = "Yes needs p below 0.05 after Holm's correction over the five; a question without data counts as p = 1."
    made = [
        Table("primary", QUESTIONS_TITLE, columns.ANSWERS, frames.answer_rows(found.answers), [holm, on], OF_ANSWERS),
        Table(
            "stages",
            STAGES_TITLE,
            columns.STAGES,
            stages.stage_rows(study),
            [LETTERS, STAGES_NOTE, TABLE_1_NOTE],
            OF_STAGES,
        ),
        Table("parts", PARTS_TITLE, columns.PARTS, stages.part_rows(study), [LETTERS, CONTRAST_NOTE], OF_STAGES),
    ]
    for row, contrasts in found.contrasts.items():
        title, name = TITLES.get(row, f"Row {row}"), f"row-{row.lower()}"
        notes = [LETTERS, CONTRAST_NOTE] if row in frames.SOFT_THEN_HARD else [CONTRAST_NOTE, RECONSTRUCTIONS]
        if row == "C":
            rows = frames.from_scratch_rows(study, contrasts)
            made.append(Table(name, title, columns.FROM_SCRATCH, rows, notes, OF_CONTRASTS))
        else:
            made.append(Table(name, title, columns.CONTRASTS, frames.contrast_rows(contrasts), notes, OF_CONTRASTS))
    how = [found.made.sentence] if found.made else []
    note = (
        "Deviation is of one draw; all three in units of the true gradient's root mean square. That gradient is a "
        "difference over a width of 0.05; the last figure is by how much it changes at 0.02 and at 0.1."
    )
    made += [
        Table(
            "gap",
            "Training, hard and coded",
            columns.GAP,
            frames.gap_rows(study),
            [RECONSTRUCTIONS],
            ["row", "image_set"],
        ),
        Table("gradients", "Gradient risk", columns.RISKS, found.risks.rows(), [note, RECONSTRUCTIONS], ["network"]),
        Table("identical", "Not run, since identical by construction", columns.IDENTICAL, identical_rows()),
        Table("cost", "What training cost", columns.COST, cost_rows(study), [COST_NOTE, *how]),
        Table("public", "Public figures, not ours", columns.PUBLIC, pd.DataFrame(PUBLIC_FIGURES)),
        Table("missing", "Not there yet", columns.MISSING, missing_rows(study, found.risks)),
    ]
    return [replace(one, frame=frames.rounded(one.frame)) for one in made]


def findings_of(folder: Path) -> Findings:
    """What a study's folder says. Raises ClicError where its `runs.csv` is missing or none."""
    sources = {
        name: sha256((folder / name).read_bytes()) for name in (RUNS, GRADIENTS, MADE) if (folder / name).is_file()
    }
    return Findings(study_of(read_runs(folder / RUNS)), read_risks(folder / GRADIENTS), sources, read_made(folder))


def printed(found: Findings) -> dict[str, bytes]:
    """All files of the tables, by their path in the folder."""
    files: dict[str, str] = {}
    for table in found.tables:
        files |= {
            f"tables/{table.name}.csv": table.csv(),
            f"tables/{table.name}.md": table.markdown(),
            f"tables/{table.name}.tex": table.latex(),
        }
    figures = figures_of(found.study, found.risks, found.contrasts)
    files |= {f"figures/{figure.name}.svg": figure.standalone() for figure in figures}
    files |= {
        "soft_then_hard.csv": soft_then_hard_csv(found.study),
        "surrogates.csv": surrogates_csv(found.study),
        "study.json": as_json(
            {
                "sources": found.sources,
                "tables": {table.name: table.records() for table in found.tables},
                "answers": [sentences.of_answer(answer, found.study.main_set) for answer in found.answers],
                "sentences": found.sentences,
            }
        ),
        "study.html": page(found.tables, figures, found.answers, found.sentences),
    }
    return {name: text.encode() for name, text in files.items()}


def differences(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """What of the folder's printed files is not what its measurements give, one line each."""
    said = []
    for name, content in files.items():
        path = folder / name
        if not path.is_file():
            said.append(f"{name}: missing")
        elif path.read_bytes() != content:
            said.append(f"{name}: {_first_difference(path.read_bytes(), content)}")
    for kind in ("tables", "figures"):
        known = {folder / name for name in files}
        said += [
            f"{path.relative_to(folder)}: not of this study" for path in _files(folder / kind) if path not in known
        ]
    return said


def _files(folder: Path) -> Sequence[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _first_difference(have: bytes, want: bytes) -> str:
    lines, wanted = have.splitlines(), want.splitlines()
    for number, (line, other) in enumerate(zip(lines, wanted, strict=False), start=1):
        if line != other:
            return f"line {number} is not what the measurements give"
    return f"has {counted(len(lines), 'line')}, the measurements give {len(wanted)}"


def write_tables(folder: Path, check: bool = False) -> int:
    """Print a study's tables and write all of their files; with `check` compare those that are there instead.

    Returns 0, or 1 where a printed figure does not follow from the folder's measurements. Raises ClicError where the
    folder has none, or a file cannot be written.
    """
    found = findings_of(folder)
    files = printed(found)
    if check:
        said = differences(folder, files)
        for line in said:
            log(line)
        if said:
            log(f"{counted(len(said), 'finding')}; clic ablate tables {folder} writes the files anew")
        else:
            log(f"{len(files)} files follow from {RUNS}, to the last digit")
        return 1 if said else 0
    try:
        for name, content in files.items():
            write_atomic(folder / name, content)
    except OSError as error:
        raise ClicError(f"{folder}: cannot be written ({error}); free space, or give another folder") from error
    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
    for table in found.tables:
        console.print(table.terminal(console.width))
    log(f"wrote {counted(len(files), 'file')} to {folder}; study.html holds them all")
    return 0
