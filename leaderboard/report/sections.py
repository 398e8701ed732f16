"""The tables of a page, as the templates draw them: each cell has its text and what it sorts by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.imagesets import canonical
from leaderboard import units
from leaderboard.columns import BOARD
from leaderboard.curves import MEASURES
from leaderboard.report.model import Report, Selected
from leaderboard.tables import Column, Columns, cells

_IMAGES: Columns = (
    Column("entrant", "entrant", "", lambda row: row.entrant, is_number=False),
    Column("rate", "rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("codec", "codec", "", lambda row: row.codec, is_number=False),
    Column("point", "point", "", lambda row: row.point, is_number=False),
    Column("bytes", "bytes", "", lambda row: units.integer(row.bytes)),
    Column("bpp", "bpp", "", lambda row: units.fixed(row.bpp, 4)),
    Column("msssim_competition", "MS-SSIM", "competition", lambda row: units.fixed(row.msssim_competition, 5)),
    Column("decibels", "MS-SSIM", "dB", lambda row: units.fixed(row.decibels, 2)),
    Column("msssim_paper", "MS-SSIM", "paper", lambda row: units.fixed(row.msssim_paper, 5)),
    Column("psnr", "PSNR", "dB", lambda row: units.fixed(row.psnr, 2)),
)
_PAIRED: Columns = (
    Column("first", "first", "", lambda row: row.first, is_number=False),
    Column("second", "second", "", lambda row: row.second, is_number=False),
    Column("pairs", "pairs", "", lambda row: units.integer(row.pairs)),
    Column("images", "images", "with a pair", lambda row: f"{row.images} of {row.images_in_both}"),
    Column("mean", "ratio", "geometric mean", lambda row: units.fixed(row.mean, 3)),
    Column("low", "10 %", "of pairs below", lambda row: units.fixed(row.low, 3)),
    Column("median", "median", "", lambda row: units.fixed(row.median, 3)),
    Column("high", "90 %", "of pairs below", lambda row: units.fixed(row.high, 3)),
    Column(
        "better",
        "first is better",
        "in",
        lambda row: "–" if pd.isna(row.better) else f"{100 * row.better:.0f} % of pairs",
    ),
)
_ENCODING: Columns = (
    Column("codec", "codec", "", lambda row: row.codec, is_number=False),
    Column("encodes", "encodes", "timed", lambda row: units.integer(row.encodes)),
    Column("median", "encode", "s, median", lambda row: units.fixed(row.median, 3)),
    Column("slowest", "encode", "s, slowest", lambda row: units.fixed(row.slowest, 3)),
    Column("per_megapixel", "encode", "s per megapixel", lambda row: units.fixed(row.per_megapixel, 3)),
)
_DECODING: Columns = (
    Column("entrant", "entrant", "", lambda row: row.entrant, is_number=False),
    Column("rate", "rate", "bpp", lambda row: units.rate_name(row.rate)),
    Column("decode_seconds", "decode", "s, whole set", lambda row: units.fixed(row.decode_seconds, 2)),
    Column("per_megapixel", "decode", "s per megapixel", lambda row: units.fixed(row.per_megapixel, 3)),
)


@dataclass(frozen=True)
class Cell:
    """One cell: its text, what it sorts by, and whether that is a number."""

    text: str
    key: Any
    is_number: bool


@dataclass(frozen=True)
class Table:
    """A sortable table: `sources` are the rows that its cells were made from."""

    name: str
    label: str
    columns: Columns
    rows: Sequence[Sequence[Cell]]
    sources: Sequence[Any]


@dataclass(frozen=True)
class Matrix:
    """BD-rates by one measure: a row for each codec, a column for each anchor; None on the diagonal."""

    measure: str
    codecs: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Any | None]]]
    reasons: Sequence[str]


def as_table(name: str, label: str, columns: Columns, frame: pd.DataFrame) -> Table:
    """The rows of `frame` as a table; `name` is that of its element, `label` says what it is."""
    sources = list(frame.itertuples())
    rows = [
        [Cell(text, column.data(row), column.is_number) for column, text in zip(columns, texts, strict=True)]
        for row, texts in zip(sources, cells(columns, frame), strict=True)
    ]
    return Table(name, label, columns, rows, sources)


def ranked(board: pd.DataFrame) -> pd.DataFrame:
    """The board by rate and `rank`: place among those of the same rate by MS-SSIM (competition), equal ones alike."""
    rank = board.groupby("rate")["msssim_competition"].rank(ascending=False, method="min", na_option="bottom")
    return board.assign(rank=rank.astype(int)).sort_values(["rate", "rank"], kind="stable", ignore_index=True)


def board(report: Report) -> Table:
    """The leaderboard; a rank is told where there is more than one to rank."""
    rank = Column("rank", "rank", "at its rate", lambda row: str(row.rank))
    columns = (rank, *report.columns) if len(report.entrants) > 1 else report.columns
    return as_table("board", "Leaderboard", columns, ranked(report.board))


def images(report: Report) -> Table:
    """Every image at every rate, of everyone; columns that would say the same in each row are left out."""
    scores = report.scores.assign(decibels=report.scores["msssim_competition"].map(units.decibels))
    dull = {name for name in ("entrant", "codec") if scores[name].nunique() == 1}
    if (scores["codec"] == scores["entrant"]).all():
        dull.add("codec")
    order = {entrant: number for number, entrant in enumerate(report.entrants)}
    scores = scores.assign(order=scores["entrant"].map(order)).sort_values(["image", "order", "rate"], kind="stable")
    return as_table("images", "Every image", [column for column in _IMAGES if column.name not in dull], scores)


def bd_matrices(report: Report) -> list[Matrix]:
    """The BD-rates by measure; empty where there is no other codec."""
    if report.bd_rates is None or report.bd_rates.empty:
        return []
    return [
        _matrix(name, rows, report.entrants)
        for name in MEASURES
        if len(rows := report.bd_rates.query("metric == @name"))
    ]


def _matrix(measure: str, rows: pd.DataFrame, first: Sequence[str]) -> Matrix:
    found = {(row.codec, row.anchor): row for row in rows.itertuples()}
    there = {*rows["codec"], *rows["anchor"]}
    codecs = [codec for codec in dict.fromkeys([*first, *rows["anchor"], *rows["codec"]]) if codec in there]
    reasons = [
        f"{row.codec} against {row.anchor}: {said}" for row in found.values() if (said := row.reason or row.note)
    ]
    lines = [(codec, [found.get((codec, anchor)) for anchor in codecs]) for codec in codecs]
    return Matrix(measure, codecs, lines, reasons)


def paired(report: Report) -> Table | None:
    """The figures of the paired plot."""
    if not report.paired:
        return None
    rows: list[Mapping[str, Any]] = []
    for one in report.paired:
        quantiles = one.quantiles((0.1, 0.5, 0.9))
        facts = {"first": one.first, "second": one.second, "pairs": len(one.pairs), "images": one.images}
        facts |= {"images_in_both": one.images_in_both, "mean": one.geometric_mean, "better": one.better}
        rows.append(facts | {"low": quantiles.get(0.1), "median": quantiles.get(0.5), "high": quantiles.get(0.9)})
    frame = pd.DataFrame(rows)
    numbers = frame[["mean", "better", "low", "median", "high"]].astype(float)
    return as_table("paired", "Paired encodes", _PAIRED, frame.assign(**{name: numbers[name] for name in numbers}))


def encoding(report: Report) -> Table | None:
    """How long the codecs took for an image, over all encodes that were timed."""
    if "encode_seconds" not in report.candidates:
        return None
    seconds = pd.to_numeric(report.candidates["encode_seconds"], errors="coerce")
    timed = report.candidates.assign(encode_seconds=seconds)[seconds.notna()]
    rows = [
        {
            "codec": codec,
            "encodes": len(group),
            "median": group["encode_seconds"].median(),
            "slowest": group["encode_seconds"].max(),
            "per_megapixel": 1e6 * group["encode_seconds"].sum() / (group["width"] * group["height"]).sum(),
        }
        for codec, group in timed.groupby("codec", sort=False)
    ]
    return as_table("encoding", "Encoding time", _ENCODING, pd.DataFrame(rows)) if rows else None


def decoding(report: Report, megapixels: float) -> Table | None:
    """How long the packed decoders took for the whole set."""
    if "decode_seconds" not in report.board or report.board["decode_seconds"].isna().all():
        return None
    timed = report.board.dropna(subset=["decode_seconds"])
    timed = timed.assign(per_megapixel=timed["decode_seconds"] / megapixels)
    return as_table("decoding", "Decoding time", _DECODING, timed)


def archived(report: Report) -> Table | None:
    """The best row of each past set at each rate, and whether its images are those of the report."""
    if report.archived.empty:
        return None
    rows = report.archived.sort_values("msssim", ascending=False, kind="stable")
    best = rows.drop_duplicates(["rate", "image_set"]).sort_values(["rate", "image_set"])
    same = canonical(report.image_set)

    def relation(row: Any) -> str:
        return "these images" if canonical(str(row.image_set)) == same else "other images"

    column = Column("relation", "measured on", "", relation, is_number=False, value=relation)
    shown = [one for one in BOARD if one.name != "date" and not best[one.name].isna().all()]
    return as_table("archived", "Past boards", [shown[0], column, *shown[1:]], best)


def boxes(selected: Iterable[Selected]) -> list[tuple[list[float], Selected]]:
    """The rates by sandbox, so that the page says once what holds for several."""
    alike: dict[tuple[str, tuple[str, ...]], list[Selected]] = {}
    for one in selected:
        alike.setdefault((one.sandbox, tuple(one.not_enforced)), []).append(one)
    return [([one.rate for one in same], same[0]) for same in alike.values()]
