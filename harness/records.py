"""What is measured and decided in a run's folder: a frozen dataclass for each table of the store.

A record's fields are its table's columns, `key` those that no two rows share. Hashes are hexadecimal SHA-256 unless
their name says otherwise. A number that is not defined, as the papers' MS-SSIM of a small image, is NaN; what may be
missing altogether is None. Lists and configurations are JSON text.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple


class Key(NamedTuple):
    """What names a candidate: hash of the image's file, hash of the codec's configuration, operating point."""

    image: str
    codec: str
    point: str


class KnownFile(NamedTuple):
    """A file that was read before: its size and time of change, and the image that it held."""

    size: int
    modified_ns: int
    sha256: str
    width: int
    height: int
    note: str


class Record:
    """A row of a table of the store."""

    table: ClassVar[str]
    key: ClassVar[tuple[str, ...]]


@dataclass(frozen=True)
class ImageFile(Record):
    """A file on disk when it was read last: while size and time of change stay, so does its hash."""

    table: ClassVar[str] = "file"
    key: ClassVar[tuple[str, ...]] = ("path",)

    path: str
    size: int
    modified_ns: int
    sha256: str


@dataclass(frozen=True)
class Image(Record):
    """An original: the hash of its file, its size in pixels, and what reading it as RGB changed."""

    table: ClassVar[str] = "image"
    key: ClassVar[tuple[str, ...]] = ("sha256",)

    sha256: str
    width: int
    height: int
    note: str


@dataclass(frozen=True)
class Member(Record):
    """An image of a set under its name there; two names may share an image, and then its candidates."""

    table: ClassVar[str] = "member"
    key: ClassVar[tuple[str, ...]] = ("image_set", "name")

    image_set: str
    name: str
    image: str


@dataclass(frozen=True)
class CodecConfig(Record):
    """A codec and all settings that decide its bytes: `sha256` is of name and configuration.

    `spec` is what opens it, such as "clic,context=checkerboard"; `points` run from the lowest rate to the highest.
    """

    table: ClassVar[str] = "codec"
    key: ClassVar[tuple[str, ...]] = ("sha256",)

    sha256: str
    name: str
    spec: str
    config: str
    points: str


@dataclass(frozen=True)
class Sweep(Record):
    """A sweep that was begun, in order of `id`: a set of images and a codec."""

    table: ClassVar[str] = "sweep"
    key: ClassVar[tuple[str, ...]] = ("id",)

    id: int | None
    image_set: str
    codec: str
    at: str


@dataclass(frozen=True)
class Candidate(Record):
    """One image coded by one codec at one operating point: sizes, hashes, scores, and what coding took.

    `prepare_seconds` are those of the work that the image's points share, once for all of them.
    """

    table: ClassVar[str] = "candidate"
    key: ClassVar[tuple[str, ...]] = Key._fields

    image: str
    codec: str
    point: str
    bytes: int
    stream_sha256: str
    pixels_sha256: str
    msssim_competition: float
    msssim_paper: float
    mse: float
    prepare_seconds: float
    encode_seconds: float
    host: str


@dataclass(frozen=True)
class Score(Record):
    """A further measure of a candidate, which may be added later without coding again."""

    table: ClassVar[str] = "score"
    key: ClassVar[tuple[str, ...]] = (*Key._fields, "metric")

    image: str
    codec: str
    point: str
    metric: str
    value: float


@dataclass(frozen=True)
class Failure(Record):
    """A candidate that could not be made; `point` is empty where the whole image is concerned."""

    table: ClassVar[str] = "failure"
    key: ClassVar[tuple[str, ...]] = Key._fields

    image: str
    codec: str
    point: str
    reason: str
    at: str


@dataclass(frozen=True)
class Allocation(Record):
    """A choice of one candidate per image of a set: what it was made for, what it takes and scores.

    `bytes` include the container's `overhead_bytes`; no choice within `budget_bytes` scores more than `bound`.
    """

    table: ClassVar[str] = "allocation"
    key: ClassVar[tuple[str, ...]] = ("id",)

    id: int | None
    image_set: str
    objective: str
    target: str
    budget_bytes: int
    overhead_bytes: int
    bytes: int
    score: float
    bound: float


@dataclass(frozen=True)
class Chosen(Record):
    """The candidate that an allocation has for one image of its set."""

    table: ClassVar[str] = "chosen"
    key: ClassVar[tuple[str, ...]] = ("allocation", "name")

    allocation: int
    name: str
    image: str
    codec: str
    point: str


@dataclass(frozen=True)
class Entry(Record):
    """A line of a leaderboard: one data file and its decoder, as verified here or as printed by its `source`.

    `date` is in ISO 8601, with or without the time of the day, in UTC where it names no zone. `image_set` is the set's
    name, empty in a run's own folder, where the allocation knows the set; `phase` is validation or test.
    `inputs_sha256` is of all that went into the verification, `verification` what it measured, as JSON; empty
    where it took place elsewhere. `findings` is a JSON list of texts.
    """

    table: ClassVar[str] = "entry"
    key: ClassVar[tuple[str, ...]] = ("id",)

    id: int | None
    allocation: int | None
    team: str
    date: str
    profile: str
    track: str
    variant: int
    rate: str
    data_bytes: int | None
    data_sha224: str
    decoder_bytes: int | None
    decoder_sha224: str
    decode_seconds: float | None
    msssim_competition: float
    msssim_paper: float
    psnr_competition: float
    psnr_paper: float
    elo: float | None
    accepted: bool
    findings: str
    source: str
    inputs_sha256: str
    verification: str
    image_set: str = ""
    phase: str = "validation"
    budget_bytes: int | None = None


@dataclass(frozen=True)
class Experiment(Record):
    """A trained network of a study, and the codec that it became."""

    table: ClassVar[str] = "experiment"
    key: ClassVar[tuple[str, ...]] = ("id",)

    id: int | None
    study: str
    cell: str
    seed: int
    stage: str
    lambda_: float
    steps: int
    seconds: float
    commit: str
    codec: str
    training_loss: float
    hard_loss: float


TABLES: tuple[type[Record], ...] = (
    ImageFile,
    Image,
    Member,
    CodecConfig,
    Sweep,
    Candidate,
    Score,
    Failure,
    Allocation,
    Chosen,
    Entry,
    Experiment,
)
