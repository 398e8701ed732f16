"""The store: what is in it stays, whole, whatever ends the process that wrote it; and two processes share it."""

import hashlib
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args, get_type_hints

import pandas as pd
import pytest
from helpers import TESTS
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.candidates import COLUMNS
from harness.errors import ClicError
from harness.locks import exclusive
from harness.records import TABLES, Candidate, CodecConfig, Entry, Failure, Image, Key, Member, Record
from harness.store import DATABASE, Store, open_store
from harness.streams import stream_path

WRITER = TESTS / "harness" / "store_writer.py"


def candidate(number: int, stream: bytes, image: str = "image", codec: str = "codec") -> Candidate:
    """A candidate of point `number` that has this stream."""
    digest = hashlib.sha256(stream).hexdigest()
    return Candidate(image, codec, str(number), len(stream), digest, "pixels", 0.9, float("nan"), 3.5, 0.1, 0.2, "here")


def parts(folder: Path) -> set[str]:
    """Every file of a store but its database and streams."""
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in files if not name.endswith(".bin")} - {DATABASE}


def check(folder: Path, at_least: set[str]) -> None:
    """A store is whole: all rows have their streams, no stream is without a row, nothing else lies about."""
    with open_store(folder) as store:
        rows = store.rows(Candidate)
        assert at_least <= {row.point for row in rows}
        for row in rows:
            assert len(store.stream(row.stream_sha256)) == row.bytes
        assert {path.stem for path in folder.rglob("*.bin")} == {row.stream_sha256 for row in rows}
    assert parts(folder) == set()
    database = sqlite3.connect(folder / DATABASE)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert database.execute("SELECT count(*) FROM claim").fetchone() == (0,)
    database.close()


VALUES: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(codec="utf-8")),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats().map(lambda value: value + 0.0),  # SQLite knows no negative zero
    bool: st.booleans(),
}


@st.composite
def records(draw: st.DrawFn) -> Record:
    kind = draw(st.sampled_from(TABLES))
    hints = get_type_hints(kind)
    values = {}
    for field in fields(kind):  # type: ignore[arg-type]
        hint = hints[field.name]
        options = [VALUES[part] for part in get_args(hint) or (hint,) if part is not type(None)]
        if len(get_args(hint)) > 1:
            options = [VALUES[get_args(hint)[0]].filter(lambda value: value == value), st.none()]
        values[field.name] = draw(st.integers(1, 99)) if field.name == "id" else draw(st.one_of(options))
    return kind(**values)


@settings(max_examples=40, deadline=None)
@given(st.lists(records(), max_size=6))
def test_every_record_comes_back_as_it_was(written: list[Record]) -> None:
    with TemporaryDirectory() as folder:
        with open_store(Path(folder)) as store:
            store.put(*written)
        latest = {(type(record), *(getattr(record, name) for name in record.key)): record for record in written}
        with open_store(Path(folder), write=False) as store:
            read = [record for kind in TABLES for record in store.rows(kind)]
        assert sorted(map(repr, read)) == sorted(map(repr, latest.values()))


