"""What a table that is given out says of itself: image set, scores with definition and averaging, what it rests on.

For people it is a caption, for programs columns that say the same in each row.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leaderboard.curves import MEASURES
from leaderboard.overview import MEASURE, anchor, named, objective
from leaderboard.results import read_run

OF_EACH_IMAGE = "of each image: MS-SSIM by the definitions of competition and paper; MSE and PSNR in dB of RGB samples"


def facts(folder: Path, name: str, comparison: Mapping[str, Any] | None) -> dict[str, str]:
    """By the names of columns, what the table called `name` of the results in `folder` rests on.

    `comparison` is what `comparison.json` holds; None is a submission, whose photographs are told by count and name.
    """
    found = {"image_set": str(comparison["set"]) if comparison else _images(folder), "scores": _scores(name)}
    if not comparison:
        return {key: text for key, text in found.items() if text}
    if name in ("overview", "board", "images"):
        found["selected_by"] = objective(comparison)
    if name == "overview" and len(named(comparison)) > 1:
        found["anchor"] = anchor(comparison)
    return found


def caption(told: Mapping[str, str]) -> str:
    """The facts as a line for people; the anchor is in the heading of its column."""
    parts = [told.get("image_set", ""), told["scores"]]
    if "selected_by" in told:
        parts.append(f"operating points selected by {told['selected_by']}")
    if "anchor" in told:
        parts.append("bytes at equal MS-SSIM (BD-rate, each image at the same operating point)")
    return "; ".join(filter(None, parts)) + "."


def _scores(name: str) -> str:
    if name in ("images", "candidates"):
        return OF_EACH_IMAGE
    if name == "overview":
        return f"dB of {MEASURES[MEASURE]}"
    if name == "published":
        return "BD-rates against published curves, each by the measure that its row tells, every image at one point"
    return ", ".join(f"{column}: {measure}" for column, measure in MEASURES.items())


def _images(folder: Path) -> str:
    """The photographs of a submission, as `run.json` lists them; empty without it."""
    images = read_run(folder / "run.json").get("images")
    names = sorted(images) if isinstance(images, Mapping) else []
    if len(names) < 2:
        return "".join(names)
    return f"{len(names)} images, {names[0]} to {names[-1]}"
