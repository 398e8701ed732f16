"""One task of a sweep: from an image's pixels to streams and scores. It writes nothing."""

import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np

from harness.codecs.protocol import Codec, codec_sha256
from harness.codecs.registry import open_codec
from harness.errors import ClicError
from harness.files import sha256
from harness.images import load_rgb, pixels_sha256
from harness.records import Candidate, Failure
from harness.sweep.plan import Task


@dataclass(frozen=True)
class Coded:
    """A candidate and its stream."""

    candidate: Candidate
    stream: bytes


def code(task: Task) -> Iterator[Coded | Failure]:
    """Each of the task's candidates as it is made, or why it could not be; a failed point leaves the others."""
    from harness.scores.msssim import Reference

    try:
        codec = _opened(task.spec, task.codec)
        pixels = _pixels(task)
        reference = Reference(pixels)
        start = time.perf_counter()
        prepared = codec.prepare(pixels)
        prepare_seconds = time.perf_counter() - start
    except Exception as error:  # whatever it is, the other images go on
        yield failure(task, "", _reason(error))
        return
    for point in task.points:
        try:
            start = time.perf_counter()
            encoding = codec.encode(prepared, point)
            encode_seconds = time.perf_counter() - start
            decoded = codec.decode(encoding.stream) if encoding.pixels is None else encoding.pixels
            if decoded.shape != pixels.shape or decoded.dtype != np.uint8:
                raise ClicError(f"decodes to {decoded.dtype} {decoded.shape}, expected uint8 {pixels.shape}")
            score = reference.score(decoded)
        except Exception as error:
            yield failure(task, point, _reason(error))
            continue
        candidate = Candidate(
            image=task.image,
            codec=task.codec,
            point=point,
            bytes=len(encoding.stream),
            stream_sha256=sha256(encoding.stream),
            pixels_sha256=pixels_sha256(decoded),
            msssim_competition=score.msssim_competition,
            msssim_paper=score.msssim_paper,
            mse=score.mse,
            prepare_seconds=round(prepare_seconds, 3),
            encode_seconds=round(encode_seconds, 3),
            host=platform.node(),
        )
        yield Coded(candidate, encoding.stream)


def failure(task: Task, point: str, reason: str) -> Failure:
    """The record of a point, or of the whole task where `point` is empty, that could not be coded now."""
    return Failure(task.image, task.codec, point, reason, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")


@lru_cache(maxsize=1)
def _opened(spec: str, digest: str) -> Codec:
    """The codec, opened once in a process for all of its tasks. Raises ClicError where it is another one here."""
    codec = open_codec(spec)
    if codec_sha256(codec) != digest:
        raise ClicError(f"codec {spec!r} has another configuration in this process; was it changed meanwhile?")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
    return codec


def _pixels(task: Task) -> np.ndarray:
    """The image's pixels. Raises ClicError where its file is not the one that was planned."""
    path = Path(task.path)
    content = path.read_bytes() if task.content is None else task.content
    if sha256(content) != task.image:
        raise ClicError(f"{path}: changed while the run was going on; run again with --rehash")
    return load_rgb(path, content)


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, ClicError) else f"{type(error).__name__}: {error}"
