"""What each effort of the encoder brings and takes: dB of a set at equal bytes, seconds an image.

    python -m submission.evidence.efforts PHOTOGRAPHS --out DIR [--efforts 0,2,5] [--rates 0.15,0.3] [--workers 2]

For each effort, what `clic submit` would code and select: one budget for the whole set at each rate, competition
MS-SSIM. Everything is kept in DIR, where a run that was interrupted goes on, and DIR/efforts.csv has the table.
The swept candidates are the same at every effort, so they are coded once, at effort 0, and shared. Seconds are of one
core by the clock, for all rates together and with the swept candidates, without reading, analysing and scoring.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from harness.codecs.protocol import Codec
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import list_images
from harness.progress import bar, log
from harness.rates import Rate
from harness.records import Candidate, Key
from harness.scores.aggregate import decibels
from harness.selection.exact import select
from harness.store import Store, open_store
from harness.sweep.executor import Executor
from harness.sweep.further import Goal, Swept, sweep_further
from harness.sweep.local import LocalProcesses
from harness.sweep.originals import Originals, record_originals
from harness.sweep.plan import Plan, describe
from harness.sweep.run import sweep
from submission.evidence.printed import figures, wide_console
from submission.refinement_plan import EFFORTS, OperatingPoint, iterations_of

SHOWN = "0,2,3,4,5,7,9"  # 0, 10, 15, 20, 50, 100 and 300 iterations
RATES = "0.075,0.15,0.3"


@dataclass(frozen=True)
class Run:
    """Where efforts are measured, on which photographs, for which rates."""

    store: Store
    originals: Originals
    rates: Sequence[Rate]
    executor: Executor

    @property
    def budgets(self) -> list[int]:
        """Bytes of the whole set, one number a rate."""
        pixels = sum(source.pixels for source in self.originals.images)
        return [rate.whole_bytes(pixels) for rate in self.rates]

    def plan(self, effort: str) -> tuple[Codec, Plan]:
        """The codec of an effort, and its sweep."""
        spec = f"clic,effort={effort}"
        codec = open_codec(spec)
        return codec, Plan(self.originals, describe(codec, spec))

    def candidates(self, effort: str) -> pd.DataFrame:
        """All candidates of an effort, coded as far as they are missing."""
        codec, plan = self.plan(effort)
        if effort != "0":
            self.share_swept(plan.codec.sha256)
        with bar(f"effort {effort}") as progress:
            sweep(plan, self.store, self.executor, progress=progress)
        return sweep_further([Swept(codec, plan)], self.store, self.executor, Goal(self.budgets))

    def share_swept(self, codec: str) -> None:
        """Give what effort 0 has swept to another effort, too."""
        _, plain = self.plan("0")
        for image in plain.images:
            coded = self.store.rows(Candidate, image=image, codec=plain.codec.sha256)
            known = [row for row in coded if row.point in plain.points]
            missing = set(self.store.missing(Key(image, codec, row.point) for row in known))
            for row in known:
                if Key(image, codec, row.point) in missing:
                    self.store.add(replace(row, codec=codec), self.store.stream(row.stream_sha256))

    def rows(self, effort: str) -> list[dict[str, float | str]]:
        """A row for each rate."""
        candidates = self.candidates(effort)
        refined = candidates["point"].map(lambda point: OperatingPoint.parse(point).refined_at is not None)
        images = candidates.groupby("image_sha256").first()
        megapixels = float((images["width"] * images["height"]).sum()) / 1e6
        one_each = candidates.drop_duplicates(["image_sha256", "point"])
        seconds = float(one_each["encode_seconds"].sum())
        refining = float(one_each["encode_seconds"][refined.loc[one_each.index]].sum())
        found: list[dict[str, float | str]] = []
        for rate, budget in zip(self.rates, self.budgets, strict=True):
            selection = select(candidates, budget)
            found.append(
                {
                    "effort": effort,
                    "iterations": iterations_of(effort),
                    "rate": str(rate),
                    "images": len(images),
                    "megapixels": round(megapixels, 3),
                    "budget_bytes": budget,
                    "bytes": selection.bytes,
                    "msssim_competition": selection.score,
                    "db": decibels(selection.score),
                    "seconds_an_image": round(seconds / len(images), 2),
                    "seconds_a_megapixel": round(seconds / megapixels, 2),
                    "refining_seconds_a_megapixel": round(refining / megapixels, 2),
                }
            )
        return found


def show(table: pd.DataFrame) -> None:
    """Print the table, with what each effort is above the first one."""
    rates = list(dict.fromkeys(table["rate"]))
    titles = [f"{rate} bpp\ndB of the set" for rate in rates]
    shown = figures("effort", "iterations", *titles, "s an image", "s a megapixel", "of these\nrefined points")
    first = table[table["effort"] == table["effort"].iloc[0]].set_index("rate")["db"]
    for effort, rows in table.groupby("effort", sort=False):
        db = rows.set_index("rate")["db"]
        row = rows.iloc[0]
        shown.add_row(
            str(effort),
            str(row["iterations"]),
            *(f"{db[rate]:.3f} ({db[rate] - first[rate]:+.3f})" for rate in rates),
            *(f"{row[name]:.1f}" for name in ("seconds_an_image", "seconds_a_megapixel")),
            f"{row['refining_seconds_a_megapixel']:.1f}",
        )
    wide_console().print(shown)


def main() -> int:
    """Measure effort after effort; print the table and write it."""
    parser = argparse.ArgumentParser(prog="python -m submission.evidence.efforts", description=__doc__)
    parser.add_argument("photographs", type=Path, help="folder of photographs that no setting was chosen on")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--efforts", default=SHOWN, help=f"0 to {len(EFFORTS) - 1}; default: {SHOWN}")
    parser.add_argument("--rates", default=RATES, help=f"bits per pixel; default: {RATES}")
    parser.add_argument("--workers", type=int, help="processes; default: one a core")
    options = parser.parse_args()
    try:
        efforts = sorted({*options.efforts.split(",")} | {"0"}, key=iterations_of)
        rates = [Rate.parse(rate) for rate in options.rates.split(",")]
        images = list_images(options.photographs)
        with open_store(options.out) as store:
            run = Run(store, record_originals(images, store), rates, LocalProcesses(options.workers))
            rows: list[dict[str, float | str]] = []
            for effort in efforts:
                rows += run.rows(effort)
                table = pd.DataFrame(rows)  # written after each effort: the last ones take hours
                write_atomic(options.out / "efforts.csv", table.to_csv(index=False, lineterminator="\n").encode())
                log(f"effort {effort}: done")
        show(table)
    except ClicError as error:
        log(str(error))
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
