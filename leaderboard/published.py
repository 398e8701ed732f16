"""Published curves, shipped as data in `anchors/`; its README says where each came from and what is not established."""

from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from harness.imagesets import canonical
from leaderboard.curves import NOT_STATED, Averaging, Curve, Measure, Point, Provenance
from leaderboard.results import read_table
from leaderboard.units import decibels

POINTS = Path(__file__).parent / "anchors" / "points.csv"
COLUMNS: dict[str, type] = {
    "codec": str,
    "trained_for": str,
    "set": str,
    "metric": str,
    "definition": str,
    "averaging": str,
    "bpp": float,
    "value": float,
    "unit": str,
    "repository": str,
    "path": str,
    "commit": str,
    "note": str,
}
METRICS = ("ms-ssim", "psnr")
CURVE = [name for name in COLUMNS if name not in ("bpp", "value")]
NO_TRAINING = ("conventional", NOT_STATED)


def read_points(path: Path = POINTS) -> pd.DataFrame:
    """The table of published points, one a row, columns as `COLUMNS`; `value` is in dB or, with unit 1, as it is.

    Raises ClicError for a table that is not to be trusted: a missing column or name, an unknown metric, averaging or
    unit, a rate or score that is none, the same point twice.
    """
    table = read_table(path, COLUMNS)
    checks = {
        "a codec, set, repository or path without a name": (table[["codec", "set", "repository", "path"]] == "").any(
            axis=1
        ),
        f"a metric other than {', '.join(METRICS)}": ~table["metric"].isin(METRICS),
        f"an averaging other than {', '.join(Averaging)}": ~table["averaging"].isin(list(Averaging)),
        "a unit other than dB and 1": ~table["unit"].isin(["dB", "1"]),
        "bits per pixel that are no rate": ~table["bpp"].between(0, 100, inclusive="neither"),
        "a score that is none": ~table["value"].between(0, 100, inclusive="neither"),
        "MS-SSIM without dB above 1": (table["unit"] == "1") & ~table["value"].between(0, 1),
        "the same point twice": table.duplicated([*CURVE, "bpp"]),
    }
    for fault, rows in checks.items():
        if rows.any():
            raise ClicError(f"{path}: line {int(rows.idxmax()) + 2}: {fault}; correct or remove that line")
    return table


def published_curves(image_set: str | None = None, metric: str | None = None, path: Path = POINTS) -> list[Curve]:
    """The published curves in dB, of one image set (by any of its names) and one metric where these are given.

    Curves of one codec from several sources, or trained for several losses, are several. Raises ClicError as
    `read_points`.
    """
    curves = []
    for said, rows in read_points(path).groupby(CURVE, sort=False):
        known = dict(zip(CURVE, said, strict=True))
        if image_set not in (None, known["set"]) and canonical(str(image_set)) != known["set"]:
            continue
        if metric not in (None, known["metric"]):
            continue
        values = rows["value"] if known["unit"] == "dB" else rows["value"].map(decibels)
        curves.append(
            Curve(
                codec=known["codec"],
                image_set=known["set"],
                measure=Measure(known["metric"], known["definition"], Averaging(known["averaging"])),
                provenance=Provenance(known["repository"], known["path"], known["commit"], known["note"]),
                points=[Point(bpp, value) for bpp, value in zip(rows["bpp"], values, strict=True)],
                trained_for="" if known["trained_for"] in NO_TRAINING else known["trained_for"],
            )
        )
    return curves
