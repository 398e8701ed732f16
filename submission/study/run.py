"""A study from its first run to its last: what is missing is trained, then coded, and recorded in the store.

Processes train, each with one thread; the process that the user started hands out the runs and writes the store. A run
is done when its `experiment` rows are there, one a level for each choice of `skip_uncoded`. One that was interrupted
goes on from its own checkpoint; one that was trained and lacks a choice is coded with that alone.
"""

import json
import math
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.images import SourceImage, list_images, look_at
from harness.imagesets import identify
from harness.locks import exclusive
from harness.progress import bar, counted, log
from harness.records import Experiment, Score
from harness.store import Store, open_store
from harness.sweep.executor import Executor, Lost, R, T
from harness.sweep.local import LocalProcesses
from harness.sweep.originals import Originals, record_originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep
from submission.study.cells import Cell, Skip
from submission.study.codec import SPEC, load_networks
from submission.study.gradients import FILE, as_texts, gradient_tasks, measure, read_gradients, write_gradients
from submission.study.job import Done, Job, Message, Original, Stated, Step, networks_path, recipe_of, run_name, work
from submission.study.made import write_made
from submission.study.plan import Study
from submission.study.request import Request, Run
from submission.study.runs import HARD, PEAK, RUNS, TRAINING, export_runs, write_runs

CODING_STEPS = 400  # of training, that coding the images takes as long as
EXPORT_SECONDS = 600.0  # between looks at the table of all runs, which takes seconds when it is long
DISTORTIONS: Mapping[str, Callable[[Mapping[str, float]], float]] = {  # of the figures in `runs.FIGURES`
    "mse": lambda figures: PEAK**2 * figures["mse"],
    "ms-ssim": lambda figures: 1 - figures["msssim_competition"],
}


@dataclass(frozen=True)
class ImageSet:
    """A folder of images as the store has it, and its name for people."""

    originals: Originals
    title: str


def run_study(study: Study, request: Request) -> Path:
    """Do what is missing of a study; returns the table of all runs, which is written on the way, too.

    What is only trained is in no table yet: the same request without `train_only` codes it, here or where the folder's
    `networks` are taken to.

    Raises ClicError where crops, images or folder do not do, and after all else is done where runs failed.
    """
    request.runs(study)  # before images are read: a name may be misspelt
    sources = [_images(folder, request.out, study.images) for folder in request.images]
    with exclusive(request.out), open_store(request.out) as store:
        sets = [ImageSet(record_originals(images, store), identify(images).label) for images in sources]
        conductor = _Conductor(study, request, store, sets)
        conductor.run_all()
        if not request.train_only:
            conductor.export()
    if request.with_gradients:
        _measure_gradients(study, request)
    if conductor.broken:
        name, reason = next(iter(conductor.broken.items()))
        raise ClicError(
            f"{counted(len(conductor.broken), 'run')} could not be done ({name}: {reason}); mend that and run the same "
            "command again, the rest is kept"
        )
    return request.out / RUNS


def _measure_gradients(study: Study, request: Request) -> None:
    """Row G: gradients on the networks that it names and that are there, into a table of its own."""
    path = request.out / FILE
    rows = read_gradients(path)
    there = {(row["network"], row["seed"]) for row in rows}
    tasks = [
        task
        for task in gradient_tasks(study, request.data, request.out, request.seeds or study.seeds)
        if request.takes(task.cell.network)
        and (task.cell.network, str(task.seed)) not in there
        and networks_path(task.out, task.cell, task.seed).exists()
    ]
    if request.gradients_alone and not (tasks or rows):
        after, stage = study.gradients.after
        raise ClicError(
            f"{request.out / 'networks'}: has none of the networks of row {after}, stage {stage}, on which gradients "
            f"are taken; train them first, by the same command with --rows {after}"
        )
    found: dict[tuple[str, int], list[dict[str, str]]] = {}
    with bar("gradients") as show:
        for task, row in LocalProcesses(request.jobs, math.inf).run(measure, tasks):
            key = (task.cell.network, task.seed)
            if isinstance(row, Lost):
                raise ClicError(f"gradients of {task.cell.name}, seed {task.seed}: {row.reason}; run the command again")
            found.setdefault(key, []).append(as_texts(row))
            show(len(found), len(tasks) + 1)
    if tasks:
        write_gradients(path, [*rows, *(row for part in found.values() for row in part)])


def _images(folder: Path, out: Path, limit: int) -> list[SourceImage]:
    if remark := look_at(folder, out):
        log(remark)
    images = list_images(folder)
    return images[:limit] if limit else images


