"""What a report shows: the page's model, plain data. A run of one codec is the case of one entrant.

An *entrant* is who has a row on the board at each rate: a run's team, or one codec of a comparison. What an entrant
coded an image with may be any codec, so the curves go by codec and the board, the scores and the pictures by entrant.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from leaderboard.curves import Curve
from leaderboard.pairs import Paired
from leaderboard.tables import Columns

Version = tuple[str, float]
"""Entrant and rate in bits per pixel: which decoded picture of a photograph is meant."""


@dataclass(frozen=True)
class Photograph:
    """An original, what its conversion changed, and the decoded files."""

    name: str
    original: Path
    decoded: Mapping[Version, Path]
    note: str = ""


@dataclass(frozen=True)
class Selected:
    """What is known of an entrant's choice at a rate, beside its row on the board; None or empty where not recorded.

    `score` and `bound` are the selection's, in its `objective`; `gain_db` is the set's MS-SSIM less that of the same
    operating point for each image at the same bits per pixel, in dB.
    """

    entrant: str
    rate: float
    score: float | None = None
    bound: float | None = None
    objective: str = ""
    gain_db: float | None = None
    budget_bytes: float | None = None
    data_bytes: float | None = None
    decoder_sha224: str = ""
    decoder_says: str = ""
    sandbox: str = ""
    not_enforced: Sequence[str] = ()


@dataclass(frozen=True)
class Reproduction:
    """What to type, with which versions, to get the same numbers; `record` is all that was recorded, as JSON."""

    command: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    record: str = ""


@dataclass(frozen=True)
class Report:
    """One page.

    `board` has a row for each entrant and rate: `entrant,rate,bpp,msssim_competition,msssim_paper,psnr_competition,
    psnr_paper` and what `columns` show. `scores` has a row for each entrant, rate and image, with the columns of
    `scores.csv`; `candidates` those of `candidates.csv`, of all codecs. `curves` are by the name of their measure.
    `chosen_by` is a sentence on what operating points were chosen by, or empty. `bd_rates` has a row for each figure,
    as in `comparison.json`. `archived` are rows of past boards; those whose set is `image_set` are comparable. `links`
    are files beside the page: what they are, and where.
    """

    title: str
    over: str
    image_set: str
    board: pd.DataFrame
    columns: Columns
    scores: pd.DataFrame
    candidates: pd.DataFrame
    photographs: Sequence[Photograph]
    curves: Mapping[str, Sequence[Curve]]
    archived: pd.DataFrame
    bd_rates: pd.DataFrame | None = None
    paired: Sequence[Paired] = ()
    selected: Sequence[Selected] = ()
    missing: Sequence[str] = ()
    chosen_by: str = ""
    reproduction: Reproduction = field(default_factory=Reproduction)
    links: Sequence[tuple[str, Path]] = ()

    @property
    def entrants(self) -> list[str]:
        """Everyone on the board, the page's subject first."""
        return list(dict.fromkeys(self.board["entrant"]))

    @property
    def rates(self) -> list[float]:
        """The board's rates, rising."""
        return sorted(set(self.board["rate"]))

    @property
    def middle_rate(self) -> float:
        """The rate that the page speaks of first."""
        return self.rates[len(self.rates) // 2]

    def on_board(self, entrant: str, rate: float) -> Any:
        """The entrant's row at `rate`, or None."""
        rows = self.board[(self.board["entrant"] == entrant) & (self.board["rate"] == rate)]
        return next(rows.itertuples(), None)
