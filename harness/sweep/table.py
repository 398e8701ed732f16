"""Reading a table of candidates back."""

from pathlib import Path

import pandas as pd

from harness.errors import ClicError
from harness.sweep.local import COLUMNS, READERS


def read_candidates(path: Path, typed_points: bool = False) -> pd.DataFrame:
    """A table of candidates; points are text unless `typed_points`, where a column of numbers is numeric.

    Raises ClicError for a missing or unreadable file.
    """
    text = [name for name in COLUMNS if name not in READERS and not (typed_points and name == "point")]
    missing = {name: ["", "nan"] for name in READERS if READERS[name] is float}
    try:
        # An image may be called 007 or nan: nothing but numbers can be missing.
        return pd.read_csv(
            path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing, float_precision="round_trip"
        )
    except (OSError, ValueError) as error:
        raise ClicError(f"{path}: no table of candidates ({error}); give a candidates.csv") from error