def test_numbers_are_given_out(tmp_path: Path) -> None:
    from harness.records import Sweep

    with open_store(tmp_path) as store:
        assert [store.append(Sweep(None, "set", "codec", "now")) for _ in range(3)] == [1, 2, 3]
        assert [row.id for row in store.rows(Sweep, codec="codec")] == [1, 2, 3]
        assert store.rows(Sweep, codec="other") == []


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "cut short", "reopen", "lose"]), st.integers(0, 4), st.binary(max_size=9)),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(OPERATIONS)
def test_a_row_exists_only_with_its_stream(operations: list[tuple[str, int, bytes]]) -> None:
    """Additions that fail half-way, at the disk or in the transaction, leave what was there, and the next go on."""
    expected: dict[str, bytes] = {}
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        folder = Path(name)
        for operation, number, content in operations:
            row = candidate(number, content)
            with open_store(folder) as store:
                if operation == "add":
                    store.add(row, content)
                    expected[row.point] = content
                elif operation == "cut short":
                    with patch.context() as broken, pytest.raises(ClicError, match="cannot be written"):
                        broken.setattr("harness.streams.os.fsync", failing)
                        store.add(row, content)
                elif operation == "lose" and row.point in expected:
                    lost = expected[row.point]
                    stream_path(folder, candidate(0, lost).stream_sha256).unlink()
                    keys = store.forget_lost("codec", ["image"])
                    gone = {point for point in expected if expected[point] == lost}
                    assert {key.point for key in keys} == gone
                    expected = {point: kept for point, kept in expected.items() if point not in gone}
                assert {row.point: store.stream(row.stream_sha256) for row in store.rows(Candidate)} == expected
                assert not list(folder.rglob("*.part"))
        with open_store(folder) as store:
            assert len(store.rows(Candidate)) == len(expected)


def failing(handle: int) -> None:
    raise OSError(28, "No space left on device")


def test_a_stream_of_another_hash_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path) as store, pytest.raises(ValueError, match="announced"):
        store.add(candidate(1, b"one"), b"two")
    check(tmp_path, set())


