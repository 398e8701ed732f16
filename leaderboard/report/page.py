"""The report of a run: one HTML file that holds all that it shows, with or without a network.

From `run.json` it reads, where they are there, `profile`, `date`, `images[NAME]` with its `note`, and for a
rate `rates[RATE]` with `selection` (`score`, `bound`, `objective`) and `verification` (`sandbox`,
`not_enforced`, `decoder_sha224`, `decoder_says`); the whole file is printed at the end of the page. Neither clock nor
machine enters it: the same files give the same page.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from harness.errors import ClicError
from harness.files import write_atomic
from leaderboard import units
from leaderboard.archived import NOTE, archived_rows, context_rows
from leaderboard.columns import LEADERBOARD
from leaderboard.curves import MEASURES, Curve, measured_curves
from leaderboard.report import plots
from leaderboard.report.pictures import Comparison, compare
from leaderboard.results import Results, read_results
from leaderboard.tables import cells

OWN_IMAGES = "the images of this run"
PLOT_WIDTHS = {"wide": 980, "narrow": 350}  # px: inside the page's text, and inside a phone's


@dataclass(frozen=True)
class RateFacts:
    """What is said of a rate beside its row of the leaderboard; None or empty where it was not recorded.

    `score` and `bound` are the selection's, in its objective; `gain_db` is the set's MS-SSIM less that of
    uniform quality at the same bits per pixel, in dB.
    """

    row: Any
    used: str
    share: float
    gain_db: float | None
    score: float | None
    bound: float | None
    objective: str
    decoder_sha224: str
    sandbox: str
    not_enforced: tuple[str, ...]
    decoder_says: str


@dataclass(frozen=True)
class ImageView:
    """One photograph on the page: its rows of `scores.csv` by rate, and its pictures."""

    anchor: str
    name: str
    note: str
    width: int
    height: int
    rows: Mapping[float, Any]
    pictures: Comparison


def _recorded(results: Results, rate: float) -> dict[str, Any]:
    """What `run.json` says of a rate, groups unfolded; what it says of the whole run holds for each rate."""
    facts: dict[str, Any] = {}
    for source in (results.run, results.recorded(rate)):
        for key, value in source.items():
            is_group = key in ("selection", "verification") and isinstance(value, dict)
            facts |= value if is_group else {key: value}
    return facts


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _sha224(decoder: Path, recorded: str) -> str:
    """Of the file itself; what the run recorded counts only once the file is gone."""
    try:
        with decoder.open("rb") as file:
            return hashlib.file_digest(file, "sha224").hexdigest()
    except FileNotFoundError:
        return recorded


def _rate_facts(results: Results, row: Any, curves: list[Curve]) -> RateFacts:
    facts = _recorded(results, row.rate)
    uniform = [db for curve in curves if (db := curve.at(row.bpp)) is not None]
    gain = units.decibels(row.msssim_competition) - max(uniform) if uniform else math.nan
    return RateFacts(
        row=row,
        used=units.budget_used(row.data_bytes, row.budget_bytes),
        share=row.data_bytes / row.budget_bytes if row.budget_bytes > 0 else math.nan,
        gain_db=_number(gain),
        score=_number(facts.get("score")),
        bound=_number(facts.get("bound")),
        objective=str(facts.get("objective") or "competition"),
        decoder_sha224=_sha224(results.rate_folder(row.rate) / "decoder.zip", str(facts.get("decoder_sha224") or "")),
        sandbox=str(facts.get("sandbox") or ""),
        not_enforced=tuple(map(str, facts.get("not_enforced") or ())),
        decoder_says=str(facts.get("decoder_says") or ""),
    )


def _note(source: Any) -> str:
    return str(source.get("note") or "") if isinstance(source, dict) else ""


def _image_views(
    results: Results, originals: Mapping[str, Path], progress: Callable[[int, int], None] | None
) -> list[ImageView]:
    rates = list(results.leaderboard["rate"])
    names = sorted(set(results.scores["image"]))
    missing = [name for name in names if name not in originals]
    if missing:
        raise ClicError(
            f"{results.folder / 'scores.csv'}: no original for {', '.join(missing)}; give the folder that was coded"
        )
    sources = results.run.get("images")
    notes = sources if isinstance(sources, dict) else {}
    scores = results.scores[results.scores["rate"].isin(rates)]
    views = []
    for number, name in enumerate(names, 1):
        rows = {row.rate: row for row in scores[scores["image"] == name].sort_values("rate").itertuples()}
        decoded = {rate: results.rate_folder(rate) / "images" / f"{name}.png" for rate in rates}
        first = rows[rates[0]]
        views.append(
            ImageView(
                anchor=f"image-{number}",
                name=name,
                note=_note(notes.get(name)),
                width=int(first.width),
                height=int(first.height),
                rows=rows,
                pictures=compare(originals[name], decoded),
            )
        )
        if progress:
            progress(number, len(names))
    return views


def _plot(results: Results, curves: list[Curve]) -> dict[str, Any]:
    board = results.leaderboard
    archived = archived_rows(board["rate"])
    axes = plots.domain(board, curves, archived)
    shown = [axes.holds(row.rate, units.decibels(row.msssim)) for row in archived.itertuples()]
    drawn: dict[str, Markup] = {
        name: plots.rd_plot(board, curves, archived, axes, width) for name, width in PLOT_WIDTHS.items()
    }
    return {"drawn": drawn, "legend": plots.legend(curves, archived), "left_out": len(shown) - sum(shown)}


def _rejected(results: Results) -> list[str]:
    """Rates of the run that have no row on the leaderboard."""
    rates = results.run.get("rates")
    if not isinstance(rates, dict):
        return []
    return [key for key in rates if key not in map(units.rate_name, results.leaderboard["rate"])]


def _boxes(facts: list[RateFacts]) -> list[tuple[list[float], RateFacts]]:
    """The rates by sandbox, so that the page says once what holds for several."""
    boxes: dict[tuple[str, tuple[str, ...]], list[RateFacts]] = {}
    for fact in facts:
        boxes.setdefault((fact.sandbox, fact.not_enforced), []).append(fact)
    return [([fact.row.rate for fact in same], same[0]) for same in boxes.values()]


def _profile(run: Mapping[str, Any]) -> str:
    profile = run.get("profile") or ""
    return str(profile.get("title") or profile.get("name") or "") if isinstance(profile, dict) else str(profile)


def write_report(
    results: Path, originals: Mapping[str, Path], progress: Callable[[int, int], None] | None = None
) -> Path:
    """Write `report.html` into the run's folder `results` and return its path.

    `originals` maps each image's name to its file; `progress`, where given, is called after each image with
    how many are done, and of how many. Raises ClicError for result files, originals or decoded images
    that are missing or do not fit together; an earlier report then stays as it was.
    """
    run = read_results(results)
    names = sorted(set(run.scores["image"]))
    coded = run.candidates[run.candidates["image"].isin(names)]
    curves = measured_curves(coded, OWN_IMAGES, MEASURES["msssim_competition"])
    sizes = run.scores.drop_duplicates("image")
    facts = [_rate_facts(run, row, curves) for row in run.leaderboard.itertuples()]
    environment = Environment(
        loader=PackageLoader("leaderboard.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "fixed": units.fixed,
        "integer": units.integer,
        "human": units.human_bytes,
        "rate": units.rate_name,
        "db": lambda msssim: units.fixed(units.decibels(msssim), 2),
        "isnan": pd.isna,
    }
    page = environment.get_template("report.html.j2").render(
        team=run.leaderboard["team"].iloc[0],
        codecs=sorted(set(run.scores["codec"])),
        profile=_profile(run.run),
        date=str(run.run.get("date") or ""),
        megapixels=float((sizes["width"] * sizes["height"]).sum()) / 1e6,
        rates=list(run.leaderboard["rate"]),
        columns=LEADERBOARD,
        board=cells(LEADERBOARD, run.leaderboard),
        facts=facts,
        boxes=_boxes(facts),
        rejected=_rejected(run),
        plot=_plot(run, curves),
        context=list(context_rows(run.leaderboard["rate"]).itertuples()),
        context_note=NOTE,
        images=_image_views(run, originals, progress),
        run_json=json.dumps(run.run, indent=2, ensure_ascii=False) if run.run else "",
    )
    write_atomic(results / "report.html", page.encode())
    return results / "report.html"
