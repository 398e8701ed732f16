"""The chosen streams of a comparison as pictures: decoded by their codec, and kept as PNG files.

A picture's file is `decoded/CODEC/RATE/NAME.png`; the codec's folder ends in the first digits of its hash, so that
another version of it has another folder. A union's pictures are decoded by its members. What is there already is read,
not trusted.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import pandas as pd
from PIL import Image

from harness.codecs.decoding import SECONDS, Decoder
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import write_atomic
from harness.images import load_rgb, pixels_sha256
from harness.progress import Progress
from harness.records import Key, Score
from harness.store import Store
from harness.streams import read_stream
from harness.sweep.executor import Executor, Lost
from harness.sweep.plan import Plan

FOLDER = "decoded"


@dataclass(frozen=True)
class Decoded:
    """A stream's picture as a PNG file, the hash of its pixels, and the seconds that the codec took to decode it."""

    key: Key
    png: bytes
    pixels_sha256: str
    seconds: float


@dataclass(frozen=True)
class _Wanted:
    """A stream that is to be decoded: its hash, that of the pixels that were scored, and the files to write."""

    stream_sha256: str
    pixels_sha256: str
    paths: list[Path]


def folder_of(name: str, digest: str) -> str:
    """The name of a codec's folder: readable, and valid everywhere."""
    readable = re.sub(r"[^\w.,=+-]", "_", name)[:80]
    return f"{readable}-{digest[:8]}"


def pictures_folder(run: Path, plan: Plan, rate: str) -> Path:
    """Where the pictures of a codec's choices lie, named by the photographs."""
    return run / FOLDER / folder_of(plan.codec.name, plan.codec.sha256) / rate


@dataclass(frozen=True)
class _Streams:
    """One image's streams of one codec, by operating point: what one process decodes at a stretch.

    `spec` opens the codec, `run` is the folder of the streams; `held` has their bytes where that folder is not seen.
    """

    name: str
    spec: str
    image: str
    codec: str
    run: Path
    digests: Mapping[str, str]
    held: Mapping[str, bytes] = field(default_factory=dict)

    def carried(self) -> "_Streams":
        """The same with all bytes in it."""
        return replace(self, held={point: self.stream(point) for point in self.digests})

    def stream(self, point: str) -> bytes:
        """The stream of a point. Raises ClicError where it is missing or damaged."""
        return self.held[point] if point in self.held else read_stream(self.run, self.digests[point])


def decode_all(
    plan: Plan, store: Store, chosen: Mapping[Path, pd.DataFrame], executor: Executor, progress: Progress
) -> None:
    """Decode a codec's chosen rows, given by the folder of their pictures, and write those that are not there yet.

    Each stream is decoded once, however many rates and unions chose it; the seconds go into the store. Raises ClicError
    where a stream does not decode to the pixels that were scored.
    """
    wanted = _missing(chosen)
    for done, (task, result) in enumerate(executor.run(_decode, _tasks(plan, store.folder, wanted)), 1):
        if isinstance(result, Lost):
            raise ClicError(f"{plan.codec.name}: {task.name} cannot be decoded: {result.reason}; mend the codec")
        one = wanted[result.key]
        if result.pixels_sha256 != one.pixels_sha256:
            raise ClicError(
                f"{plan.codec.name}: {task.name} at point {result.key.point} decodes to other pixels than those that "
                "were scored; mend the codec, or compare anew on this machine in another --out"
            )
        for path in one.paths:
            write_atomic(path, result.png)
        if not store.rows(Score, **result.key._asdict(), metric=SECONDS):  # the first time that was taken stays
            store.put(Score(*result.key, SECONDS, result.seconds))
        progress(done, len(wanted))


def decode_seconds(store: Store, rows: pd.DataFrame) -> float:
    """The seconds that decoding the chosen rows took, one after the other; NaN where one was not timed."""
    codecs = rows["codec_sha256"].unique()
    known = {
        Key(score.image, score.codec, score.point): score.value
        for codec in codecs
        for score in store.rows(Score, codec=codec, metric=SECONDS)
    }
    keys = [Key(row.image_sha256, row.codec_sha256, row.point) for row in rows.itertuples()]
    return math.fsum(known.get(key, math.nan) for key in keys)


def _missing(chosen: Mapping[Path, pd.DataFrame]) -> dict[Key, _Wanted]:
    wanted: dict[Key, _Wanted] = {}
    for folder, rows in chosen.items():
        for row in rows.itertuples():
            path = folder / f"{row.image}.png"
            if not _shows(path, row.pixels_sha256):
                key = Key(row.image_sha256, row.codec_sha256, row.point)
                wanted.setdefault(key, _Wanted(row.stream_sha256, row.pixels_sha256, [])).paths.append(path)
    return wanted


def _shows(path: Path, digest: str) -> bool:
    """Whether the file is there and has these pixels."""
    try:
        return path.is_file() and pixels_sha256(load_rgb(path)) == digest
    except ClicError:  # damaged: it is written again
        return False


def _tasks(plan: Plan, run: Path, wanted: Mapping[Key, _Wanted]) -> list[_Streams]:
    """A task for each image."""
    digests: dict[str, dict[str, str]] = {}
    for key, one in wanted.items():
        digests.setdefault(key.image, {})[key.point] = one.stream_sha256
    names = {digest: name for name, digest in plan.originals.hashes.items()}
    return [
        _Streams(names[image], plan.codec.spec, image, plan.codec.sha256, run, points)
        for image, points in digests.items()
    ]


@lru_cache(maxsize=1)
def _opened(spec: str) -> Decoder:
    """The codec's decoder, opened once in a process for all of its tasks."""
    return Decoder(open_codec(spec))


def _decode(task: _Streams) -> Iterator[Decoded | Lost]:
    """Each of the task's streams as a picture; what cannot be decoded ends it."""
    for point in task.digests:
        try:
            decoding = _opened(task.spec).decode(task.stream(point))
            buffer = io.BytesIO()
            Image.fromarray(decoding.pixels).save(buffer, "PNG", compress_level=1)
        except Exception as error:  # of somebody else's code
            yield Lost(str(error) if isinstance(error, ClicError) else repr(error))
            return
        key = Key(task.image, task.codec, point)
        yield Decoded(key, buffer.getvalue(), pixels_sha256(decoding.pixels), decoding.seconds)
