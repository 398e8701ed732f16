"""The tables of a folder of results, comparison or submission, as rows and columns for any face."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ClicError
from harness.files import as_json
from leaderboard import units
from leaderboard.against_published import against_published
from leaderboard.captions import caption, facts
from leaderboard.columns import BD_RATES, LEADERBOARD, comparison_columns
from leaderboard.overview import objective, overview
from leaderboard.results import CANDIDATE_COLUMNS, SCORE_COLUMNS, read_leaderboard, read_table
from leaderboard.tables import Column, Columns, as_csv, latex, markdown

Rows = tuple[Columns, pd.DataFrame]
NAMES = ("image", "codec", "point", "team")
"""Columns that stay text, whatever they look like: an image may be called 007."""
DIGITS = {"msssim_competition": 5, "msssim_paper": 5, "mse": 2, "psnr": 2, "encode_seconds": 3}
"""Of the scores of an image, for people."""
FACES_WITH_CAPTION = {"latex": latex, "markdown": markdown}
TABLES = ("overview", "board", "bd-rates", "published", "images", "candidates")
_SCORES = {name: kind for name, kind in SCORE_COLUMNS.items() if name != "codec"}


def export_table(folder: Path, name: str | None, face: str) -> str:
    """A table of the results in `folder` as text: csv, json, latex or markdown.

    `name` is one of `TABLES`; None is the overview of a comparison, else the board. Raises ClicError for a folder
    without that table.
    """
    made = _comparison(folder / "comparison.json") if (folder / "comparison.json").exists() else None
    name = name or ("overview" if made else "board")
    columns, rows = _table(folder, name, made)
    if face in FACES_WITH_CAPTION:
        columns = [column for column in columns if not _is_hash(column.name)]
    told = facts(folder, name, made)
    if face in FACES_WITH_CAPTION:
        return FACES_WITH_CAPTION[face](columns, rows, caption(told))
    columns = [*columns, *(_constant(key, text) for key, text in told.items())]
    if face == "csv":
        return as_csv(columns, rows)
    return as_json([{column.name: _plain(column.data(row)) for column in columns} for row in rows.itertuples()])


def _table(folder: Path, name: str, made: Mapping[str, Any] | None) -> Rows:
    if name in ("images", "candidates"):
        file, kinds = {"images": ("scores.csv", _SCORES), "candidates": ("candidates.csv", CANDIDATE_COLUMNS)}[name]
        return _as_written(folder / file, kinds)
    if made is None:
        if name in ("overview", "bd-rates", "published"):
            raise ClicError(f"{folder}: no comparison.json, so no table {name}; 'clic compare' writes it")
        return LEADERBOARD, read_leaderboard(folder / "leaderboard.csv")
    if name == "published":
        candidates = read_table(folder / "candidates.csv", CANDIDATE_COLUMNS)
        return BD_RATES, _frame(BD_RATES, against_published(candidates, str(made["set"]), made.get("unions", ())))
    makers: Mapping[str, Callable[[Mapping[str, Any]], Rows]] = {
        "overview": overview,
        "board": _board,
        "bd-rates": lambda made: (BD_RATES, _frame(BD_RATES, made["bd_rate"])),
    }
    return makers[name](made)


def _board(made: Mapping[str, Any]) -> Rows:
    columns = comparison_columns(objective(made))
    return columns, _frame(columns, made["codecs"])


def _constant(name: str, value: str) -> Column:
    return Column(name, name, "", lambda _: value, is_number=False, value=lambda _: value)


def _comparison(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if {"codecs", "unreached", "bd_rate", "run", "set"} <= found.keys():
            return dict(found)
    except (OSError, ValueError, AttributeError):
        pass
    raise ClicError(f"{path}: not what 'clic compare' writes; run it again")


def _frame(columns: Columns, rows: list[dict[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=None if rows else [column.name for column in columns])


def _as_written(path: Path, kinds: Mapping[str, type]) -> Rows:
    """A file's own columns, also those that only some files have: numbers, unless they name or identify something."""
    frame = read_table(path, kinds)
    for name in frame.columns:
        if name not in NAMES and not _is_hash(name):
            numbers = pd.to_numeric(frame[name], errors="coerce")
            if (numbers.notna() | frame[name].isin(("", "nan", math.nan))).all():
                frame[name] = numbers.astype(float)
    return [_column(name, frame[name]) for name in frame.columns], frame


def _is_hash(name: str) -> bool:
    return name.endswith(("sha256", "sha224"))


def _column(name: str, rows: pd.Series) -> Column:
    digits = DIGITS.get(name, 4)
    is_number = rows.dtype == float
    if is_number and name not in DIGITS and all(value.is_integer() for value in rows.dropna()):
        digits = 0

    def text(row: Any) -> str:
        value = getattr(row, name)
        if not isinstance(value, float):
            return str(value)
        return units.rate_name(value) if name == "rate" else units.fixed(value, digits)

    return Column(name, name.replace("_", " "), "", text, is_number)


def _plain(value: Any) -> Any:
    """A cell as JSON has it: whole numbers without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() else value
