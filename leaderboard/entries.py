"""A board over time: entries of the store, the challenge's rules for which stay, archived boards beside them.

The rules, as far as the challenge states them or its boards show them: every accepted submission is a row, and a later
or better one of the same team replaces none; what is over the budget is no row; in the test phase a decoder must be,
bit for bit, one of the same team's validation phase; of a track's test submissions the slowest, as many as the profile
says, and a team without all three rates there, win no prize.
"""

from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import pandas as pd

from harness.challenge.profiles import load_profile, profile_names
from harness.errors import ClicError
from harness.imagesets import canonical
from harness.rates import Rate
from harness.records import Entry
from leaderboard.archived import COLUMNS as BOARD_COLUMNS
from leaderboard.archived import archived_rows, context_rows

Phase = Literal["validation", "test"]
PRIZE_RATES = (0.075, 0.15, 0.3)
DECIMALS = 5
SAME = ["image_set", "rate", "phase", "track", "decoder_sha224", "data_sha224"]
COLUMNS = tuple(field.name for field in fields(Entry) if field.name not in ("id", "allocation", "date"))
"""Of the table of entries, beside `time`."""
_NUMBERS = ["budget_bytes", "data_bytes", "decoder_bytes", "decode_seconds", "elo"]  # which may be missing


def checked(entry: Entry) -> Entry:
    """The entry, its date in full and its rate in the one spelling that there is.

    Raises ClicError for a team or image set without a name, another phase than the two, a date or rate that is none,
    and an entry without sizes or hashes, which proves nothing.
    """
    where = f"entry of {entry.team or 'nobody'} at {entry.rate} bpp"
    if not entry.team or not entry.image_set:
        raise ClicError(f"{where}: team and image set need names")
    if entry.phase not in get_args(Phase):
        raise ClicError(f"{where}: phase {entry.phase!r}; expected {' or '.join(get_args(Phase))}")
    lacking = [name for name in ("budget_bytes", "data_bytes", "decoder_bytes") if getattr(entry, name) is None]
    lacking += [name for name in ("data_sha224", "decoder_sha224") if not getattr(entry, name)]
    if lacking:
        raise ClicError(f"{where}: no {', '.join(lacking)}; add what 'clic submit' recorded")
    return replace(entry, rate=str(Rate.parse(entry.rate)), date=_time(entry).isoformat(timespec="seconds"))


def _time(entry: Entry) -> datetime:
    try:
        time = datetime.fromisoformat(entry.date)
    except ValueError as error:
        raise ClicError(
            f"entry of {entry.team} at {entry.rate} bpp: date {entry.date!r}; write 2027-03-01 or 2027-03-01T12:30Z"
        ) from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def entries_table(entries: Sequence[Entry]) -> pd.DataFrame:
    """A row for each entry: `time` in UTC and `COLUMNS`, rates as numbers, by time; of one time in the order given."""
    rows = [
        {name: value for name, value in asdict(entry).items() if name in COLUMNS}
        | {"time": _time(entry), "rate": float(Rate.parse(entry.rate).exact)}
        for entry in entries
    ]
    table = pd.DataFrame(rows, columns=["time", *COLUMNS])
    table[_NUMBERS] = table[_NUMBERS].astype(float)
    return table.sort_values("time", kind="stable", ignore_index=True)


def slowest_share(profile: str) -> float:
    """The share of a track's rows that are too slow for a prize, by the rules of that name; 0 where none have it."""
    return load_profile(profile).slowest_share if profile in profile_names() else 0.0


def judge(entries: pd.DataFrame) -> pd.DataFrame:
    """`entries`, as `entries_table` gives them, with `stays` (bool) and `reason` (why an entry is no row, or empty)."""
    reasons: list[str] = []
    seen: set[tuple[Any, ...]] = set()
    validated: set[tuple[str, str]] = set()
    for row in entries.to_dict("records"):
        same = (row["team"], *(row[name] for name in SAME))
        decoder = (row["team"], row["decoder_sha224"])
        over = row["data_bytes"] - row["budget_bytes"]
        if not row["accepted"]:
            reasons.append("it did not pass the checks")
        elif over > 0:
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
    for (*_, profile), group in test.groupby([*board, "profile"]):
        share = slowest_share(str(profile))
        for index in group["decode_seconds"].nlargest(int(share * len(group))).index:
            reasons[index].append(f"among the slowest {100 * share:g} %")
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

    Beside those columns are `phase` and `variant`, which archived rows lack. Rows of other image sets are not among
    them: no figure of theirs is comparable. `date` is as a board prints it.
    """
    rows = standing(entries)
    rows = rows[[canonical(name) == canonical(image_set) for name in rows["image_set"]]]
    own = rows.rename(columns={"msssim_competition": "msssim", "psnr_competition": "psnr"}).assign(
        date=[f"{time:%Y-%m-%d %H:%M}" for time in rows["time"]], decimals=DECIMALS
    )
    past = archived_rows(image_set=image_set)
    tables = [table for table in (own.reindex(columns=[*BOARD_COLUMNS, "phase", "variant"]), past) if not table.empty]
    if not tables:
        return past
    return pd.concat(tables).sort_values(["rate", "msssim"], ascending=[True, False], kind="stable", ignore_index=True)


def image_sets(entries: pd.DataFrame) -> list[str]:
    """The sets that entries are of, the latest entry's first."""
    return list(dict.fromkeys(entries.sort_values("time", ascending=False, kind="stable")["image_set"]))


def beside_boards(entries: pd.DataFrame, image_set: str) -> pd.DataFrame:
    """What stands on a board of one image set, and below it the best row of each other past set at the same rates.

    The columns are a board's, and `relation`: "these images" or "other images".
    """
    rates = sorted(set(entries.loc[entries["image_set"] == image_set, "rate"]))
    these = with_archived(entries, image_set).assign(relation="these images")
    others = context_rows(rates)
    others = others[[canonical(str(name)) != canonical(image_set) for name in others["image_set"]]]
    tables = [table for table in (these, others.assign(relation="other images")) if not table.empty]
    return pd.concat(tables, ignore_index=True) if tables else these
