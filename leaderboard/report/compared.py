"""From a comparison of several codecs to what its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.archived import archived_rows
from leaderboard.columns import comparison_columns, has_own_column
from leaderboard.curves import MEASURES, measured_curves
from leaderboard.overview import objective
from leaderboard.pairs import pair_encodes
from leaderboard.report.model import Photograph, Report, Reproduction


@dataclass(frozen=True)
class Compared:
    """A comparison's results.

    `comparison` is what `comparison.json` holds; the first of its codecs is the page's subject. `candidates` has the
    columns of `candidates.csv`, of all codecs; `scores` those of `scores.csv`, with a row for each codec, rate and
    image that was selected. `photographs` hold the decoded files by codec and rate; `links` are files beside the page.
    """

    comparison: Mapping[str, Any]
    candidates: pd.DataFrame
    scores: pd.DataFrame
    photographs: Sequence[Photograph]
    reproduction: Reproduction = field(default_factory=Reproduction)
    links: Sequence[tuple[str, Path]] = ()


def report_of_comparison(compared: Compared) -> Report:
    """The page of a comparison: an entrant for each codec, the first candidates' codec as its subject."""
    comparison, candidates = compared.comparison, compared.candidates
    codecs = list(candidates["codec"].unique())
    board = pd.DataFrame(comparison["codecs"])
    board = board.assign(rate=board["rate"].astype(float), entrant=board["codec"])
    board = board.sort_values("entrant", key=lambda names: names.map(codecs.index), kind="stable", ignore_index=True)
    image_set = str(comparison["set"])
    alone = candidates[~candidates["codec"].isin(comparison.get("unions", ()))]  # a union has neither curve nor pairs
    first, *others = alone["codec"].unique() if len(alone) else codecs
    tables = {codec: candidates[candidates["codec"] == codec] for codec in codecs}
    return Report(
        title=" · ".join(codecs) if len(codecs) <= 3 else f"{codecs[0]} and {len(codecs) - 1} other codecs",
        over="Codecs compared",
        image_set=image_set,
        board=board,
        columns=comparison_columns(objective(comparison)),
        chosen_by=_chosen_by(objective(comparison)),
        scores=compared.scores.assign(entrant=compared.scores["codec"], rate=compared.scores["rate"].astype(float)),
        candidates=candidates,
        photographs=compared.photographs,
        curves={name: measured_curves(alone, image_set, measure) for name, measure in MEASURES.items()},
        archived=archived_rows(sorted(set(board["rate"]))),
        bd_rates=pd.DataFrame(comparison["bd_rate"]),
        paired=[pair_encodes(tables[first], tables[codec]) for codec in others],
        missing=[f"{row['codec']} at {row['rate']} bpp: {row['reason']}" for row in comparison.get("unreached", ())],
        reproduction=compared.reproduction,
        links=compared.links,
    )


def _chosen_by(name: str) -> str:
    sentence = f"Each codec's operating points were chosen within each rate's budget for the best score by {name}"
    if not has_own_column(name):
        return f"{sentence}."
    return f"{sentence}, which the leaderboard shows; curves, BD-rates and pairs are by MS-SSIM and PSNR."
