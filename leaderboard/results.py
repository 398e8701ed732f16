"""The files of a run, read and checked: `leaderboard.csv`, `scores.csv`, `candidates.csv`, `run.json`.

Text columns stay text, so that an image called `007` or `nan` keeps its name.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import ClicError
from harness.store import DATABASE
from leaderboard.units import rate_name

LEADERBOARD_COLUMNS: Mapping[str, type] = {
    "team": str,
    "rate": float,
    "budget_bytes": float,
    "data_bytes": float,
    "bpp": float,
    "msssim_competition": float,
    "msssim_paper": float,
    "psnr_competition": float,
    "psnr_paper": float,
    "decoder_bytes": float,
    "decode_seconds": float,
}
SCORE_COLUMNS: Mapping[str, type] = {
    "rate": float,
    "image": str,
    "width": float,
    "height": float,
    "codec": str,
    "point": str,
    "bytes": float,
    "bpp": float,
    "msssim_competition": float,
    "msssim_paper": float,
    "psnr": float,
}
CANDIDATE_COLUMNS: Mapping[str, type] = {
    "image": str,
    "width": float,
    "height": float,
    "codec": str,
    "point": str,
    "bytes": float,
    "msssim_competition": float,
    "msssim_paper": float,
    "mse": float,
}
MEND = "run `clic submit` again to write it"


@dataclass(frozen=True)
class Results:
    """One run: its folder, its three tables, and what `run.json` says (empty without that file)."""

    folder: Path
    leaderboard: pd.DataFrame
    scores: pd.DataFrame
    candidates: pd.DataFrame
    run: Mapping[str, Any]

    def rate_folder(self, rate: float) -> Path:
        """Where this rate's archives and images are."""
        return self.folder / rate_name(rate)

    def recorded(self, rate: float) -> Mapping[str, Any]:
        """What `run.json` says of this rate alone."""
        rates = self.run.get("rates")
        entry = rates.get(rate_name(rate)) if isinstance(rates, dict) else None
        return entry if isinstance(entry, dict) else {}


def read_table(path: Path, columns: Mapping[str, type]) -> pd.DataFrame:
    """The CSV at `path` with at least `columns`, the float ones as numbers (empty or "nan": NaN), the rest as text.

    Raises ClicError for a missing, unreadable or empty file, a missing column, and text among numbers.
    """
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError as error:
        raise ClicError(f"{path}: no such file; {_wanted(path.parent)}") from error
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ClicError(f"{path}: not a readable CSV table ({error}); {MEND}") from error
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise ClicError(f"{path}: missing column{'s' * (len(missing) > 1)} {', '.join(missing)}; {MEND}")
    if frame.empty:
        raise ClicError(f"{path}: no rows; {MEND}")
    for name, kind in columns.items():
        if kind is float:
            try:
                frame[name] = pd.to_numeric(frame[name].replace("nan", "")).astype(float)
            except ValueError as error:
                raise ClicError(
                    f"{path}: column {name} holds something that is not a number ({error}); {MEND}"
                ) from error
    return frame


def _wanted(folder: Path) -> str:
    """What to do about a missing table: where nothing was submitted, nothing writes it again."""
    if (folder / "comparison.json").exists():
        return f"{folder} is a comparison; give the folder of a run of 'clic submit'"
    return MEND if (folder / DATABASE).exists() else "give the folder of a run of 'clic submit'"


def read_leaderboard(path: Path) -> pd.DataFrame:
    """`leaderboard.csv`: one row per team and rate; sizes in bytes, bpp in bits per pixel, PSNR in dB.

    Raises ClicError, naming file and column.
    """
    return read_table(path, LEADERBOARD_COLUMNS)


def read_run(path: Path) -> Mapping[str, Any]:
    """`run.json`, or nothing without that file. Raises ClicError unless it is a JSON object."""
    if not path.exists():
        return {}
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: not readable as JSON ({error}); {MEND}") from error
    if not isinstance(run, dict):
        raise ClicError(f"{path}: expected a JSON object, found {type(run).__name__}; {MEND}")
    return run


def read_results(folder: Path) -> Results:
    """All files of the run in `folder`, checked against each other.

    Raises ClicError for what `read_table` and `read_run` raise it for,
    for several rows of one rate, and
    for a rate or an image that one table has and another lacks.
    """
    leaderboard = read_leaderboard(folder / "leaderboard.csv").sort_values("rate", ignore_index=True)
    scores = read_table(folder / "scores.csv", SCORE_COLUMNS)
    candidates = read_table(folder / "candidates.csv", CANDIDATE_COLUMNS)
    if leaderboard["rate"].duplicated().any():
        raise ClicError(f"{folder / 'leaderboard.csv'}: a rate has several rows; a run has one row per rate")
    images = set(scores["image"])
    for rate in leaderboard["rate"]:
        missing = images - set(scores.loc[scores["rate"] == rate, "image"])
        if missing:
            raise ClicError(f"{folder / 'scores.csv'}: no row at {rate:g} bpp for {', '.join(sorted(missing))}; {MEND}")
    if scores.duplicated(["image", "rate"]).any():
        raise ClicError(f"{folder / 'scores.csv'}: an image has several rows at one rate; {MEND}")
    return Results(folder, leaderboard, scores, candidates, read_run(folder / "run.json"))
