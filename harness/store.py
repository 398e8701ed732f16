"""The store: every measurement of a run's folder, in one SQLite file and a folder of streams named by their hash.

Ownership: only the process that a person started opens a store; its workers return what they computed. Several such
processes may work in one folder, each at keys of its own. A claim on a key names a lock file that its process holds, so
that a killed process's claims are free at once. Consistency: a row of `candidate` is there only with its stream, whose
bytes are checked when they are used. Durability: a stream is synced to disk before its row is committed, and a row once
committed stays. Not for network file systems, whose locks SQLite cannot trust.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from harness.candidates import OF_A_SET, OF_AN_ALLOCATION, as_table
from harness.errors import ClicError
from harness.locks import Holder
from harness.records import TABLES, Allocation, Candidate, Chosen, Failure, Key, KnownFile, Record
from harness.streams import is_whole, read_stream, remove_others, write_stream
from harness.tables import insert, read, schema

if TYPE_CHECKING:
    from pandas import DataFrame

VERSION = 2  # of the tables; an older one is brought up to it, a newer one refused
STEPS = {
    1: (
        "ALTER TABLE entry ADD COLUMN image_set TEXT DEFAULT ''",
        "ALTER TABLE entry ADD COLUMN phase TEXT DEFAULT 'validation'",
        "ALTER TABLE entry ADD COLUMN budget_bytes INTEGER",
    )
}
"""What brings the tables of a version to the next one."""
DATABASE = "results.sqlite"
WRITTEN = ("scores.csv", "leaderboard.csv", "leaderboard.md", "report.html", "run.json", "failures.csv")  # beside it
PART_ROWS = 100_000  # of a table that is written part by part
WAIT_SECONDS = 60.0  # for another process's transaction
_CLAIM = "CREATE TABLE claim (image TEXT, codec TEXT, point TEXT, holder TEXT, UNIQUE (image, codec, point))"
_KEY = "image = ? AND codec = ? AND point = ?"

R = TypeVar("R", bound=Record)


@contextmanager
def open_store(folder: Path, write: bool = True) -> Iterator["Store"]:
    """The store of a run's folder; made where it is missing and `write` is set, which claims and additions need.

    Raises ClicError for a folder without one, with a run of version 0.1.0, with a damaged store or that of another
    version, and where the disk is full.
    """
    if not (folder / DATABASE).exists():
        if (folder / "candidates.csv").exists():
            raise ClicError(
                f"{folder}: holds a run of version 0.1.0 (candidates.csv without {DATABASE}), which is not read; "
                "choose another --out"
            )
        foreign = [name for name in WRITTEN if (folder / name).exists()]
        if foreign:
            raise ClicError(
                f"{folder}: holds {', '.join(foreign)} and no {DATABASE}, so no run of clic wrote it; "
                "choose another --out"
            )
        if not write:
            raise ClicError(f"{folder}: no {DATABASE}; give the folder of a run")
    store = Store(folder, write)
    try:
        yield store
    finally:
        store.close()


class Store:
    """All measurements of a folder; opened by `open_store`.

    Every method may raise ClicError where the disk is full or the file is damaged, and leaves the store as it was.
    """

    def __init__(self, folder: Path, write: bool) -> None:
        self.folder = folder
        self._holder: Holder | None = None
        try:
            if write:
                (folder / "streams").mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(folder / DATABASE, timeout=WAIT_SECONDS, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise self._explained(error) from error
        try:
            with self._explaining():
                is_new = self._make_tables(write)
                if write:
                    self._enter(is_new)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Give back all claims, and close the file."""
        if self._holder:
            with suppress(ClicError), self._transaction():  # claims of a process that has ended are free anyhow
                self._database.execute("DELETE FROM claim WHERE holder = ?", (self._holder.name,))
            self._holder.release()
        self._database.close()

    def put(self, *records: Record) -> None:
        """Write records, all of them or none; one of the same key as a row takes its place."""
        with self._transaction():
            for record in records:
                insert(self._database, record)

    def append(self, record: Record) -> int:
        """Write a record whose id is None; returns the id that it got."""
        with self._transaction():
            return insert(self._database, record)

    def rows(self, kind: type[R], **equal: Any) -> list[R]:
        """The records of a kind, in the order of writing, whose columns equal what is given."""
        with self._explaining():
            return list(read(self._database, kind, **equal))

    def missing(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys, each once, that have no candidate."""
        query = f"SELECT 1 FROM candidate WHERE {_KEY}"
        with self._explaining():
            return [key for key in dict.fromkeys(keys) if not self._database.execute(query, key).fetchone()]

    def lacking(self, codec: str, images: Iterable[str], points: Sequence[str]) -> dict[str, list[str]]:
        """Of each image the points that have no candidate by a codec; images that lack none are left out."""
        marks = ", ".join("?" * len(points))
        numbers = f"SELECT image, count(*) FROM candidate WHERE codec = ? AND point IN ({marks}) GROUP BY image"
        there = "SELECT point FROM candidate WHERE image = ? AND codec = ?"
        found: dict[str, list[str]] = {}
        with self._explaining():
            counts = dict(self._database.execute(numbers, (codec, *points)).fetchall())
            for image in images:
                if counts.get(image, 0) < len(points):
                    known = {point for (point,) in self._database.execute(there, (image, codec))}
                    found[image] = [point for point in points if point not in known]
        return found

    def claim(self, keys: Iterable[Key]) -> list[Key]:
        """Those of the keys that nobody has done or is doing; they are then this process's until done or released."""
        holder = self._writer()
        taken = f"SELECT 1 FROM claim WHERE {_KEY}"
        with self._transaction():
            held = self._database.execute("SELECT DISTINCT holder FROM claim WHERE holder != ?", (holder.name,))
            for (name,) in held.fetchall():
                if holder.is_dead(name):
                    self._database.execute("DELETE FROM claim WHERE holder = ?", (name,))
            mine = [key for key in self.missing(keys) if not self._database.execute(taken, key).fetchone()]
            self._database.executemany("INSERT INTO claim VALUES (?, ?, ?, ?)", [(*key, holder.name) for key in mine])
        return mine

    def release(self, keys: Iterable[Key]) -> None:
        """Give back this process's claims on the keys."""
        mine = [(*key, self._writer().name) for key in keys]
        with self._transaction():
            self._database.executemany(f"DELETE FROM claim WHERE {_KEY} AND holder = ?", mine)

    def add(self, candidate: Candidate, stream: bytes) -> None:
        """Keep a candidate and its stream; the claim on it ends, and what failed there before is forgotten."""
        holder = self._writer()
        key = Key(candidate.image, candidate.codec, candidate.point)
        holder.leaves_traces = True  # should this end half-way, the next to open the store clears up
        with self._explaining():
            write_stream(self.folder, candidate.stream_sha256, stream, self._part(holder.name))
        with self._transaction():
            insert(self._database, candidate)
            self._database.execute(f"DELETE FROM claim WHERE {_KEY}", key)
            for point in (key.point, ""):
                self._database.execute(f"DELETE FROM failure WHERE {_KEY}", key._replace(point=point))
        holder.leaves_traces = False

    def fail(self, failure: Failure) -> None:
        """Keep a failure; this process's claims on what failed end."""
        key = (failure.image, failure.codec, failure.point, self._writer().name)
        with self._transaction():
            insert(self._database, failure)
            self._database.execute(
                "DELETE FROM claim WHERE image = ? AND codec = ? AND ? IN ('', point) AND holder = ?", key
            )

    def stream(self, digest: str) -> bytes:
        """The stream of that hash. Raises ClicError where it is missing, or its bytes are not those of its name."""
        return read_stream(self.folder, digest)

    def forget_lost(self, codec: str, images: Iterable[str], reread: bool = False) -> list[Key]:
        """Take out the rows whose stream is gone or of another size, with `reread` also those of other bytes.

        Returns their keys. Only somebody else's hand, or a failing disk, makes such rows.
        """
        query = "SELECT image, point, stream_sha256, bytes FROM candidate WHERE codec = ?"
        wanted = set(images)
        with self._explaining():
            lost = [
                (Key(image, codec, point), digest)
                for image, point, digest, size in self._database.execute(query, (codec,))
                if image in wanted and not is_whole(self.folder, digest, size, reread)
            ]
        with self._transaction():  # of that very stream: another run may have coded it again meanwhile
            remove = f"DELETE FROM candidate WHERE {_KEY} AND stream_sha256 = ?"
            self._database.executemany(remove, [(*key, digest) for key, digest in lost])
        return [key for key, _ in lost]

    def known_files(self) -> dict[str, KnownFile]:
        """By path, each file that was read before, and the image that it held."""
        query = "SELECT path, size, modified_ns, sha256, width, height, note FROM file JOIN image USING (sha256)"
        with self._explaining():
            return {path: KnownFile._make(known) for path, *known in self._database.execute(query)}

    def has_set(self, image_set: str) -> bool:
        """Whether the members of a set are known. They are written together."""
        with self._explaining():
            found = self._database.execute("SELECT 1 FROM member WHERE image_set = ?", (image_set,)).fetchone()
        return found is not None

    def candidates(self, image_set: str, codecs: Sequence[str]) -> "DataFrame":
        """A row for each image of a set under its name, and each candidate of it by these codecs (their hashes).

        A codec's own points come first, in their order, then those beyond, the smallest stream first.
        """
        import pandas

        # By parts: the rows of millions, as Python has them, take as much memory again as their table.
        return pandas.concat(self.candidates_in_parts(image_set, codecs), ignore_index=True)

    def candidates_in_parts(self, image_set: str, codecs: Sequence[str]) -> Iterator["DataFrame"]:
        """The rows of `candidates` in tables of at most PART_ROWS; an empty one where there are none."""
        is_empty = True
        for codec in codecs:
            with self._explaining():
                found = self._database.execute(OF_A_SET, (image_set, codec))
                while rows := found.fetchmany(PART_ROWS):
                    yield as_table(rows)
                    is_empty = False
        if is_empty:
            yield as_table([])

    def allocate(self, allocation: Allocation, keys: Mapping[str, Key]) -> int:
        """Write an allocation and what it has for each name; returns its id."""
        with self._transaction():
            number = insert(self._database, allocation)
            for name, key in keys.items():
                insert(self._database, Chosen(number, name, *key))
        return number

    def chosen(self, allocation: int) -> "DataFrame":
        """A row for each image of an allocation, under its name, as `candidates` has them."""
        with self._explaining():
            return as_table(self._database.execute(OF_AN_ALLOCATION, (allocation,)).fetchall())

    def latest_metric(self, name: str) -> str:
        """The metric of that name, with or without a version after it, whose score was written last; else the name."""
        query = "SELECT metric FROM score WHERE metric = ? OR metric LIKE ? ESCAPE '!' ORDER BY rowid DESC LIMIT 1"
        with self._explaining():
            found = self._database.execute(query, (name, name.replace("_", "!_") + " %")).fetchone()
        return found[0] if found else name

    def _writer(self) -> Holder:
        if self._holder is None:
            raise ValueError("the store was opened for reading")
        return self._holder

    def _part(self, holder: str) -> Path:
        """Where a process keeps a stream that it is writing."""
        return self.folder / "streams" / f"{holder}.part"

    def _make_tables(self, write: bool) -> bool:
        """Make the tables where there are none, bring older ones up to date; returns whether there were none."""
        if write and self._database.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")  # or a power cut takes what was committed last
        if self._version() == VERSION:
            return False
        with self._transaction():
            version = self._version()  # another process may have been faster
            if version > VERSION:
                raise ClicError(
                    f"{self.folder / DATABASE}: written by a newer version of clic (tables {version}, here {VERSION}); "
                    "choose another --out"
                )
            missing = (
                [STEPS[older] for older in range(version, VERSION)] if version else [(*map(schema, TABLES), _CLAIM)]
            )
            for statement in (*chain(*missing), f"PRAGMA user_version = {VERSION}"):
                self._database.execute(statement)
        return version == 0

    def _version(self) -> int:
        return int(self._database.execute("PRAGMA user_version").fetchone()[0])

    def _enter(self, is_new: bool) -> None:
        """Take this process's lock, and clear away what killed ones have left."""
        with self._transaction():
            self._holder = Holder(self.folder / "streams")
            others = self._holder.others()
            dead = {name for name in others if self._holder.is_dead(name)}
            for name in dead:
                self._database.execute("DELETE FROM claim WHERE holder = ?", (name,))
                self._part(name).unlink(missing_ok=True)
            if dead < others:
                return  # somebody else is writing; the next to be alone clears up
            for pattern in (".*.????????.part", "*/.*.????????.part", "*/images/.*.????????.part"):
                for path in self.folder.glob(pattern):
                    path.unlink(missing_ok=True)
            if dead and not is_new:
                names = self._database.execute("SELECT stream_sha256 || '.bin' FROM candidate")
                remove_others(self.folder, set(chain.from_iterable(names)))
            for name in dead:
                self._holder.forget(name)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All that happens inside, or nothing; others wait meanwhile."""
        with self._explaining():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite may have rolled back itself
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _explaining(self) -> Iterator[None]:
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            raise self._explained(error) from error

    def _explained(self, error: OSError | sqlite3.Error) -> ClicError:
        """The error in one line for people."""
        path, reason = self.folder / DATABASE, str(error)
        if isinstance(error, OSError):
            path, reason = Path(error.filename or self.folder), error.strerror or reason
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return ClicError(f"{path}: the store is damaged ({reason}); put back a copy, or choose another --out")
        if code == sqlite3.SQLITE_BUSY:
            return ClicError(f"{path}: another process has held it for {WAIT_SECONDS:g} s; wait for it to end")
        return ClicError(
            f"{path}: cannot be written ({reason}); make room or choose another --out, and run the same command again: "
            "what was recorded is kept"
        )
