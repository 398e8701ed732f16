"""BD-rates of a comparison's codecs against published curves of the same images, where the measures allow them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.errors import ClicError
from leaderboard.bdrate import bd_rate
from leaderboard.curves import MEASURES, Curve, measured_curves
from leaderboard.published import published_curves

MEASURED_AS = {measure.metric: measure for name, measure in MEASURES.items() if name.endswith("_paper")}
"""By which of its measures a measured curve meets a published one; what is averaged otherwise is converted."""


def against_published(candidates: pd.DataFrame, image_set: str, unions: Collection[str]) -> list[dict[str, Any]]:
    """A row as in `bd_rate` of `comparison.json` for each codec and each published curve of `image_set`.

    `candidates` has the columns of `candidates.csv`. A union has no curve. Raises ClicError for a set of which nothing
    published is known.
    """
    published = published_curves(image_set)
    if not published:
        known = ", ".join(dict.fromkeys(curve.image_set for curve in published_curves()))
        raise ClicError(
            f"no published curves of {image_set}; there are those of {known}: compare codecs on one of these"
        )
    candidates = candidates[~candidates["codec"].isin(unions)]
    measured = {name: measured_curves(candidates, image_set, measure) for name, measure in MEASURED_AS.items()}
    return [_row(curve, anchor) for anchor in published for curve in measured[anchor.measure.metric]]


def _row(curve: Curve, anchor: Curve) -> dict[str, Any]:
    found = bd_rate(curve, anchor)
    source = f"{anchor.provenance.source}, {anchor.provenance.path}; {anchor.measure}"
    return vars(replace(found, note="; ".join(filter(None, (source, found.note))))) | {
        "codec": curve.codec,
        "metric": anchor.measure.metric,
    }
