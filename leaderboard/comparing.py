"""A comparison from photographs to its report: what `clic compare` does, over the store of its folder."""

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from harness.challenge.profiles import Target
from harness.errors import ClicError
from harness.files import as_json, write_atomic
from harness.images import list_images, log_notes, look_at, require_room
from harness.imagesets import identify
from harness.locks import exclusive
from harness.progress import bar, log
from harness.rates import Rate
from harness.scores.objectives import objective, psnr
from harness.store import DATABASE, WRITTEN, Store, open_store
from harness.sweep.executor import Executor
from harness.sweep.originals import Originals, record_originals
from harness.sweep.plan import Plan
from leaderboard.columns import BD_RATES, comparison_columns
from leaderboard.comparison import Reached, Unreached, compare
from leaderboard.contenders import Choice, Contender, Request, choose, measure, plans, with_further
from leaderboard.decoded import FOLDER, decode_all, decode_seconds, pictures_folder
from leaderboard.report.compared import Compared, report_of_comparison
from leaderboard.report.model import Photograph, Reproduction
from leaderboard.report.page import NAME, write_page
from leaderboard.report.pictures import FOLDER as PICTURES
from leaderboard.tables import as_csv

COMPARISON_FILE = "comparison.json"
OWN = (COMPARISON_FILE, "comparison.csv", "bd-rates.csv", FOLDER, PICTURES)
LINKS = {
    COMPARISON_FILE: "all figures of this page",
    "comparison.csv": "the leaderboard",
    "bd-rates.csv": "the BD-rates",
    "scores.csv": "the score of each image at each rate",
    "candidates.csv": "every image at every operating point",
    "failures.csv": "what could not be coded, and why",
}
VERSIONED = ("clic-harness", "numpy", "pillow", "torch")


@dataclass(frozen=True)
class Compares:
    """What a comparison came to: its JSON, its page if any codec reached any rate, and codecs that failed."""

    comparison: Mapping[str, Any]
    page: Path | None
    failing: Sequence[str]


def require_own(images: Path, out: Path) -> None:
    """Raise ClicError where `out` is somebody else's: of a submission, or of no run of clic, or holds the photographs.

    A folder in which photographs were coded is welcome: what is in its store is not coded again.
    """
    if remark := look_at(images, out):
        log(remark)
    if any(images.resolve().is_relative_to((out / name).resolve()) for name in (FOLDER, PICTURES)):
        raise ClicError(f"{images}: lies where the comparison in {out} writes; choose another --out")
    if (out / "run.json").exists():
        raise ClicError(
            f"{out}: holds a submission (run.json), whose report this would replace; choose another --out, which may "
            "be the folder of another comparison or of 'clic encode'"
        )
    foreign = [name for name in (*OWN, *WRITTEN) if (out / name).exists()]
    if foreign and not (out / DATABASE).exists():
        raise ClicError(
            f"{out}: holds {', '.join(foreign)} and no {DATABASE}, so no run of clic wrote it; choose another --out"
        )


def compare_codecs(
    images_folder: Path, out: Path, request: Request, executor: Executor, rehash: bool = False
) -> Compares:
    """Code what is missing, select for each codec and rate, decode what was selected, and write the report.

    Raises ClicError for what the user can mend. A codec that fails on some photographs, and one that cannot reach a
    rate, are told with the reason; the others go on. `executor` codes; decoding is always done on this machine.
    """
    require_own(images_folder, out)
    images = list_images(images_folder)
    require_room(images)
    log_notes(images)
    with open_store(out) as store, exclusive(out):
        with bar("read") as progress:
            originals = record_originals(images, store, rehash, progress)
        with bar("identify") as progress:
            image_set = identify(images, progress=progress).label
        wanted = plans(request.codecs, originals)
        swept = [measure(plan, store, executor, rehash, bar) for plan in wanted]
        contenders = [with_further(one, store, executor, request.goal(images)) for one in swept]
        run = _Run(store, originals, request, contenders)
        choices = run.choices()
        for plan, chosen in run.chosen(choices):
            with bar(f"decode {plan.codec.name}") as progress:
                decode_all(plan, store, chosen, executor, progress)
        comparison = run.comparison(image_set, choices)
        page = run.write(images_folder, comparison, choices)
    return Compares(comparison, page, [one.name for one in contenders if len(one.failures)])


