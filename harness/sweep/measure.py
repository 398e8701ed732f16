"""Further scores of candidates that are there: their streams are decoded, and measured against the photographs.

What is measured goes into the store's table `score`; nothing is coded again. A selection takes its columns from there.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from harness.codecs.decoding import Decoder
from harness.codecs.protocol import codec_sha256
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import sha256
from harness.images import load_rgb, pixels_sha256
from harness.progress import Progress, bar, counted, log
from harness.records import CodecConfig, Score
from harness.scores.metrics import Metric, open_metric
from harness.scores.objectives import objective as objective_of
from harness.store import Store
from harness.streams import read_stream
from harness.sweep.executor import Executor, Lost
from harness.sweep.originals import Originals
from harness.sweep.table import with_scores


@dataclass(frozen=True)
class Wanted:
    """A stream that is to be measured: its hash, that of the pixels that were scored, and what opens the metrics."""

    stream_sha256: str
    pixels_sha256: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class Unmeasured:
    """Streams of one image and codec by operating point: what one process measures at a stretch.

    `image` and `codec` are hashes, `path` and `spec` what is read and opened for them, `run` is the folder of the
    streams; `content` and `held` have the bytes of the photograph and the streams where none of these is seen.
    """

    name: str
    image: str
    path: str
    codec: str
    spec: str
    run: Path
    points: Mapping[str, Wanted]
    content: bytes | None = None
    held: Mapping[str, bytes] = field(default_factory=dict)

    def carried(self) -> "Unmeasured":
        """The same with all bytes in it. Raises OSError, and ClicError for a damaged stream."""
        held = {point: read_stream(self.run, wanted.stream_sha256) for point, wanted in self.points.items()}
        return replace(self, content=Path(self.path).read_bytes(), held=held)

    def stream(self, point: str) -> bytes:
        """The stream of a point. Raises ClicError where it is missing or damaged."""
        return self.held[point] if point in self.held else read_stream(self.run, self.points[point].stream_sha256)

    def original(self) -> np.ndarray:
        """The photograph's pixels. Raises ClicError where its file is not the one that was coded."""
        content = Path(self.path).read_bytes() if self.content is None else self.content
        if sha256(content) != self.image:
            raise ClicError(f"{self.path}: another file than the one that was coded; run again with --rehash")
        return load_rgb(Path(self.path), content)


def scored_candidates(
    store: Store, originals: Originals, codecs: Sequence[CodecConfig], objective: str, executor: Executor
) -> pd.DataFrame:
    """The codecs' candidates of a set with all columns of an objective, measured first where they lack scores.

    Raises ClicError for a metric that cannot be opened, or fails on a candidate.
    """
    metrics = [open_metric(spec) for spec in objective_of(objective).metrics.values()]
    if metrics:
        with bar("measure") as progress:
            measure(store, originals, codecs, metrics, executor, progress)
    candidates = store.candidates(originals.id, [codec.sha256 for codec in codecs])
    return with_scores(candidates, store, objective)


def measure(
    store: Store,
    originals: Originals,
    codecs: Sequence[CodecConfig],
    metrics: Sequence[Metric],
    executor: Executor,
    progress: Progress,
) -> int:
    """Measure what the codecs' candidates of a set lack of these metrics; returns how many scores that were.

    Raises ClicError, after all else is done, where some could not be measured.
    """
    tasks = [task for codec in codecs for task in _tasks(store, originals, codec, metrics)]
    total = sum(len(wanted.metrics) for task in tasks for wanted in task.points.values())
    done, failed = 0, list[str]()
    with closing(executor.run(_measure, tasks)) as results:
        for task, result in results:
            if isinstance(result, Lost):
                failed.append(f"{task.name}: {result.reason}")
                log(f"measure: {failed[-1]}")
                continue
            store.put(result)
            done += 1
            progress(done, total)
    if failed:
        raise ClicError(
            f"{counted(len(failed), 'failure')} in measuring ({'; '.join(failed[:3])}); mend the metric and run again, "
            "the rest is kept"
        )
    return done


def _tasks(store: Store, originals: Originals, codec: CodecConfig, metrics: Sequence[Metric]) -> Iterator[Unmeasured]:
    """What one codec's candidates lack, a task for each image."""
    known = {
        metric.key: {(score.image, score.point) for score in store.rows(Score, codec=codec.sha256, metric=metric.key)}
        for metric in metrics
    }
    rows = store.candidates(originals.id, [codec.sha256]).drop_duplicates(["image_sha256", "point"])
    sources = {originals.hashes[source.name]: source for source in originals.images}
    for image, group in rows.groupby("image_sha256", sort=False):
        points = {}
        for row in group.itertuples():
            lacking = tuple(metric.spec for metric in metrics if (image, row.point) not in known[metric.key])
            if lacking:
                points[row.point] = Wanted(row.stream_sha256, row.pixels_sha256, lacking)
        if points:
            source = sources[image]
            path = str(source.path.resolve())
            yield Unmeasured(source.name, image, path, codec.sha256, codec.spec, store.folder, points)


def _measure(task: Unmeasured) -> Iterator[Score | Lost]:
    """Each score as it is made; what cannot be decoded or measured leaves the other points."""
    try:
        decoder, original = _opened(task.spec, task.codec), task.original()
    except Exception as error:  # of somebody else's code
        yield Lost(_reason(error))
        return
    for point, wanted in task.points.items():
        try:
            decoding = decoder.decode(task.stream(point))
            if pixels_sha256(decoding.pixels) != wanted.pixels_sha256:
                raise ClicError("decodes to other pixels than those that were scored; measure where it was coded")
            for spec in wanted.metrics:
                metric = _metric(spec)
                yield Score(task.image, task.codec, point, metric.key, metric.measure(original, decoding))
        except Exception as error:
            yield Lost(f"point {point}: {_reason(error)}")


@lru_cache(maxsize=1)
def _opened(spec: str, digest: str) -> Decoder:
    """The codec's decoder, opened once in a process for all of its tasks. Raises ClicError for another codec."""
    codec = open_codec(spec)
    if codec_sha256(codec) != digest:
        raise ClicError(f"codec {spec!r} is not the one that coded these any more; code them again")
    return Decoder(codec)


@lru_cache
def _metric(spec: str) -> Metric:
    """The metric, opened once in a process."""
    return open_metric(spec)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ClicError) else f"{type(error).__name__}: {error}"
