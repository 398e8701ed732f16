"""Candidates as flat arrays: read from a table, checked, and weighed by an objective.

No step here or after it walks over images in Python, so that a million of them are a matter of seconds.
"""

import csv
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from harness.codecs.decoding import SECONDS
from harness.errors import ClicError
from harness.scores.objectives import Objective, Shares, WeightedSum

NAMES = ("image", "point")
SIZES = ("width", "height", "bytes")
CODEC, IMAGE_SET = "codec", "image_set"
# Beyond it a float64 no longer holds every whole number.
LARGEST = 2**53

Table: TypeAlias = pd.DataFrame | Mapping[str, Any]


@dataclass(frozen=True)
class Candidates:
    """One element a candidate: `image` indexes `names` (sorted), `codec` indexes `codecs` (one name "" without any).

    `bytes` are of the stream; `gain` is what the candidate adds to the set's score, by the objective, so that more
    is better; `score` is the objective's own column (of a weighted sum the gain), `seconds` those of decoding, 0
    where not given. `pixels` are the whole set's.
    """

    names: np.ndarray
    codecs: list[str]
    image: np.ndarray
    codec: np.ndarray
    point: np.ndarray
    bytes: np.ndarray
    gain: np.ndarray
    score: np.ndarray
    seconds: np.ndarray
    pixels: int

    def subset(self, kept: np.ndarray) -> "Candidates":
        """Those of a mask, bool (candidates,); names and the set's pixels stay."""
        parts = ("image", "codec", "point", "bytes", "gain", "score", "seconds")
        return replace(self, **{name: getattr(self, name)[kept] for name in parts})


def read_table(path: Path, objective: Objective | WeightedSum, more: Iterable[str] = ()) -> pd.DataFrame:
    """The columns of a CSV or Parquet file that a selection by `objective` needs, `more` where they are there.

    Names are text in a CSV, so that an image may be called 007 or nan; points too, unless all are whole numbers. A
    missing score, or time, is written "nan". Raises ClicError that names file, row and column.
    """
    needed = (*NAMES, *SIZES, *objective.columns)
    wanted = {*needed, CODEC, *more}
    words = (*NAMES, CODEC, IMAGE_SET)
    may_lack = {*objective.columns, SECONDS}
    try:
        if path.suffix == ".parquet":
            present = pd.read_parquet(path)
            _require(present, needed)
            return present[[column for column in present if column in wanted]]
        _require(pd.read_csv(path, nrows=0), needed)
        if fault := _first_long_row(path):
            raise ClicError(fault)
        table = pd.read_csv(
            path,
            usecols=lambda column: column in wanted,
            dtype={**dict.fromkeys(words, "category"), **dict.fromkeys(wanted.difference(words), float)},
            keep_default_na=False,
            na_values={column: ["nan", "NaN"] for column in may_lack},
            float_precision="round_trip",
        )
    except ImportError as error:
        raise ClicError(
            f"{path}: Parquet needs pyarrow, which is not installed; python -m pip install 'clic-harness[parquet]'"
        ) from error
    except ClicError as error:
        raise ClicError(f"{path}: {error}") from error
    except (OSError, ValueError) as error:
        numbers = wanted.difference(words)
        reason = _first_fault(path, numbers, may_lack) or f"no table of candidates ({error}); give a candidates.csv"
        raise ClicError(f"{path}: {reason}") from error
    if "point" in table and all(re.fullmatch(r"0|-?[1-9]\d{0,17}", point) for point in table["point"].cat.categories):
        table["point"] = table["point"].astype("int64")
    return table


def _require(header: pd.DataFrame, needed: Iterable[str]) -> None:
    """Raise ClicError where a column is missing, which says how those that are there are called."""
    names = [str(name) for name in header]
    missing = [column for column in needed if column not in names]
    if missing and len(names) == 1 and (other := re.search("[;\t|]", names[0])):
        raise ClicError(f"its columns are separated by {other[0]!r}; separate them by commas")
    if missing:
        raise ClicError(
            f"no column {', '.join(missing)}; its columns are {', '.join(names)}: name them as in the candidates.csv "
            "of a sweep"
        )


def _first_long_row(path: Path) -> str:
    """The first row with more cells than the header, of which pandas would drop or shift some; empty where none is."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = (cells for cells in csv.reader(file) if cells)
            width = len(next(rows, []))
            for number, cells in enumerate(rows, 1):
                if len(cells) > width:
                    return (
                        f"row {number} has {len(cells)} cells and the header {width}; leave as many, and put a "
                        "name with a comma in quotes"
                    )
    except (OSError, ValueError, csv.Error):  # pandas says what it is, if it cannot read it either
        pass
    return ""


def _first_fault(path: Path, numbers: Iterable[str], may_lack: Container[str]) -> str:
    """The first cell that is no number where one is wanted, looked for only once reading has failed."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError):
        return ""
    for column in (name for name in table if name in numbers):
        cells = table[column]
        as_number = pd.to_numeric(cells.replace(["nan", "NaN"], "0" if column in may_lack else ""), errors="coerce")
        if (wrong := as_number.isna()).any():
            row = int(wrong.to_numpy().argmax())
            return f"row {row + 1}, column {column} is {cells.iloc[row]!r}; a number is wanted"
    return ""


