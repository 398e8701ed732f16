"""What a report found, in a sentence at its top: only from measured numbers, with what the sentence rests on."""

import math
from dataclasses import dataclass

import numpy as np

from leaderboard import units
from leaderboard.bdrate import frontier
from leaderboard.curves import Curve
from leaderboard.report.model import Report, Selected

MEASURE = "msssim_competition"


@dataclass(frozen=True)
class Finding:
    """A sentence, and how it was come by."""

    sentence: str
    basis: str


def bytes_against(curve: Curve, other: Curve, bpp: float) -> float | None:
    """By which share `curve` spends more (positive) or fewer bytes at `bpp` than `other` needs for the same score.

    Straight over log(bpp) between measured points that no other point beats; None where either does not reach.
    """
    score = curve.at(bpp)
    points = frontier(other.points)
    if score is None or not points or not points[0].score <= score <= points[-1].score:
        return None
    needed = np.interp(score, [point.score for point in points], np.log([point.bpp for point in points]))
    return bpp / math.exp(needed) - 1


def rival_of(report: Report, rate: float) -> str | None:
    """The best of the others at `rate` on the board; where the subject has a curve, one that has one: no union."""
    subject = report.entrants[0]
    rows = report.board[(report.board["rate"] == rate) & (report.board["entrant"] != subject)]
    curves = {curve.codec for curve in report.curves.get(MEASURE, ())}
    with_curve = rows[rows["entrant"].isin(curves)]
    if subject in curves and len(with_curve):
        rows = with_curve
    rows = rows.dropna(subset=[MEASURE]).sort_values(MEASURE, ascending=False, kind="stable")
    return None if rows.empty else str(rows["entrant"].iloc[0])


def _images(report: Report) -> str:
    count = len(report.photographs)
    return "this image" if count == 1 else f"these {count} images"


def _of_two(report: Report, subject: str, rival: str, rate: float) -> Finding | None:
    ours, theirs = report.on_board(subject, rate), report.on_board(rival, rate)
    rank = "" if len(report.entrants) == 2 else ", the best of the others there,"
    at = f"At {units.rate_name(rate)} bpp {subject}"
    curves = {curve.codec: curve for curve in report.curves.get(MEASURE, ())}
    if subject in curves and rival in curves:
        share = bytes_against(curves[subject], curves[rival], rate)
        if share is not None:
            basis = (
                "At equal MS-SSIM (competition), read off the curves below, which give every image the same operating "
                "point: straight between measured points."
            )
            much = f"{100 * abs(share):.0f} % {'fewer' if share < 0 else 'more'} bytes than"
            if abs(share) < 0.005:
                much = "as many bytes as"
            return Finding(f"{at} spends {much} {rival}{rank} on {_images(report)}.".replace(",.", "."), basis)
    if ours is None or theirs is None:
        return None
    gain = units.decibels(ours.msssim_competition) - units.decibels(theirs.msssim_competition)
    much = f"{abs(gain):.2f} dB {'more' if gain >= 0 else 'less'} MS-SSIM than"
    basis = "Competition's MS-SSIM of what was selected for this rate, in the leaderboard below."
    return Finding(f"{at} scores {much} {rival}{rank} on {_images(report)}.", basis)


def _of_one(report: Report, subject: str, rate: float) -> Finding:
    row = report.on_board(subject, rate)
    score = f"{units.fixed(row.msssim_competition, 5)} ({units.fixed(units.decibels(row.msssim_competition), 2)} dB)"
    sentence = f"At {units.rate_name(rate)} bpp {subject} scores {score} of MS-SSIM on {_images(report)}"
    known = [one for one in report.selected if one.entrant == subject and one.rate == rate]
    for selected in known:
        if selected.gain_db is not None and abs(selected.gain_db) >= 0.005:
            side = "more" if selected.gain_db > 0 else "less"
            sentence += f", {abs(selected.gain_db):.2f} dB {side} than with one operating point for all of them"
        sentence += _bound(selected)
    return Finding(sentence + ".", "MS-SSIM by the competition's definition, of the decoded files.")


def _bound(selected: Selected) -> str:
    if selected.bound is None or selected.score is None:
        return ""
    if selected.bound <= selected.score:
        return "; no other choice among its operating points scores more within the budget"
    return f"; no choice among its operating points can score above {selected.bound:.6f} within the budget"


def finding(report: Report) -> Finding | None:
    """The sentence on the page's subject at the middle rate: against the best of the others, or alone."""
    rate = report.middle_rate
    subject = report.entrants[0]
    rival = rival_of(report, rate)
    if rival is not None:
        return _of_two(report, subject, rival, rate)
    return None if report.on_board(subject, rate) is None else _of_one(report, subject, rate)
