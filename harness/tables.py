"""From the records' dataclasses to SQLite's tables and back: a field is a column, `key` is unique."""

import sqlite3
from collections.abc import Iterator
from dataclasses import fields
from types import NoneType
from typing import Any, TypeVar, get_args, get_type_hints

from harness.records import Record

R = TypeVar("R", bound=Record)
_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL", bool: "INTEGER"}


def schema(kind: type[Record]) -> str:
    """The SQL that makes the table of a kind of records; SQLite gives out numbers for a key `id`."""
    lines = []
    for name, hint in _columns(kind).items():
        if name == "id":
            lines.append('"id" INTEGER PRIMARY KEY AUTOINCREMENT')
        else:
            plain = next((part for part in get_args(hint) if part is not NoneType), hint)
            lines.append(f'"{name}" {_TYPES[plain]}')
    if kind.key != ("id",):
        lines.append(f"UNIQUE ({', '.join(kind.key)})")
    return f"CREATE TABLE {kind.table} ({', '.join(lines)})"


def insert(database: sqlite3.Connection, record: Record) -> int:
    """Write one record, in place of a row of the same key; returns its number."""
    columns = fields(record)  # type: ignore[arg-type]
    values = [getattr(record, column.name) for column in columns]  # astuple copies deeply, which millions feel
    marks = ", ".join("?" * len(values))
    names = ", ".join(f'"{column.name}"' for column in columns)
    return database.execute(f"INSERT OR REPLACE INTO {record.table} ({names}) VALUES ({marks})", values).lastrowid or 0


def read(database: sqlite3.Connection, kind: type[R], **equal: Any) -> Iterator[R]:
    """The records of a kind, in the order of writing, whose columns equal what is given."""
    where = " AND ".join(f'"{name}" = ?' for name in equal) or "1"
    query = f"SELECT {_names(kind)} FROM {kind.table} WHERE {where} ORDER BY rowid"
    hints = list(_columns(kind).values())
    for row in database.execute(query, tuple(equal.values())).fetchall():
        yield kind(*(_value(value, hint) for value, hint in zip(row, hints, strict=True)))


def _columns(kind: type[Record]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}  # type: ignore[arg-type]


def _names(kind: type[Record]) -> str:
    return ", ".join(f'"{name}"' for name in _columns(kind))


def _value(value: Any, hint: Any) -> Any:
    """A value of SQLite's as one of that type; it stores NaN as NULL, and has no booleans."""
    if hint is float and value is None:
        return float("nan")
    return bool(value) if hint is bool else value
