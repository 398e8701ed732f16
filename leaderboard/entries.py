"""A board over time: entries as plain records, the challenge's rules for which stay, archived boards beside them.

The rules, as far as the challenge states them or its boards show them: every accepted submission is a row, and a later
or better one of the same team replaces none; what is over the budget is no row; in the test phase a decoder must be,
bit for bit, one of the same team's validation phase; the slowest quarter of a track's test submissions, and a team
without all three rates there, win no prize.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import pandas as pd

from harness.challenge.archive import sha224
from harness.errors import ClicError
from harness.imagesets import canonical
from leaderboard.archived import COLUMNS as BOARD_COLUMNS
from leaderboard.archived import archived_rows
from leaderboard.results import Results

Phase = Literal["validation", "test"]
PRIZE_RATES = (0.075, 0.15, 0.3)
SLOWEST = 0.25
DECIMALS = 5
SAME = ["image_set", "rate", "phase", "track", "decoder_sha224", "data_sha224"]


@dataclass(frozen=True)
class Entry:
    """One submission at one rate, as it was verified: sizes in bytes, PSNR in dB, seconds of decoding the whole set.

    `time` is when it was entered, with its time zone. Raises ClicError for a team or set without a name, another phase,
    and a time without its zone.
    """

    team: str
    time: datetime
    image_set: str
    phase: Phase
    track: str
    rate: float
    budget_bytes: int
    data_bytes: int
    decoder_bytes: int
    decode_seconds: float
    msssim_competition: float
    msssim_paper: float
    psnr_competition: float
    psnr_paper: float
    decoder_sha224: str
    data_sha224: str

    def __post_init__(self) -> None:
        where = f"entry of {self.team or 'nobody'} at {self.rate:g} bpp"
        if not self.team or not self.image_set:
            raise ClicError(f"{where}: team and image set need names")
        if self.phase not in get_args(Phase):
            raise ClicError(f"{where}: phase {self.phase!r}; expected {' or '.join(get_args(Phase))}")
        if self.time.tzinfo is None:
            raise ClicError(f"{where}: a time without its zone cannot be ordered; give one")


COLUMNS = tuple(field.name for field in fields(Entry))


@dataclass(frozen=True)
class Occasion:
    """What a run's files do not say of its entry: when, on which image set, in which phase and track."""

    time: datetime
    image_set: str
    phase: Phase = "validation"
    track: str = ""


def entries_of_run(results: Results, occasion: Occasion) -> list[Entry]:
    """An entry for each rate of a run that was verified, with the hashes of its decoder and data file.

    Raises ClicError where one of these files is missing: an entry without hashes proves nothing.
    """
    profile = results.run.get("profile")
    data_name = profile.get("data_file") if isinstance(profile, dict) else None
    if not data_name:
        raise ClicError(f"{results.folder / 'run.json'}: no name of the data file; run `clic submit` again")
    entries = []
    for row in results.leaderboard.to_dict("records"):
        folder = results.rate_folder(row["rate"])
        try:
            hashes = sha224(folder / "decoder.zip"), sha224(folder / str(data_name))
        except FileNotFoundError as error:
            raise ClicError(f"{error.filename}: no such file; run `clic submit` again") from error
        measured = {name: row[name] for name in COLUMNS if name in row}
        entries.append(Entry(**measured, **asdict(occasion), decoder_sha224=hashes[0], data_sha224=hashes[1]))
    return entries


