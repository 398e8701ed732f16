"""From candidates to what is uploaded: decoder.zip, and the best data file within a target's budget."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from harness.challenge.archive import data_file_bytes, zip_bytes
from harness.challenge.profiles import Profile, Target
from harness.challenge.verify import DECODER
from harness.codecs.protocol import Submittable
from harness.codecs.union import members_of, stream_for
from harness.errors import ClicError
from harness.files import write_atomic
from harness.rates import MOST, Rate
from harness.scores.objectives import objective as objective_of
from harness.selection.exact import Selection, chosen_rows, select
from harness.streams import read_stream

MAX_REPACKINGS = 16
MAX_MIXED = 4  # codecs of a union up to which every mixture of them is tried; 15 mixtures
_NAMED_STEPS = 10_000  # of a bit per pixel, to which a rate that can be reached is rounded up


class RateUnreachable(ClicError):
    """Not even the smallest candidates of a set fit a rate's budget.

    `smallest` is a rate that they fit; None where there is none, as for a photograph of a few pixels.
    """

    def __init__(self, target: Target, codec: str, size: int) -> None:
        self.size = size
        steps = math.ceil(Fraction(8 * size * _NAMED_STEPS, target.pixels))
        rate = Fraction(steps, _NAMED_STEPS)
        self.smallest = Rate(rate) if rate <= MOST else None
        mend = "ask for that rate or more, or use a codec with lower operating points"
        if self.smallest is None:
            mend = f"{MOST} is the most that can be asked for: give more or larger photographs"
        super().__init__(
            f"rate {target.rate}: the smallest data file of these images by codec {codec!r} takes {size} bytes, "
            f"{self.smallest or round(rate)} bits per pixel, and the budget is {target.budget}; {mend}"
        )


@dataclass(frozen=True)
class Packed:
    """A submission's two files; the selection's `bytes` are the data file's, `overhead` those that are no stream."""

    selection: Selection
    overhead: int
    profile: Profile
    data: bytes
    decoder: bytes

    def write(self, folder: Path) -> None:
        """Write both files to `folder`."""
        write_atomic(folder / DECODER, self.decoder)
        write_atomic(folder / self.profile.data_file, self.data)


def set_pixels(candidates: pd.DataFrame) -> int:
    """The pixels of the set that the candidates are of. Raises ClicError for a width or height that is no number."""
    sides = candidates[["width", "height"]].apply(pd.to_numeric, errors="coerce")
    faulty = sides.isna().any(axis=1)
    if faulty.any():
        row = candidates[faulty].iloc[0]
        raise ClicError(
            f"candidates: image {row['image']}, point {row['point']}: width {row['width']} and height {row['height']} "
            "must be whole numbers above 0; sweep anew"
        )
    return int(sides.groupby(candidates["image"]).first().prod(axis=1).sum())


def pack(
    candidates: pd.DataFrame, codec: Submittable, run: Path, target: Target, objective: str = "competition"
) -> Packed:
    """The best submission within the target's budget, of candidates whose streams are in the folder `run`.

    Those of a union are its members'. Raises RateUnreachable for a budget that even the smallest candidates exceed,
    ClicError for candidates of another codec or version, and a damaged stream.
    """
    known = members_of(codec)
    foreign = candidates[~candidates["codec_sha256"].isin(known)]
    if len(foreign) or candidates.empty:
        of_which = f" of {', '.join(sorted(set(foreign['codec'])))}" if len(known) > 1 else ""
        raise ClicError(
            f"the candidates{of_which} were not coded by codec {codec.name!r} as it is installed now; "
            "run 'clic encode' again"
        )
    best = _best_of_mixtures(candidates, codec, run, target, objective)
    decoder = zip_bytes(codec.decoder_files(target.profile.data_file, target.profile.payload))
    return Packed(best.selection, best.overhead, target.profile, best.data, decoder)


class _Fit(NamedTuple):
    """A choice whose data file fits, what the file holds beside the streams, and the file."""

    selection: Selection
    overhead: int
    data: bytes


def _best_of_mixtures(candidates: pd.DataFrame, codec: Submittable, run: Path, target: Target, objective: str) -> _Fit:
    """The best fit of all mixtures of a union's codecs, with the best bound of them all.

    What a container adds depends above all on which codecs have images in it, so each mixture has a budget of its own
    for streams. Raises RateUnreachable where none fits.
    """
    fits: list[_Fit] = []
    refused: list[RateUnreachable] = []
    for mixture in _mixtures(candidates):
        try:
            fits.append(_Packer(mixture, codec, run, target).best_fit(objective))
        except RateUnreachable as error:
            refused.append(error)
    if not fits:
        raise min(refused, key=lambda error: error.size)
    rank = objective_of(objective).rank
    best = max(fits, key=lambda fit: rank(fit.selection.score))
    bound = max((fit.selection.bound for fit in fits), key=rank)
    return best._replace(selection=replace(best.selection, bound=bound))


def _mixtures(candidates: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """The candidates of each set of codecs that has some of every image; of many codecs, of each alone and of all."""
    codecs, images = sorted(set(candidates["codec"])), candidates["image"].nunique()
    sizes = range(1, len(codecs) + 1) if len(codecs) <= MAX_MIXED else (1, len(codecs))
    for chosen in (chosen for size in sizes for chosen in combinations(codecs, size)):
        mixture = candidates[candidates["codec"].isin(chosen)]
        if mixture["image"].nunique() == images:
            yield mixture


@dataclass(frozen=True)
class _Packer:
    """What stays the same while choices are tried."""

    candidates: pd.DataFrame
    codec: Submittable
    run: Path
    target: Target

    def best_fit(self, objective: str) -> _Fit:
        """The best choice whose data file fits.

        What the container adds may depend on the choice by some bytes, so each packing's measure is the next
        selection's allowance, until one is met again; the best that fitted counts.
        """
        budget, rank = self.target.budget, objective_of(objective).rank
        streams_bytes = int(self.candidates.groupby("image")["bytes"].min().sum())
        smallest = self.selected(streams_bytes, objective)
        data = self.data_file(smallest)
        if len(data) > budget:
            raise RateUnreachable(self.target, self.codec.name, len(data))
        best = replace(smallest, bytes=len(data), budget=budget, bound=rank(math.inf))
        overhead, tried = len(data) - streams_bytes, set[int]()
        beside = overhead
        while overhead not in tried and len(tried) < MAX_REPACKINGS and streams_bytes + overhead <= budget:
            tried.add(overhead)
            selection = self.selected(budget, objective, overhead)
            attempt = self.data_file(selection)
            excess = len(attempt) - selection.bytes
            if len(attempt) <= budget and rank(selection.score) >= rank(best.score):
                best, data, beside = replace(selection, bytes=len(attempt)), attempt, overhead + excess
            overhead += excess
        return _Fit(best, beside, data)

    def selected(self, budget: int, objective: str, overhead: int = 0) -> Selection:
        """The best choice within a budget, with the codec of each image."""
        selection = select(self.candidates, budget, objective, overhead=overhead)
        codecs = selection.codecs or dict.fromkeys(selection.points, str(self.candidates["codec"].iloc[0]))
        return replace(selection, codecs=codecs)

    def data_file(self, selection: Selection) -> bytes:
        """The data file of a choice."""
        rows = chosen_rows(self.candidates, selection)
        streams = {
            str(name): stream_for(self.codec, codec, read_stream(self.run, digest))
            for name, codec, digest in zip(rows["image"], rows["codec_sha256"], rows["stream_sha256"], strict=True)
        }
        return data_file_bytes(self.codec.pack(streams), self.target.profile)
