"""What a study's numbers support, in words. Every figure and every claim is made from the rows; none stands here."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harness.progress import counted
from submission.study.asked import ROWS_OF
from submission.study.columns import signed
from submission.study.contrasts import Contrast
from submission.study.measured import Cell, Study
from submission.study.names import OBJECTIVES, stage_title
from submission.study.questions import SEEDS, Answer
from submission.study.runs import CODED
from submission.study.statistics import Interval

SCOPE = (
    "All networks are small and were trained for some 10,000 steps: what holds for them need not hold for large ones "
    "trained a hundred times as long."
)


def percent(value: float) -> str:
    """Without a sign, as in `saves 1.20 %`."""
    return f"{abs(value):.2f} %"


def of_interval(interval: Interval) -> str:
    """`95 % interval +0.31 to +2.09 %, 3 seeds`."""
    seeds = counted(interval.seeds, "seed")
    if not interval.known:
        return f"no interval, {seeds}"
    return f"95 % interval {signed(interval.low)} to {signed(interval.high)} %, {seeds}"


def of_contrast(one: Contrast) -> str:
    """What a contrast shows: a saving, a cost, or neither."""
    network = one.test.about.network
    against = stage_title(one.control.about) or one.control.title
    if one.control.about.network != network:
        against = f"{one.control.about.network} with {against}"
    bits = "coded bytes" if one.mode == CODED else f"bits {one.bits}"
    bits += ", small elements left out" if one.test.key.skips else ""
    images = f"{len(one.images)} images of {one.test.key.image_set}"
    where = f"({of_interval(one.gain)}; {_place_on_the_curve(one)}; {images}, {bits})"
    if one.gain.above:
        said = f"saves {percent(one.gain.mean)} of the rate of {against} to first order"
    elif one.gain.below:
        said = f"costs {percent(one.gain.mean)} more rate than {against} to first order"
    elif not one.gain.known:
        return f"{network}, {one.label}: {signed(one.gain.mean)} % against {against}, one seed alone {where}."
    else:
        return f"{network}, {one.label}: no difference to {against} is shown, {signed(one.gain.mean)} % {where}."
    return f"{network}, {one.label}: {said} {where}."


def _place_on_the_curve(one: Contrast) -> str:
    """`-14.10 % of rate and -0.126 dB at equal lambda, BD-rate -0.73 %`."""
    rate, quality = one.moved
    bd = f", BD-rate {signed(one.bd.mean)} %" if one.bd.seeds else ""
    return f"{signed(rate)} % of rate and {signed(quality, 3)} dB at equal lambda{bd}"


def of_answer(answer: Answer, image_set: str) -> str:
    """`P1. Does ...? Yes: ... (on Kodak: measured).`"""
    said = f"{answer.name}. {answer.question} {answer.verdict.capitalize()}: {answer.reason}"
    return said + _measured(answer, image_set)


def _measured(answer: Answer, image_set: str) -> str:
    parts = "; ".join(
        f"{part.label} {signed(part.interval.mean)} %, {of_interval(part.interval)}" for part in answer.parts
    )
    further = " Seeds 4 and 5 are called for." if answer.further_seeds else ""
    return (f" (on {image_set}: {parts})." if parts else ".") + further


def of_stages(found: Sequence[Contrast], image_sets: Sequence[str]) -> Iterator[str]:
    """On each set: how much of soft-then-hard is hardness, and what becomes of the gap between training and coding."""
    for image_set in image_sets:
        by_stages = {
            (one.test.about.stage, one.control.about.stage): one
            for one in found
            if not one.test.key.skips and one.test.key.image_set == image_set
        }
        whole, hardness = by_stages.get(("hard", "soft-continued")), by_stages.get(("hard", "decoder-only"))
        if whole and hardness and whole.seeds == hardness.seeds:
            yield _share_of_hardness(whole, hardness)
        if whole:
            yield _points(whole)
            yield from _gaps(whole)


def _share_of_hardness(whole: Contrast, hardness: Contrast) -> str:
    share = 100 * hardness.gain.mean / whole.gain.mean if whole.gain.mean else math.nan
    said = f", a share of {share:.0f} %" if whole.gain.above and hardness.gain.above else ""
    return (
        f"{_place(whole)}: against equal further steps with noise (a), stage hard (c) gives {signed(whole.gain.mean)} "
        f"% of rate ({of_interval(whole.gain)}); of that, hardness alone (c against b) is "
        f"{signed(hardness.gain.mean)} %{said}."
    )


def _points(whole: Contrast) -> str:
    """How many points of stage hard are better than stage a's in rate and in quality, and all of them."""
    names = ["psnr"] if whole.test.about.objective == "mse" else ["msssim_paper", "msssim_competition"]
    test, control = (
        {name: _by_level(whole, cell, name) for name in ["bpp", *names]} for cell in (whole.test, whole.control)
    )
    fewer = test["bpp"] < control["bpp"]
    better = np.logical_and.reduce([fewer, *(test[name] > control[name] for name in names)])
    count, all_of_them = int(better.sum()), len(better)
    shown, title = (4, "PSNR") if names == ["psnr"] else (5, "MS-SSIM, papers'")
    points = "; ".join(
        f"lambda {whole.test.lambdas[level]:g}: {control['bpp'][at]:.4f} to {test['bpp'][at]:.4f} bpp, "
        f"{control[names[0]][at]:.{shown}f} to {test[names[0]][at]:.{shown}f} {title}"
        for at, level in enumerate(whole.levels)
    )
    said = f"each of the {all_of_them} points" if count == all_of_them else f"{count} of {all_of_them} points"
    verb = "is" if count in (1, all_of_them) else "are"
    quality = "PSNR" if names == ["psnr"] else "MS-SSIM by both definitions"
    return (
        f"{_place(whole)}: {said} of stage hard (c) {verb} better than stage a's in bpp and {quality}, means of "
        f"{counted(len(whole.seeds), 'seed')} ({points})."
    )


