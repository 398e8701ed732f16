"""From candidates to what is uploaded: decoder.zip, and the best data file within a target's budget."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import pandas as pd

from harness.challenge.archive import data_file_bytes, zip_bytes
from harness.challenge.profiles import Profile, Target
from harness.challenge.verify import DECODER
from harness.codecs.protocol import Submittable, codec_sha256
from harness.errors import ClicError
from harness.files import write_atomic
from harness.rates import Rate
from harness.selection.exact import Selection, chosen_rows, select
from harness.streams import read_stream

MAX_REPACKINGS = 16
_NAMED_STEPS = 10_000  # of a bit per pixel, to which a rate that can be reached is rounded up


class RateUnreachable(ClicError):
    """Not even the smallest candidates of a set fit a rate's budget; `smallest` is a rate that they fit."""

    def __init__(self, target: Target, codec: str, size: int) -> None:
        steps = math.ceil(Fraction(8 * size * _NAMED_STEPS, target.pixels))
        self.smallest = Rate.parse(Fraction(steps, _NAMED_STEPS))
        super().__init__(
            f"rate {target.rate}: the smallest data file of these images by codec {codec!r} takes {size} bytes, "
            f"{self.smallest} bits per pixel, and the budget is {target.budget}; ask for that rate or more, or use a "
            "codec with lower operating points"
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

    Raises RateUnreachable for a budget that even the smallest candidates exceed, ClicError for candidates of another
    codec or version, and a damaged stream.
    """
    if set(candidates["codec_sha256"]) != {codec_sha256(codec)}:
        raise ClicError(
            f"the candidates were not coded by codec {codec.name!r} as it is installed now; run 'clic encode' again"
        )
    packer = _Packer(candidates, codec, run, target)
    selection, overhead, data = packer.best_fit(objective)
    decoder = zip_bytes(codec.decoder_files(target.profile.data_file, target.profile.payload))
    return Packed(selection, overhead, target.profile, data, decoder)


@dataclass(frozen=True)
class _Packer:
    """What stays the same while choices are tried."""

    candidates: pd.DataFrame
    codec: Submittable
    run: Path
    target: Target

    def best_fit(self, objective: str) -> tuple[Selection, int, bytes]:
        """The best choice whose data file fits, what the file holds beside the streams, and the file.

        What the container adds may depend on the choice by some bytes, so each packing's measure is the next
        selection's allowance, until one is met again; the best that fitted counts.
        """
        budget = self.target.budget
        streams_bytes = int(self.candidates.groupby("image")["bytes"].min().sum())
        smallest = select(self.candidates, streams_bytes, objective)
        data = self.data_file(smallest)
        if len(data) > budget:
            raise RateUnreachable(self.target, self.codec.name, len(data))
        best = replace(smallest, bytes=len(data), budget=budget, bound=math.inf)
        overhead, tried = len(data) - streams_bytes, set[int]()
        beside = overhead
        while overhead not in tried and len(tried) < MAX_REPACKINGS and streams_bytes + overhead <= budget:
            tried.add(overhead)
            selection = select(self.candidates, budget, objective, overhead=overhead)
            attempt = self.data_file(selection)
            excess = len(attempt) - selection.bytes
            if len(attempt) <= budget and selection.score >= best.score:
                best, data, beside = replace(selection, bytes=len(attempt)), attempt, overhead + excess
            overhead += excess
        return best, beside, data

    def data_file(self, selection: Selection) -> bytes:
        """The data file of a choice."""
        rows = chosen_rows(self.candidates, selection)
        streams = {
            str(name): read_stream(self.run, digest)
            for name, digest in zip(rows["image"], rows["stream_sha256"], strict=True)
        }
        return data_file_bytes(self.codec.pack(streams), self.target.profile)