@dataclass
class _Doing:
    """A run that a process is at: what was to be done, what is left of it, and what it has stated."""

    work: int
    left: int
    stated: list[Stated] = field(default_factory=list)


class _Here(Executor):
    """Codes in this process: the one that trained waits meanwhile, so no more cores are busy than there are jobs."""

    def run(self, work: Callable[[T], Iterator[R]], tasks: Iterable[T]) -> Generator[tuple[T, R | Lost], None, None]:
        for task in tasks:
            for result in work(task):
                yield task, result


class _Ready(Iterator[Job]):
    """Jobs whose parents are done. It may have none now and some later: `LocalProcesses` asks again."""

    def __init__(self, conductor: "_Conductor") -> None:
        self.conductor = conductor

    def __next__(self) -> Job:
        job = self.conductor.next_job()
        if job is None:
            raise StopIteration
        return job


class _Conductor:
    """Hands out runs, hears what comes of them, and writes it down."""

    def __init__(self, study: Study, request: Request, store: Store, sets: Sequence[ImageSet]) -> None:
        self.study, self.request, self.store, self.sets = study, request, store, sets
        self.recorded = {_key_of(row) for row in store.rows(Experiment, study=study.name)}
        self.runs = request.runs(study)
        self.waiting = [run for run in self.runs if not self._is_done(run)]
        self.commit, self.exported = _commit(), time.monotonic()
        self.broken: dict[str, str] = {}
        self.busy: dict[str, _Doing] = {}
        if self.waiting and len(self.waiting) < len(self.runs):
            there = len(self.runs) - len(self.waiting)
            log(f"study {study.name}: {there} of {counted(len(self.runs), 'run')} are there already")

    def run_all(self) -> None:
        """Do the runs that are missing; of those that cannot be done, and what goes on from them, keep the reason."""
        total = sum(
            self._window(cell) * (cell.training.steps + self._coding(cell.skip_uncoded)) for cell, _ in self.runs
        )
        results = LocalProcesses(self.request.jobs, math.inf).run(work, _Ready(self))
        with bar(f"study {self.study.name}", total - self._ahead()) as show, closing(results):
            for job, message in results:
                self._hear(job, message)
                show(total - self._ahead(), total)

    def next_job(self) -> Job | None:
        """The first run whose parent is done, taken from those that wait; None where there is none now."""
        for cell, seed in list(self.waiting):
            if cell.parent and (name := run_name(cell.parent, seed)) in self.broken:
                self.waiting.remove((cell, seed))
                self.broken[run_name(cell, seed)] = f"it goes on from {name}, which failed"
            elif cell.parent is None or self._is_done((cell.parent, seed)):
                self.waiting.remove((cell, seed))
                job = self._job((cell, seed))
                self.busy[job.name] = _Doing(work := self._work((cell, seed)), work)
                return job
        return None

    def _ahead(self) -> int:
        """What is to be done, in a unit that grows with time: the pixels of a window for each step."""
        return sum(map(self._work, self.waiting)) + sum(doing.left for doing in self.busy.values())

    def _work(self, run: Run) -> int:
        """What a run takes, in the same unit; less where its networks or one of its tables are there."""
        cell, seed = run
        trained = networks_path(self.request.out, cell, seed).exists()
        steps = self._coding(self._missing(run)) + (0 if trained else cell.training.steps)
        return steps * self._window(cell)

    def _coding(self, skips: Sequence[Skip]) -> int:
        return 0 if self.request.train_only else CODING_STEPS * len(skips)

    def _window(self, cell: Cell) -> int:
        return self.study.objectives[cell.objective].crop ** 2

    def export(self) -> None:
        """Write the table of all runs so far, and how they were made."""
        titles = {image_set.originals.id: image_set.title for image_set in self.sets}
        write_runs(self.store.folder / RUNS, export_runs(self.store, self.study.name, titles))
        commits = [row.commit for row in self.store.rows(Experiment, study=self.study.name)]
        write_made(self.store.folder, self.request.command(self.study.name), commits)
        self.exported = time.monotonic()

    def _is_done(self, run: Run) -> bool:
        return networks_path(self.request.out, *run).exists() if self.request.train_only else not self._missing(run)

    def _missing(self, run: Run) -> tuple[Skip, ...]:
        cell, seed = run
        return tuple(skip for skip in cell.skip_uncoded if (*cell.key, skip, seed) not in self.recorded)

    def _job(self, run: Run) -> Job:
        cell, seed = run
        originals = {}
        for image_set in self._sets_of(cell):
            for source in image_set.originals.images:
                digest = image_set.originals.hashes[source.name]
                originals[digest] = Original(digest, str(source.path.resolve()))
        images, skips = tuple(originals.values()), () if self.request.train_only else self._missing(run)
        return Job(self.study, cell, seed, self.request.data, self.request.out, images, skips)

    def _sets_of(self, cell: Cell) -> Sequence[ImageSet]:
        return self.sets if cell.everywhere else self.sets[:1]

    def _hear(self, job: Job, message: Message | Lost) -> None:
        """Take what a run says; with its last word, code the images and write it down."""
        doing = self.busy[job.name]
        if isinstance(message, Step):
            doing.left = doing.work - message.step * self._window(job.cell)
        elif isinstance(message, Stated):
            doing.stated.append(message)
        else:
            del self.busy[job.name]
            reason = "" if isinstance(message, Done) else message.reason
            try:
                for skip in () if reason else job.skips:
                    self._record(job, skip, [one for one in doing.stated if one.skip == skip])
            except ClicError as error:
                reason = str(error)
            if reason:
                self.broken[job.name] = reason
                log(f"study {self.study.name}: {job.name}: {reason}")

    def _record(self, job: Job, skip: Skip, stated: Sequence[Stated]) -> None:
        """Code the images with what a run left, and write the run down, for one choice of `skip_uncoded`."""
        cell, seed = job.cell, job.seed
        spec = f"{SPEC},checkpoint={job.networks},skip={skip}"
        codec = describe(open_codec(spec), spec)
        for image_set in () if cell.has_steps else self._sets_of(cell):
            sweep(Plan(self._coded(cell, image_set.originals), codec), self.store, _Here())
        self.store.put(
            *(
                Score(one.image, codec.sha256, str(one.level), f"{one.mode}_{name}", value)
                for one in stated
                for name, value in one.figures.items()
            )
        )
        networks, about = load_networks(job.networks)
        parameters = sum(parameter.numel() for parameter in networks.parameters())
        recipe = recipe_of(self.study, cell, seed)
        for level, weight in enumerate(recipe.lambdas().tolist()):
            columns = {**cell.columns(), "skip_uncoded": skip, "level": level, "parameters": parameters}
            loss = {mode: self._loss(stated, level, mode, weight, cell) for mode in (TRAINING, HARD)}
            self.store.append(
                Experiment(
                    id=None,
                    study=self.study.name,
                    cell=json.dumps(columns, sort_keys=True),
                    seed=seed,
                    stage=cell.training.stage,
                    lambda_=float(f"{weight:.6g}"),
                    steps=cell.training.steps,
                    seconds=round(float(about["seconds"]), 1),
                    commit=self.commit,
                    codec=codec.sha256,
                    training_loss=loss[TRAINING],
                    hard_loss=loss[HARD],
                )
            )
        self.recorded.add((*cell.key, skip, seed))
        coded = ", coded without small elements" if skip == "on" else ""
        log(f"study {self.study.name}: {run_name(cell, seed)}: {about['seconds']:.0f} core-seconds{coded}")
        if time.monotonic() - self.exported > EXPORT_SECONDS:
            self.export()

    def _coded(self, cell: Cell, originals: Originals) -> Originals:
        """Those of a set that are coded: the first ones, where the network is slow at it."""
        limit = self.study.networks[cell.network].coded_images
        images = originals.images[:limit] if limit else originals.images
        return replace(originals, images=images, hashes={one.name: originals.hashes[one.name] for one in images})

    def _loss(self, stated: Sequence[Stated], level: int, mode: str, weight: float, cell: Cell) -> float:
        """R + lambda D of a level in a mode, the mean over the images of the first set; NaN where none was stated."""
        images = self.sets[0].originals
        pixels = {images.hashes[source.name]: source.pixels for source in images.images}
        distortion = DISTORTIONS[self.study.objectives[cell.objective].loss]
        losses = [
            one.figures["bits"] / pixels[one.image] + weight * distortion(one.figures)
            for one in stated
            if (one.level, one.mode) == (level, mode) and one.image in pixels
        ]
        return sum(losses) / len(losses) if losses else math.nan


def _key_of(row: Experiment) -> tuple[str, str, str, int]:
    cell = json.loads(row.cell)
    return cell["row"], cell["cell"], cell["skip_uncoded"], row.seed


def _commit() -> str:
    """The commit of this code; empty where it is not in a repository."""
    words = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
