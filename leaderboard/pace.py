"""Decoding time as a rank: seconds per megapixel beside those of the archived boards, and the slowest quarter's line.

The slowest quarter of a track wins no prize. Each year had its own machine, and a run here has another one: what is set
side by side is an order of magnitude. The boards of 2025 have both tracks in one table, those before one track.
"""

from dataclasses import dataclass

from harness.challenge.profiles import load_profile, newest_profile
from leaderboard.archived import TRACK, boards, read_board


@dataclass(frozen=True)
class Pace:
    """A submission among the rows of one board: `place` counts from the fastest, of `rows` with it.

    Slower than `line` seconds per megapixel is among the slowest quarter, as `slowest` says of this one. `fastest` and
    `median` are the board's.
    """

    image_set: str
    rate: float
    rows: int
    place: int
    fastest: float
    median: float
    line: float
    slowest: bool
    note: str


def paces(rate: float, seconds_per_megapixel: float) -> list[Pace]:
    """The place among each archived board of that rate whose pixels are known, the oldest first.

    The line of the slowest is that of the newest rules.
    """
    found = []
    share = load_profile(newest_profile()).slowest_share
    for board in boards():
        if board.track != TRACK or board.rate != rate or not board.pixels:
            continue
        seconds = read_board(board)["decode_seconds"].dropna().sort_values()
        others = (seconds / (board.pixels / 1e6)).tolist()
        rows = len(others) + 1
        without_prize = int(share * rows)
        line = others[len(others) - without_prize]
        found.append(
            Pace(
                board.image_set,
                rate,
                rows,
                1 + sum(other < seconds_per_megapixel for other in others),
                others[0],
                others[len(others) // 2],
                line,
                seconds_per_megapixel > line,
                board.note,
            )
        )
    return found
