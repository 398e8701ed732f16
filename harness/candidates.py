"""Candidates as people and selections see them: a row for each image under its name, by each codec and point."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

COLUMNS = (
    "image",
    "width",
    "height",
    "codec",
    "point",
    "bytes",
    "msssim_competition",
    "msssim_paper",
    "mse",
    "encode_seconds",
    "image_sha256",
    "stream_sha256",
    "pixels_sha256",
    "codec_sha256",
)
FLOATS = ("msssim_competition", "msssim_paper", "mse", "encode_seconds")  # of the columns, may be missing
REPEATED = ("image", "codec", "point", "image_sha256", "codec_sha256")  # texts that many rows share, held once
_ROW = """image.width, image.height, codec.name, candidate.point, candidate.bytes, candidate.msssim_competition,
    candidate.msssim_paper, candidate.mse, candidate.encode_seconds, image.sha256, candidate.stream_sha256,
    candidate.pixels_sha256, codec.sha256"""
_JOINED = """candidate JOIN image ON image.sha256 = candidate.image JOIN codec ON codec.sha256 = candidate.codec"""
OF_A_SET = f"""
    SELECT member.name, {_ROW} FROM {_JOINED} JOIN member ON member.image = candidate.image
        LEFT JOIN json_each(codec.points) AS place ON place.value = candidate.point
    WHERE member.image_set = ? AND candidate.codec = ?
    ORDER BY member.rowid, place.key IS NULL, place.key, candidate.bytes, candidate.point"""
OF_AN_ALLOCATION = f"""
    SELECT chosen.name, {_ROW} FROM {_JOINED} JOIN chosen ON chosen.image = candidate.image
        AND chosen.codec = candidate.codec AND chosen.point = candidate.point
    WHERE chosen.allocation = ? ORDER BY chosen.rowid"""


def as_table(rows: list[tuple[Any, ...]]) -> "DataFrame":
    """What one of the queries gave, as a table."""
    import pandas

    table = pandas.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(FLOATS, float))
    for name in REPEATED:
        places, values = pandas.factorize(table[name])
        table[name] = values.take(places)
    return table
