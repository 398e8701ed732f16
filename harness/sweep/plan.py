"""What a sweep has to do: every image of a set at the operating points of a codec, less what is in the store."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness.codecs.protocol import Codec, codec_sha256
from harness.codecs.registry import canonical
from harness.records import CodecConfig, Key
from harness.store import Store
from harness.sweep.originals import Originals


@dataclass(frozen=True)
class Task:
    """One image, one codec, and the points that are to be coded: what one process does at a stretch.

    `image` and `codec` are hashes, `path` and `spec` what is read and opened for them; `name` is for people. `content`
    are the bytes of the file, where the task goes to a machine that does not see it.
    """

    image: str
    codec: str
    points: tuple[str, ...]
    path: str
    spec: str
    name: str
    pixels: int
    content: bytes | None = None

    def carried(self) -> "Task":
        """The task with its image's bytes in it. Raises OSError."""
        return replace(self, content=Path(self.path).read_bytes())

    @property
    def keys(self) -> list[Key]:
        """The candidates that the task makes."""
        return [Key(self.image, self.codec, point) for point in self.points]

    def only(self, keys: Iterable[Key]) -> "Task":
        """The task of just these of its candidates."""
        return replace(self, points=tuple(key.point for key in keys))


def describe(codec: Codec, spec: str) -> CodecConfig:
    """The record of a codec that `spec` opened."""
    points = list(dict.fromkeys(codec.points()))
    return CodecConfig(
        codec_sha256(codec),
        codec.name,
        canonical(spec),
        json.dumps(codec.config(), sort_keys=True),
        json.dumps(points),
    )


@dataclass(frozen=True)
class Plan:
    """A set of photographs and a codec. Photographs of the same file are one image.

    All of the codec's points are wanted of each image, or just those that `further` has for the image's hash. `weights`
    say what points cost beside one another; the others cost 1.
    """

    originals: Originals
    codec: CodecConfig
    further: Mapping[str, Sequence[str]] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def images(self) -> list[str]:
        """The hashes of the images, each once."""
        return list(dict.fromkeys(self.originals.hashes.values()))

    @property
    def keys(self) -> list[Key]:
        """All candidates that there are to be."""
        wanted = dict.fromkeys(self.images, self.points) if self.further is None else self.further
        return [Key(image, self.codec.sha256, point) for image in self.images for point in wanted.get(image, ())]

    @property
    def size(self) -> int:
        """How many candidates there are to be."""
        return len(self.images) * len(self.points) if self.further is None else len(self.keys)

    def work(self, task: Task, point: str) -> int:
        """What one of a task's points costs, in pixels."""
        return round(task.pixels * self.weights.get(point, 1.0))

    @property
    def points(self) -> list[str]:
        """The codec's operating points, from the lowest rate to the highest."""
        return list(json.loads(self.codec.points))

    def _lacking(self, store: Store) -> dict[str, list[str]]:
        """By image, the wanted points that have no candidate."""
        if self.further is None:
            return store.lacking(self.codec.sha256, self.images, self.points)
        found: dict[str, list[str]] = {}
        for key in store.missing(self.keys):
            found.setdefault(key.image, []).append(key.point)
        return found

    def tasks(self, store: Store, leave: Collection[Key] = ()) -> list[Task]:
        """What is missing in the store, but for the keys to `leave`; the largest images first."""
        lacking = self._lacking(store)
        sources = [source for source in self.originals.images if self.originals.hashes[source.name] in lacking]
        tasks = []
        for source in sorted(sources, key=lambda source: source.pixels, reverse=True):
            image = self.originals.hashes[source.name]
            points = [point for point in lacking.pop(image, ()) if Key(image, self.codec.sha256, point) not in leave]
            if points:
                path = str(source.path.resolve())
                tasks.append(
                    Task(image, self.codec.sha256, tuple(points), path, self.codec.spec, source.name, source.pixels)
                )
        return tasks
