"""From the files of a run to what its page shows.

From `run.json` it reads, where they are there, `profile`, `date`, `team`, `codec`, `versions`, `machine`,
`images[NAME]` with its `note`, and for a rate `rates[RATE]` with `selection` (`score`, `bound`, `objective`) and
`verification` (`sandbox`, `not_enforced`, `decoder_sha224`, `decoder_says`); the whole file is shown at the page's end.
Neither clock nor machine enters it: the same files give the same page.
"""

import json
import math
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.challenge.archive import sha224
from harness.errors import ClicError
from harness.images import SourceImage
from harness.imagesets import identify
from leaderboard import units
from leaderboard.archived import archived_rows
from leaderboard.columns import LEADERBOARD
from leaderboard.curves import MEASURES, Curve, measured_curves
from leaderboard.report.model import Photograph, Report, Reproduction, Selected
from leaderboard.results import Results

FILES = {
    "leaderboard.csv": "the leaderboard",
    "scores.csv": "the score of each image at each rate",
    "candidates.csv": "every image at every operating point",
    "failures.csv": "what could not be coded, and why",
    "run.json": "settings, versions, hashes, checks",
    "comparison.json": "the comparison's figures",
}


def _recorded(results: Results, rate: float) -> dict[str, Any]:
    """What `run.json` says of a rate, groups unfolded; what it says of the whole run holds for each rate."""
    facts: dict[str, Any] = {}
    for source in (results.run, results.recorded(rate)):
        for key, value in source.items():
            is_group = key in ("selection", "verification") and isinstance(value, dict)
            facts |= value if is_group else {key: value}
    return facts


def _group(run: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = run.get(key)
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _sha224(decoder: Path, recorded: str) -> str:
    """Of the file itself; what the run recorded counts only once the file is gone."""
    try:
        return sha224(decoder)
    except FileNotFoundError:
        return recorded


def _selected(results: Results, row: Any, curves: list[Curve]) -> Selected:
    facts = _recorded(results, row.rate)
    uniform = [db for curve in curves if (db := curve.at(row.bpp)) is not None]
    gain = units.decibels(row.msssim_competition) - max(uniform) if uniform else math.nan
    return Selected(
        entrant=row.team,
        rate=row.rate,
        score=_number(facts.get("score")),
        bound=_number(facts.get("bound")),
        objective=str(facts.get("objective") or ""),
        gain_db=_number(gain),
        budget_bytes=_number(row.budget_bytes),
        data_bytes=_number(row.data_bytes),
        decoder_sha224=_sha224(results.rate_folder(row.rate) / "decoder.zip", str(facts.get("decoder_sha224") or "")),
        decoder_says=str(facts.get("decoder_says") or ""),
        sandbox=str(facts.get("sandbox") or ""),
        not_enforced=tuple(map(str, facts.get("not_enforced") or ())),
    )


def _rejected(results: Results) -> list[str]:
    """Rates of the run that have no row on the leaderboard."""
    rates = _group(results.run, "rates")
    absent = [key for key in rates if key not in map(units.rate_name, results.leaderboard["rate"])]
    return [
        f"{key} bpp did not pass the checks; the findings are in run.json, at the end of this page" for key in absent
    ]


def _photographs(results: Results, originals: Mapping[str, Path]) -> list[Photograph]:
    names = sorted(set(results.scores["image"]))
    missing = [name for name in names if name not in originals]
    if missing:
        raise ClicError(
            f"{results.folder / 'scores.csv'}: no original for {', '.join(missing)}; give the folder that was coded"
        )
    images = _group(results.run, "images")
    team = results.leaderboard["team"].iloc[0]
    return [
        Photograph(
            name=name,
            original=originals[name],
            decoded={
                (team, rate): results.rate_folder(rate) / "images" / f"{name}.png"
                for rate in results.leaderboard["rate"]
            },
            note=str(_group(images, name).get("note") or ""),
        )
        for name in names
    ]


def _image_set(results: Results, originals: Mapping[str, Path]) -> str:
    """The set's own name, where the originals are of a known set."""
    sizes = results.scores.drop_duplicates("image")
    sources = [
        SourceImage(row.image, originals[row.image], int(row.width), int(row.height)) for row in sizes.itertuples()
    ]
    return identify(sources).label


def _command(run: Mapping[str, Any]) -> str:
    profile, codec = _group(run, "profile"), _group(run, "codec")
    rates = profile.get("rates") or list(_group(run, "rates"))
    options = {
        "--profile": profile.get("name"),
        "--rates": ",".join(map(str, _group(run, "rates") or rates)),
        "--codec": codec.get("name"),
        "--objective": run.get("objective"),
        "--team": run.get("team"),
    }
    given = [f"{option} {shlex.quote(str(value))}" for option, value in options.items() if value]
    return " ".join(["clic submit IMAGES --out DIR", *given]) if given else ""


def _reproduction(results: Results) -> Reproduction:
    run = results.run
    codec = _group(run, "codec")
    hashes = {}
    if codec.get("sha256"):
        hashes[f"configuration of {codec.get('name')} (SHA-256)"] = str(codec["sha256"])
    for name, image in _group(run, "images").items():
        if isinstance(image, dict) and image.get("sha256"):
            hashes[f"{image.get('file') or name} (SHA-256)"] = str(image["sha256"])
    return Reproduction(
        command=_command(run),
        machine=str(run.get("machine") or ""),
        versions={str(name): str(version) for name, version in _group(run, "versions").items()},
        hashes=hashes,
        record=json.dumps(run, indent=2, ensure_ascii=False) if run else "",
    )


def _links(results: Results) -> list[tuple[str, Path]]:
    links = [(f"{name}: {about}", results.folder / name) for name, about in FILES.items()]
    data_file = str(_group(results.run, "profile").get("data_file") or "images.zip")
    for rate in results.leaderboard["rate"]:
        folder = results.rate_folder(rate)
        for name in ("decoder.zip", data_file):
            links.append((f"{name} at {units.rate_name(rate)} bpp", folder / name))
    return [(about, path) for about, path in links if path.is_file()]


def report_of_run(results: Results, originals: Mapping[str, Path]) -> Report:
    """The page of a run: one entrant, its team, at each rate.

    Raises ClicError where the run's tables do not fit together or an original is missing.
    """
    photographs = _photographs(results, originals)
    names = {photograph.name for photograph in photographs}
    image_set = _image_set(results, originals)
    coded = results.candidates[results.candidates["image"].isin(names)]
    curves = {name: measured_curves(coded, image_set, measure) for name, measure in MEASURES.items()}
    profile = _group(results.run, "profile")
    title = str(profile.get("title") or profile.get("name") or results.run.get("profile") or "")
    board = results.leaderboard.assign(entrant=results.leaderboard["team"])
    team = board["team"].iloc[0]
    return Report(
        title=team,
        over=" · ".join(filter(None, (title, str(results.run.get("date") or "")))),
        image_set=image_set,
        board=board,
        columns=LEADERBOARD,
        scores=results.scores[results.scores["rate"].isin(board["rate"])].assign(entrant=team),
        candidates=coded,
        photographs=photographs,
        curves=curves,
        archived=archived_rows(board["rate"]),
        selected=[_selected(results, row, curves["msssim_competition"]) for row in results.leaderboard.itertuples()],
        missing=_rejected(results),
        reproduction=_reproduction(results),
        links=_links(results),
    )