def check(
    columns: Table, objective: Objective | WeightedSum, images: Iterable[str] | None = None, timed: bool = False
) -> Candidates:
    """The candidates of a table with a row (or arrays with an element) per image, codec and point.

    Only the columns that the objective needs are asked for, decoding seconds where `timed`. `images`, where given,
    are those that must have candidates. Raises ClicError, in one line, that names the first image and point at fault.
    """
    table = columns if isinstance(columns, pd.DataFrame) else pd.DataFrame(dict(columns), copy=False)
    wanted = [*NAMES[:1], "width", "height", NAMES[1], "bytes", *objective.columns, *[SECONDS] * timed]
    missing = [column for column in wanted if column not in table]
    if missing == [SECONDS]:
        raise ClicError(
            f"the candidates have no column {SECONDS}, which a limit of seconds needs; select from the run's folder, "
            f"after 'clic measure DIR IMAGES --metric {SECONDS}', or add the column"
        )
    if missing:
        raise ClicError(
            f"the candidates have no column {', '.join(missing)} (they have {', '.join(map(str, table))}); sweep anew"
        )
    if table.empty:
        raise ClicError("there are no candidates; sweep at least one point of every image")
    image, names = pd.factorize(table["image"], sort=True)
    absent = sorted(set(images or ()) - set(names))
    if absent:
        raise ClicError(f"{len(absent)} images have no candidates, the first is {absent[0]}; sweep them")
    point, points = pd.factorize(table["point"])
    codec, codecs = pd.factorize(table[CODEC]) if CODEC in table else (np.zeros(len(table), np.int64), [""])
    _refuse(table, "column image is empty; sweep anew", _blank(image, names))
    _refuse(table, "column point is empty; sweep anew", _blank(point, points))
    numbers = {column: _numbers(table, column) for column in wanted if column not in NAMES}
    width, height, size = (numbers[column] for column in SIZES)
    for column, least in (("width", 1), ("height", 1), ("bytes", 0)):  # a stream may well be empty
        cells = numbers[column]
        whole = (cells >= least) & (cells <= LARGEST) & (cells % 1 == 0 if cells.dtype.kind == "f" else True)
        _refuse(table, f"{column} must be a whole number from {least} on, at most 2^53; sweep anew", ~whole)
    _refuse(
        table, "this point stands there twice; leave one", _repeated(image, codec * len(points) + point, len(names))
    )
    first = _first_rows(image, len(names))
    _refuse(
        table,
        "width or height differs from the image's other points; sweep anew",
        (width != width[first][image]) | (height != height[first][image]),
    )
    for fault, rows in objective.faults(numbers).items():
        _refuse(table, fault, rows)
    pixels = width.astype(np.int64) * height.astype(np.int64)
    total = int(pixels[first].sum())
    gain = objective.gains(numbers, Shares(pixels, total, len(names)))
    seconds = numbers[SECONDS] if timed else np.zeros(len(table))
    _refuse(table, f"{SECONDS} is no number from 0 on; measure it anew", ~((seconds >= 0) & np.isfinite(seconds)))
    return Candidates(
        np.asarray(names),
        [str(name) for name in codecs],
        image,
        codec,
        table["point"].to_numpy(),
        size.astype(np.int64),
        gain,
        numbers[objective.column] if isinstance(objective, Objective) else gain,
        seconds,
        total,
    )


def sets_of(table: pd.DataFrame) -> list[str]:
    """The names in the column `image_set`. Raises ClicError where there is none, or a row names no set."""
    if IMAGE_SET not in table:
        raise ClicError(f"the candidates have no column {IMAGE_SET}; name each image's set there")
    codes, names = pd.factorize(table[IMAGE_SET])
    _refuse(table, f"column {IMAGE_SET} is empty; name the image's set there", _blank(codes, names))
    return sorted(map(str, names))


def _numbers(table: pd.DataFrame, column: str) -> np.ndarray:
    """A column as numbers. Raises ClicError for text that is none."""
    cells = table[column]
    if cells.dtype.kind in "iuf":
        return cells.to_numpy()
    numbers = pd.to_numeric(cells, errors="coerce")
    _refuse(table, f"{column} is no number; sweep anew", (numbers.isna() & cells.notna()).to_numpy())
    return numbers.to_numpy(float, na_value=np.nan)


def _blank(codes: np.ndarray, uniques: Iterable[Any]) -> np.ndarray:
    """Where a name is missing or empty text."""
    empty = [index for index, name in enumerate(uniques) if isinstance(name, str) and not name]
    return np.isin(codes, [-1, *empty])


def _repeated(image: np.ndarray, point: np.ndarray, images: int) -> np.ndarray:
    """Where an image's point stands a second time."""
    key = point * images + image
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(len(key), bool)
    return pd.Series(key).duplicated().to_numpy()


def _first_rows(image: np.ndarray, images: int) -> np.ndarray:
    """The first row of each image."""
    first = np.empty(images, np.int64)
    first[image[::-1]] = np.arange(len(image) - 1, -1, -1)
    return first


def _refuse(table: pd.DataFrame, fault: str, rows: np.ndarray) -> None:
    """Raise a ClicError for the first of the rows at fault, if any, by its number in the file where that is known."""
    if not rows.any():
        return
    place = int(rows.argmax())
    is_numbered = table.index.is_unique and table.index.dtype.kind == "i"
    number = table.index[place] if is_numbered else place  # rows of other codecs or sets may have been left out
    cells = {column: _shown(table[column].iloc[place]) for column in (*NAMES, *SIZES) if column in table}
    raise ClicError(
        f"candidates, row {number + 1}: image {cells.get('image')} ({cells.get('width')}x{cells.get('height')}), "
        f"point {cells.get('point')}: {fault}"
    )


def _shown(cell: Any) -> str:
    """A cell as it was written: whole numbers are read as floats."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