@dataclass(frozen=True)
class _Run:
    """What the steps of a comparison share."""

    store: Store
    originals: Originals
    request: Request
    contenders: Sequence[Contender]

    def choices(self) -> dict[tuple[str, Rate], Choice]:
        """What became of each codec at each rate."""
        pixels = sum(source.pixels for source in self.originals.images)
        found = {}
        for rate in dict.fromkeys(self.request.rates):
            target = Target(self.request.profile, rate, pixels)
            for contender in self.contenders:
                choice = choose(contender, self.store, target, self.request.objective)
                found[contender.name, rate] = choice
                if isinstance(choice.outcome, Unreached):
                    log(f"{contender.name} at {rate} bpp: {choice.outcome.reason}")
        return found

    def chosen(self, choices: Mapping[tuple[str, Rate], Choice]) -> list[tuple[Plan, dict[Path, pd.DataFrame]]]:
        """Each codec with its rows that were chosen, for itself or a union, by the folder of their pictures."""
        found: dict[str, tuple[Plan, dict[Path, pd.DataFrame]]] = {}
        for contender in self.contenders:
            folders = {
                pictures_folder(self.store.folder, contender.plan, str(rate)): choice.rows
                for (name, rate), choice in choices.items()
                if name == contender.name and choice.selection
            }
            for plan in contender.swept:
                _, of_codec = found.setdefault(plan.codec.sha256, (plan, {}))
                for folder, rows in folders.items():
                    of_codec[folder] = rows[rows["codec_sha256"] == plan.codec.sha256]
        return list(found.values())

    def candidates(self) -> pd.DataFrame:
        """Of all codecs that have some."""
        tables = [one.shown(one.candidates) for one in self.contenders if len(one.candidates)]
        if not tables:
            raise ClicError("no codec could code any of the images; mend what is named above, and run again")
        return pd.concat(tables, ignore_index=True)

    def comparison(self, image_set: str, choices: Mapping[tuple[str, Rate], Choice]) -> dict[str, Any]:
        """All of comparison.json."""
        with bar("compare") as progress:
            outcomes = [choice.outcome for choice in choices.values()]
            unions = [one.name for one in self.contenders if one.is_union]
            made = compare(image_set, self.candidates(), outcomes, progress, unions)
        for row in made["codecs"]:
            choice = choices[row["codec"], Rate.parse(row["rate"])]
            assert choice.selection is not None
            row |= {
                "budget_bytes": choice.budget,
                "objective": self.request.objective,
                "selection_score": choice.selection.score,
                "selection_bound": choice.selection.bound,
                "decode_seconds": decode_seconds(self.store, choice.rows),
            }
        return made | {"run": self._described()}

    def _described(self) -> dict[str, Any]:
        """What was run, so that it can be run again."""
        codecs = [one.plan.codec for one in self.contenders]
        return {
            "profile": self.request.profile.name,
            "objective": self.request.objective,
            "rates": [str(rate) for rate in dict.fromkeys(self.request.rates)],
            "order": [codec.name for codec in codecs],
            "codecs": {
                codec.name: {"spec": codec.spec, "sha256": codec.sha256, "config": json.loads(codec.config)}
                for codec in codecs
            },
            "failed": {one.name: one.failed for one in self.contenders if one.failed},
            "images": {
                source.name: {"file": source.path.name, "sha256": self.originals.hashes[source.name]}
                for source in self.originals.images
            },
            "versions": _versions(),
            "machine": f"{platform.system()} {platform.machine()}",
        }

    def write(
        self, images_folder: Path, comparison: Mapping[str, Any], choices: Mapping[tuple[str, Rate], Choice]
    ) -> Path | None:
        """Write JSON, tables and page; no page where no codec reached a rate."""
        out = self.store.folder
        scores = _scores(choices, objective(self.request.objective).columns)
        rows, rates = pd.DataFrame(comparison["codecs"]), pd.DataFrame(comparison["bd_rate"])
        if rates.empty:
            rates = pd.DataFrame(columns=[column.name for column in BD_RATES])
        self._write_failures(out / "failures.csv")
        write_atomic(out / COMPARISON_FILE, as_json(comparison).encode())
        write_atomic(out / "bd-rates.csv", as_csv(BD_RATES, rates).encode())
        if rows.empty:
            return None
        columns = comparison_columns(self.request.objective)
        write_atomic(out / "comparison.csv", as_csv(columns, rows).encode())
        write_atomic(out / "scores.csv", scores.to_csv(index=False, lineterminator="\n").encode())
        compared = Compared(
            comparison,
            self.candidates(),
            scores,
            self._photographs(choices),
            self._reproduction(images_folder),
            [(f"{name}: {about}", out / name) for name, about in LINKS.items() if (out / name).is_file()],
        )
        with bar("report") as progress:
            return write_page(report_of_comparison(compared), out / NAME, progress)

    def _write_failures(self, path: Path) -> None:
        """Write what could not be coded by any of the codecs, or remove what an earlier run wrote."""
        failures = pd.concat([one.failures for one in self.contenders], ignore_index=True).drop_duplicates()
        if failures.empty:
            path.unlink(missing_ok=True)
        else:
            write_atomic(path, failures.to_csv(index=False, lineterminator="\n").encode())

    def _photographs(self, choices: Mapping[tuple[str, Rate], Choice]) -> list[Photograph]:
        plans = {one.name: one.plan for one in self.contenders}
        return [
            Photograph(
                source.name,
                source.path,
                {
                    (name, float(rate.exact)): pictures_folder(self.store.folder, plans[name], str(rate))
                    / f"{source.name}.png"
                    for (name, rate), choice in choices.items()
                    if choice.selection
                },
                source.note,
            )
            for source in self.originals.images
        ]

    def _reproduction(self, images_folder: Path) -> Reproduction:
        described = self._described()
        request = self.request
        words = ["clic", "compare", "IMAGES", "--out", "DIR"]
        words += [word for one in self.contenders for word in ("--codec", one.plan.codec.spec)]
        words += ["--rates", ",".join(described["rates"]), "--profile", request.profile.name]
        words += ["--objective", request.objective]
        libraries = {
            f"{name}: {library}": str(value)
            for name, codec in described["codecs"].items()
            for library, value in _dictionary(codec["config"].get("versions")).items()
            if library not in VERSIONED
        }
        hashes = {f"configuration of {name} (SHA-256)": one["sha256"] for name, one in described["codecs"].items()}
        hashes |= {f"{image['file']} (SHA-256)": image["sha256"] for image in described["images"].values()}
        return Reproduction(
            command=shlex.join(words),
            machine=described["machine"],
            versions=described["versions"] | libraries,
            hashes=hashes,
            record=as_json(described),
        )


def _dictionary(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _scores(choices: Mapping[tuple[str, Rate], Choice], measured: Sequence[str]) -> pd.DataFrame:
    """Rows of scores.csv: codec, rate and image, with the scores that every image has and those `measured` beside."""
    tables = [
        choice.rows.assign(
            rate=str(rate),
            codec=name,
            point=choice.rows["image"].map(choice.outcome.points),
            bpp=8 * choice.rows["bytes"] / (choice.rows["width"] * choice.rows["height"]),
            psnr=choice.rows["mse"].map(psnr),
        )
        for (name, rate), choice in choices.items()
        if isinstance(choice.outcome, Reached)
    ]
    columns = ["codec", "rate", "image", "width", "height", "point", "bytes", "bpp"]
    columns += ["msssim_competition", "msssim_paper", "mse", "psnr"]
    columns += [*(name for name in measured if name not in columns), "pixels_sha256"]
    return pd.concat(tables, ignore_index=True)[columns] if tables else pd.DataFrame(columns=columns)


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:  # a codec may do without
            continue
    return versions
