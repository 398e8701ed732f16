"""Tables of candidates: written for people, and read back from a table or from the store of a run."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.candidates import COLUMNS, FLOATS
from harness.codecs.registry import parts, union_spec
from harness.errors import ClicError
from harness.files import atomic
from harness.progress import log
from harness.records import CodecConfig, Score, Sweep
from harness.scores.metrics import open_metric
from harness.scores.objectives import objective as objective_of
from harness.selection.table import IMAGE_SET
from harness.store import DATABASE, Store, open_store
from harness.sweep.sets import find_set, swept_ids, swept_sets

_INTEGERS = ("width", "height", "bytes")


def export_candidates(store: Store, image_set: str) -> None:
    """Write candidates.csv: the rows of a set's images by every codec that was swept over it, as it was swept last."""
    digests = {codec.name: codec.sha256 for codec in swept_codecs(store, image_set)}
    with atomic(store.folder / "candidates.csv") as file:
        for number, part in enumerate(store.candidates_in_parts(image_set, list(digests.values()))):
            file.write(part.to_csv(index=False, header=number == 0, lineterminator="\n").encode())


def read_candidates(path: Path) -> pd.DataFrame:
    """The candidates in a table with all of its columns, or of a run as `read_run` has them.

    They may be of several codecs. Raises ClicError for what cannot be read.
    """
    return read_run(path) if path.is_dir() else _of_csv(path)


def read_run(folder: Path, sets: Sequence[str] = ()) -> pd.DataFrame:
    """The candidates of the sets that are named in a run's folder, with a column `image_set` of these names.

    Without names they are those of the set that was swept last, and a line says which sets are left out, if any. Points
    are numbers if all of them are whole. Raises ClicError for a folder where nothing was coded, and an unknown set.
    """
    with open_store(folder, write=False) as store:
        ids = swept_ids(store)
        if not ids:
            raise ClicError(f"{folder}: nothing was coded here; run 'clic encode' first")
        if sets:
            named = {find_set(store, name).id: name for name in sets}
            if len(named) < len(sets):
                raise ClicError(f"{folder}: {' and '.join(sets)} are not all different sets; name each once")
            tables = [_of_set(store, digest).assign(**{IMAGE_SET: name}) for digest, name in named.items()]
            table = pd.concat(tables, ignore_index=True)
        else:
            table = _of_set(store, ids[0])
            if len(ids) > 1:
                last, *others = swept_sets(store)
                log(
                    f"{folder}: candidates of the set swept last, {last}; left out: {', '.join(map(str, others))}; "
                    "'clic select' takes any with --set-budget NAME=BYTES"
                )
    whole = all(re.fullmatch(r"0|-?[1-9]\d{0,17}", point) for point in table["point"].unique())
    return table.assign(point=table["point"].astype("int64")) if whole else table


def _of_set(store: Store, image_set: str) -> pd.DataFrame:
    digests = {codec.name: codec.sha256 for codec in swept_codecs(store, image_set)}
    return store.candidates(image_set, list(digests.values()))


def with_scores(candidates: pd.DataFrame, store: Store, objective: str) -> pd.DataFrame:
    """The candidates with the columns that an objective needs and a sweep does not measure, from the store.

    A column of a metric that can be opened has the scores of that very metric; any other those that were measured last
    under its name. Raises ClicError where candidates lack a score.
    """
    goal = objective_of(objective)
    for column in goal.columns:
        if column in candidates:
            continue
        opens = goal.metrics.get(column)
        key = open_metric(opens).key if opens else store.latest_metric(column)
        scores = {
            (row.image, row.codec, row.point): row.value
            for codec in candidates["codec_sha256"].unique()
            for row in store.rows(Score, codec=codec, metric=key)
        }
        keys = zip(candidates["image_sha256"], candidates["codec_sha256"], candidates["point"].astype(str), strict=True)
        found = [scores.get(key) for key in keys]
        lacking = sum(value is None for value in found)
        if lacking:
            raise ClicError(
                f"{store.folder}: {lacking} of {len(found)} candidates have no score by {column}; measure them: clic "
                f"measure {store.folder} IMAGES --metric {opens or f'{column}.toml'}"
            )
        candidates = candidates.assign(**{column: pd.Series(found, index=candidates.index, dtype=float)})
    return candidates


def find_codecs(table: pd.DataFrame, path: Path, wanted: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """The rows of one or several codecs of a table from `path`, and what opens the codec or their union.

    Each is named as it is called, or by what opened it; none need be where there is only one. The rows keep their
    index, by which an error names them. Raises ClicError where one has to be named, or is not there.
    """
    wanted = parts(union_spec(wanted)) if wanted else []
    if "codec" not in table:
        return table, union_spec(wanted)
    opened_by = _specs(path if path.is_dir() else path.parent)
    digests = table.get("codec_sha256", table["codec"])
    codecs = {digest: (name, opened_by.get(digest, name)) for digest, name in zip(digests, table["codec"], strict=True)}
    names = ", ".join(dict.fromkeys(name for name, _ in codecs.values())) or "none"
    if not wanted and len(codecs) > 1:
        raise ClicError(f"{path}: candidates of several codecs; name one or more of them with --codec: {names}")
    found = {}
    for name in wanted or [next(iter(codecs.values()))[0]]:
        called = [digest for digest, known in codecs.items() if name in known]
        if not called and len(codecs) == 1 and not opened_by:  # a table alone cannot say what opens its codec
            return table, name
        if not called:
            raise ClicError(f"{path}: no candidates of codec {name!r}; there are those of {names}")
        found[called[-1]] = codecs[called[-1]][1]
    return table[digests.isin(found)], union_spec(found.values())


def _specs(folder: Path) -> dict[str, str]:
    """What opens each codec of a run, by its hash; nothing where there is no store."""
    if not (folder / DATABASE).exists():
        return {}
    with open_store(folder, write=False) as store:
        return {codec.sha256: codec.spec for codec in store.rows(CodecConfig)}


def swept_codecs(store: Store, image_set: str) -> list[CodecConfig]:
    """The codecs that were swept over a set, in order of time."""
    found = []
    for run in store.rows(Sweep, image_set=image_set):
        found += store.rows(CodecConfig, sha256=run.codec)
    return found


def _of_csv(path: Path) -> pd.DataFrame:
    text = [name for name in COLUMNS if name not in (*_INTEGERS, *FLOATS)]
    missing = {name: ["", "nan"] for name in FLOATS}
    try:
        # An image may be called 007 or nan: nothing but numbers can be missing.
        return pd.read_csv(
            path, dtype=dict.fromkeys(text, str), keep_default_na=False, na_values=missing, float_precision="round_trip"
        )
    except (OSError, ValueError) as error:
        raise ClicError(
            f"{path}: no table of candidates ({error}); give a candidates.csv, or the folder of a run"
        ) from error