def entries_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row for each entry, columns as the fields of `Entry`, by time in UTC; those of one time in the order given."""
    table = pd.DataFrame([asdict(entry) | {"time": entry.time.astimezone(UTC)} for entry in entries], columns=COLUMNS)
    return table.sort_values("time", kind="stable", ignore_index=True)


def to_json(entries: Sequence[Entry]) -> str:
    """The entries as lines of JSON, one each: what a file or the store keeps of them."""
    rows = [asdict(entry) | {"time": entry.time.astimezone(UTC).isoformat()} for entry in entries]
    return "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def from_json(text: str) -> list[Entry]:
    """Entries from what `to_json` gives. Raises ClicError that names the line which is none."""
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            row: Mapping[str, Any] = json.loads(line)
            entries.append(Entry(**{**row, "time": datetime.fromisoformat(row["time"])}))
        except (ValueError, TypeError, KeyError) as error:
            raise ClicError(f"line {number} of the entries: not an entry ({error}); remove it") from error
    return entries


def judge(entries: pd.DataFrame) -> pd.DataFrame:
    """`entries`, as `entries_table` gives them, with `stays` (bool) and `reason` (why an entry is no row, or empty)."""
    reasons: list[str] = []
    seen: set[tuple[Any, ...]] = set()
    validated: set[tuple[str, str]] = set()
    for row in entries.to_dict("records"):
        same = (row["team"], *(row[name] for name in SAME))
        decoder = (row["team"], row["decoder_sha224"])
        over = row["data_bytes"] - row["budget_bytes"]
        if over > 0:
            reasons.append(f"{over:,.0f} bytes over the budget")
        elif row["phase"] == "test" and decoder not in validated:
            reasons.append("its decoder is none of the team's validation phase")
        elif same in seen:
            reasons.append("the same submission again")
        else:
            reasons.append("")
            seen.add(same)
            if row["phase"] == "validation":
                validated.add(decoder)
    return entries.assign(stays=[not reason for reason in reasons], reason=reasons)


def standing(entries: pd.DataFrame) -> pd.DataFrame:
    """The rows that stay, by image set, phase, track and rate, and there by falling MS-SSIM.

    `no_prize` says why a row of the test phase can win none. No board has a rank: people decide, and no score does.
    """
    rows = judge(entries).query("stays").drop(columns=["stays", "reason"])
    board = ["image_set", "phase", "track", "rate"]
    rows = rows.sort_values(
        [*board, "msssim_competition"], ascending=[True] * len(board) + [False], kind="stable", ignore_index=True
    )
    reasons: list[list[str]] = [[] for _ in range(len(rows))]
    test = rows[rows["phase"] == "test"]
    for _, group in test.groupby(board):
        for index in group["decode_seconds"].nlargest(int(SLOWEST * len(group))).index:
            reasons[index].append("among the slowest quarter")
    for _, group in test.groupby(["image_set", "track", "team"]):
        lacking = [rate for rate in PRIZE_RATES if rate not in set(group["rate"])]
        if lacking:
            for index in group.index:
                reasons[index].append(f"nothing at {', '.join(f'{rate:g}' for rate in lacking)} bpp")
    return rows.assign(no_prize=["; ".join(reason) for reason in reasons])


def best_over_time(entries: pd.DataFrame, score: str = "msssim_competition") -> pd.DataFrame:
    """The rows that stay and were the best of their image set, track and rate when they came, in the order of time.

    `score` is a column of which more is better: the steps of a graph over time.
    """
    rows = judge(entries).query("stays").sort_values("time", kind="stable")
    before = rows.groupby(["image_set", "track", "rate"])[score].transform(lambda scores: scores.cummax().shift())
    return rows[before.isna() | (rows[score] > before)].drop(columns=["stays", "reason"]).reset_index(drop=True)


def with_archived(entries: pd.DataFrame, image_set: str) -> pd.DataFrame:
    """The entries that stay and the archived rows of one image set, by any of its names, in the columns of a board.

    Rows of other image sets are not among them: no figure of theirs is comparable. `date` is as a board prints it.
    """
    rows = standing(entries)
    rows = rows[[canonical(name) == canonical(image_set) for name in rows["image_set"]]]
    own = rows.rename(columns={"msssim_competition": "msssim", "psnr_competition": "psnr"}).assign(
        date=[f"{time:%Y-%m-%d %H:%M}" for time in rows["time"]], decimals=DECIMALS
    )
    past = archived_rows(image_set=image_set)
    tables = [table for table in (own.reindex(columns=list(BOARD_COLUMNS)), past) if not table.empty]
    if not tables:
        return past
    return pd.concat(tables).sort_values(["rate", "msssim"], ascending=[True, False], kind="stable", ignore_index=True)