def test_flipped_byte_is_named_when_it_is_used(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        for number in range(3):
            store.add(candidate(number, b"stream %d" % number), b"stream %d" % number)
        first, second, third = (row.stream_sha256 for row in store.rows(Candidate))
        path = stream_path(tmp_path, second)
        path.write_bytes(b"strfam 1")
        stream_path(tmp_path, third).write_bytes(b"cut")
        assert store.stream(first) == b"stream 0"
        with pytest.raises(ClicError, match=rf"{path}: the stream is damaged.*--rehash"):
            store.stream(second)
        assert [key.point for key in store.forget_lost("codec", ["image"])] == ["2"]  # its size says so
        assert [key.point for key in store.forget_lost("codec", ["image"], reread=True)] == ["1"]
        with pytest.raises(ClicError, match="cannot be read"):
            store.stream("ab" * 32)
        store.add(candidate(1, b"stream 1"), b"stream 1")
        assert store.stream(second) == b"stream 1"


def test_claims_of_two_stores(tmp_path: Path) -> None:
    keys = [Key("image", "codec", str(number)) for number in range(4)]
    with open_store(tmp_path) as one:
        assert one.claim(keys[:2] * 2) == keys[:2] and one.claim(keys[:1]) == []
        with open_store(tmp_path) as other:
            assert other.claim(keys) == keys[2:]
            other.add(candidate(2, b"x"), b"x")
            other.fail(Failure("image", "codec", "3", "why", "now"))
            assert one.claim(keys) == keys[3:] and one.missing(keys) == [keys[0], keys[1], keys[3]]
            one.fail(Failure("image", "codec", "", "its process died", "now"))
            assert other.claim(keys) == [keys[0], keys[1], keys[3]]
        assert one.claim(keys) == [keys[0], keys[1], keys[3]]
        assert {row.point for row in one.rows(Failure)} == {"", "3"}
        one.add(candidate(3, b"y"), b"y")
        assert one.rows(Failure) == []
    check(tmp_path, {"2", "3"})


class Writer:
    """A process that claims and adds candidates from `first` on; `committed` are the points that it told of."""

    def __init__(self, folder: Path, first: int) -> None:
        command = [sys.executable, str(WRITER), str(folder), str(first)]
        # A shell's background job, as which these tests may run, hands down that Ctrl-C is ignored.
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        self.committed: set[str] = set()

    def wait_for(self, rows: int) -> None:
        """Return once it has told of so many rows."""
        assert self.process.stdout
        self.committed |= {self.process.stdout.readline().strip() for _ in range(rows)}

    def end(self, number: signal.Signals) -> None:
        """End it by a signal, and read the rest of what it told."""
        self.process.send_signal(number)
        text, _ = self.process.communicate(timeout=60)
        self.committed |= set(text.rpartition("\n")[0].split())  # the last line may be torn


def test_killed_at_thirty_random_moments(tmp_path: Path) -> None:
    known: set[str] = set()
    moments = random.Random(5)
    for number in range(30):
        writer = Writer(tmp_path, 100_000 * number)
        if number % 3:  # the others are killed while they open the store, or soon after
            writer.wait_for(moments.randint(1, 40))
            time.sleep(moments.uniform(0, 0.02))  # somewhere in the writing of a row
        else:
            time.sleep(moments.uniform(0, 0.4))
        writer.end(signal.SIGKILL)
        known |= writer.committed
        check(tmp_path, known)


def test_claims_of_a_killed_process_are_free_at_once(tmp_path: Path) -> None:
    """While others are at work its other traces stay; the next to be alone there clears them away."""
    held, orphan = Key("image", "codec", "held"), stream_path(tmp_path, "ab" * 32)
    with open_store(tmp_path) as store:
        writer = Writer(tmp_path, 0)
        writer.wait_for(1)
        assert store.claim([held]) == []
        writer.end(signal.SIGKILL)
        orphan.parent.mkdir(exist_ok=True)
        orphan.write_bytes(b"as if it had been killed between stream and row")
        assert store.claim([held]) == [held]
        with open_store(tmp_path):
            assert orphan.exists()
    check(tmp_path, writer.committed)
    assert not orphan.exists()


def test_two_processes_write_one_store(tmp_path: Path) -> None:
    writers = [Writer(tmp_path, first) for first in (0, 10)]  # both want what comes after 10
    for writer in writers:
        writer.wait_for(20)
    for writer in writers:
        writer.end(signal.SIGINT)
        assert writer.process.returncode == 0
    assert not writers[0].committed & writers[1].committed
    check(tmp_path, writers[0].committed | writers[1].committed)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "clic-test", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("size", [1, 3000, 60_000])
def test_full_disk(small_disk: Path, size: int) -> None:
    """Small rows fill the database, large streams their folder: one line either way, and nothing is lost."""
    out, ballast = small_disk / "out", small_disk / "ballast"
    ballast.write_bytes(bytes(300_000 if size > 1 else 800_000))
    added: set[str] = set()

    def fill() -> None:
        with open_store(out) as store:
            for number in range(len(added), 10**6):
                content = b"%d" % number if size == 1 else random.Random(number).randbytes(size)
                store.add(replace(candidate(number, content), host="long" * 200), content)
                added.add(str(number))

    with pytest.raises(ClicError, match=r"^[^\n]*cannot be written .*make room[^\n]*$"):
        fill()
    assert added
    ballast.unlink()
    check(out, added)
    before = len(added)
    with pytest.raises(ClicError, match="cannot be written"):
        fill()
    assert len(added) > before
    with open_store(out, write=False) as store:
        assert added <= {row.point for row in store.rows(Candidate)}


def test_folders_that_are_refused(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.mkdir()
    (old / "candidates.csv").touch()
    with pytest.raises(ClicError, match=r"old: holds a run of version 0\.1\.0 .*choose another --out"), open_store(old):
        pass
    assert {path.name for path in old.iterdir()} == {"candidates.csv"}
    with pytest.raises(ClicError, match=r"no results\.sqlite"), open_store(tmp_path / "none", write=False):
        pass
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").touch()
    with pytest.raises(ClicError, match=r"file.*cannot be written"), open_store(tmp_path / "file"):
        pass
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / DATABASE).write_bytes(b"no database at all" * 100)
    with pytest.raises(ClicError, match="the store is damaged"), open_store(damaged):
        pass
    with open_store(tmp_path / "newer"):
        pass
    database = sqlite3.connect(tmp_path / "newer" / DATABASE)
    database.execute("PRAGMA user_version = 9")
    database.close()
    with pytest.raises(ClicError, match="a newer version of clic"), open_store(tmp_path / "newer"):
        pass


def test_a_store_of_the_first_version_is_brought_up_to_date(tmp_path: Path) -> None:
    with open_store(tmp_path) as store:
        number = store.append(entry_of_the_first_version())
    database = sqlite3.connect(tmp_path / DATABASE)
    for column in ("image_set", "phase", "budget_bytes"):
        database.execute(f"ALTER TABLE entry DROP COLUMN {column}")
    database.execute("PRAGMA user_version = 1")
    database.close()
    for _ in range(2):
        with open_store(tmp_path) as store:
            (entry,) = store.rows(Entry)
            assert entry == replace(entry_of_the_first_version(), id=number)
            assert (entry.image_set, entry.phase, entry.budget_bytes) == ("", "validation", None)
    with open_store(tmp_path) as store:
        added = replace(entry, id=None, image_set="Kodak", phase="test", budget_bytes=9)
        added = replace(added, id=store.append(added))
        assert store.rows(Entry) == [entry, added]


def entry_of_the_first_version() -> Entry:
    """An entry whose fields all are those that the first version had."""
    values = {"int": 3, "float": 0.5, "str": "text", "bool": True}
    names = {field.name: str(get_type_hints(Entry)[field.name]) for field in fields(Entry)}
    given = {name: next(values[kind] for kind in values if kind in hint) for name, hint in names.items()}
    later = ("id", "image_set", "phase", "budget_bytes")
    return Entry(id=None, **{name: value for name, value in given.items() if name not in later})


def test_a_store_opened_for_reading_writes_nothing(tmp_path: Path) -> None:
    with open_store(tmp_path):
        pass
    with open_store(tmp_path, write=False) as store, pytest.raises(ValueError, match="reading"):
        store.claim([Key("image", "codec", "1")])


def fill_set(store: Store) -> None:
    for name in ("codec", "other"):
        store.put(CodecConfig(name, f"name of {name}", name, "{}", '["9", "10"]'))
    store.put(Image("image", 20, 10, ""), Image("second", 5, 4, "alpha dropped"))
    store.put(Member("set", "b", "image"), Member("set", "a", "second"), Member("set", "c", "image"))


def test_candidates_of_a_set(tmp_path: Path) -> None:
    """Two names of one image share its candidates; another codec's rows stay apart; points come in their order."""
    with open_store(tmp_path) as store:
        fill_set(store)
        for image in ("image", "second"):
            for point in (10, 9, 8):  # 8 is a point beyond the codec's own
                store.add(candidate(point, b"%d" % point, image), b"%d" % point)
        store.add(candidate(9, b"other", "image", "other"), b"other")
        table = store.candidates("set", ["codec"])
        assert list(table.columns) == list(COLUMNS)
        assert list(zip(table["image"], table["point"], strict=True)) == [
            (name, point) for name in "bac" for point in ("9", "10", "8")
        ]
        assert set(table["codec"]) == {"name of codec"} and table["msssim_paper"].isna().all()
        assert list(table["width"]) == [20] * 3 + [5] * 3 + [20] * 3 and pd.api.types.is_integer_dtype(table["bytes"])
        assert (
            list(store.candidates("set", ["codec", "other"])["codec"]) == ["name of codec"] * 9 + ["name of other"] * 2
        )
        assert store.candidates("elsewhere", ["codec"]).empty


def test_one_exclusive_run_at_a_time(tmp_path: Path) -> None:
    with exclusive(tmp_path / "out"):
        with pytest.raises(ClicError, match="another run"), exclusive(tmp_path / "out"):
            pass
        with exclusive(tmp_path / "elsewhere"):
            pass
    with exclusive(tmp_path / "out"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(ClicError, match="cannot be written"), exclusive(tmp_path / "file/out"):
        pass