def _by_level(one: Contrast, cell: Cell, name: str) -> np.ndarray:
    """Means over seeds and images; PSNR in dB, the mean of the images'."""
    if name == "psnr":
        return (-10 * np.log10(one.figure(cell, "mse"))).mean(axis=(0, 2))
    return one.figure(cell, name).mean(axis=(0, 2))


def _gaps(whole: Contrast) -> Iterator[str]:
    """Of the seeds that have both."""
    before, after = whole.control.gap(), whole.test.gap()
    seeds = [seed for seed in before if seed in after]
    if seeds:
        noise, hard = (sum(values[seed] for seed in seeds) / len(seeds) for values in (before, after))
        yield (
            f"{_place(whole)}: the gap of J between training and coding is {signed(noise)} % of the rate with noise "
            f"(a) and {signed(hard)} % after stage hard (c), {counted(len(seeds), 'seed')}."
        )


def _place(one: Contrast) -> str:
    return f"On {one.test.key.image_set}, trained for {OBJECTIVES[one.test.about.objective]}"


def of_warm_starts(agrees: Sequence[str], image_set: str) -> str:
    """How far row S may be read: `agrees` are the column of row C's table on that set."""
    known = [word for word in agrees if word in ("yes", "no")]
    if not known:
        return "Branches of row S begin from a network trained with noise: they answer as finishing surrogates only."
    if all(word == "yes" for word in known):
        return (
            f"Trained from scratch (row C, {image_set}), {_counted(len(known))} the sign of row S: so far as these "
            "go, its branches may be read as more than finishing surrogates."
        )
    return (
        f"Trained from scratch (row C, {image_set}), {known.count('no')} of {len(known)} differences have another sign "
        "than in row S: its branches answer as finishing surrogates only."
    )


def _counted(count: int) -> str:
    return "the one difference has" if count == 1 else f"all {count} differences have"


def of_seeds(study: Study, answers: Sequence[Answer], by_three: Sequence[Answer]) -> Iterator[str]:
    """Whether seeds beyond the three were used, by the rule or not, and for which questions they are called for.

    `by_three` are the answers that the first three seeds give alone.
    """
    beyond = sorted({row.seed for row in study.rows if row.seed > SEEDS})
    added = {row.row for row in study.rows if row.seed > SEEDS}
    asked = {row for answer in by_three if answer.further_seeds for row in ROWS_OF[answer.name]}
    said = f"Seeds {', '.join(map(str, beyond))} were added to rows"
    if added & asked:
        yield (
            f"{said} {', '.join(sorted(added & asked))} after the intervals of three seeds covered 0 with a mean "
            "beyond 0.5 %, as fixed beforehand."
        )
    if added - asked:
        yield f"{said} {', '.join(sorted(added - asked))}, though the rule fixed beforehand did not ask for it."
    called = [answer.name for answer in answers if answer.further_seeds]
    if called:
        yield f"Seeds 4 and 5 are called for by {', '.join(called)}."
