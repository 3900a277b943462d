"""Keys of ``state.sqlite``, read from its file without changing it."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from harness.core.deadline import Deadline
from harness.core.errors import ProbeError
from harness.dapr.state_keys import Reach
from harness.stored.connection import STATEMENT
from harness.stored.found import COUNTED, LAST_WRITTEN, Found, Newest, Stored, Wanted
from harness.stored.places import File

LOCKED = 1.0
"""Seconds to wait for whoever has locked the file."""

LOOK = 10_000
"""The number of SQLite's instructions between two looks at the time."""

COLUMNS = (
    "key, etag, length(CAST(value AS BLOB)), CAST(strftime('%s', update_time) AS REAL), "
    "CAST(strftime('%s', expiration_time) AS REAL)"
)
"""As the table has been since its first version (components-contrib 1.18.3)."""


def list_keys(place: File, wanted: Wanted) -> Found:
    """The keys of a file that fit.

    Raises:
        ProbeError: it cannot be read.
    """
    with _reading(place, wanted.reach, wanted.text) as connection:
        total = _count(connection, place)
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM {_quoted(place.table)}"  # noqa: S608 - quoted
            " WHERE fits(key) AND key > ? ORDER BY key LIMIT ?",
            [wanted.after, wanted.limit],
        )
        return Found([Stored(*row) for row in rows], total)


def read_value(place: File, raw: str, most: int) -> tuple[Stored, bytes] | None:
    """A key with the first bytes of its value; None if there is no such key.

    Raises:
        ProbeError: it cannot be read.
    """
    with _reading(place) as connection:
        row = connection.execute(
            f"SELECT {COLUMNS}, {_beginning(most)} FROM {_quoted(place.table)} WHERE key = ?",  # noqa: S608 - quoted
            [raw],
        ).fetchone()
    if row is None:
        return None
    *known, value, binary = row
    return Stored(*known), _content(value, binary=binary, most=most)


def newest_keys(place: File, wanted: Wanted, most: int) -> Newest:
    """The keys that fit with their values, the last written first.

    Args:
        place: the file.
        wanted: the keys; its cursor is not used.
        most: the number of bytes of a value.

    Raises:
        ProbeError: it cannot be read.
    """
    with _reading(place, wanted.reach, wanted.text) as connection:
        total = _count(connection, place)
        rows = connection.execute(
            f"SELECT {COLUMNS}, {_beginning(most)} FROM {_quoted(place.table)}"  # noqa: S608 - quoted
            # Its times are whole seconds; a row that is written again gets a new number.
            " WHERE fits(key) ORDER BY update_time DESC, rowid DESC LIMIT ?",
            [wanted.limit],
        ).fetchall()
    found: list[tuple[Stored, bytes | None]] = [
        (Stored(*known), _content(value, binary=binary, most=most))
        for *known, value, binary in rows
    ]
    return Newest(found, total, LAST_WRITTEN)


@contextmanager
def _reading(
    place: File, reach: Reach | None = None, text: str = ""
) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, whose statements end in time, with the function ``fits``.

    Raises:
        ProbeError: the file cannot be read.
    """
    what, wanted = f"table {place.table} of {place.path}", text.casefold()
    deadline = Deadline(STATEMENT)

    def fits(key: Any) -> bool:
        known = isinstance(key, str) and (reach is None or reach.has(key))
        return known and wanted in key.casefold()

    try:
        address = f"{place.path.absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=LOCKED)) as connection:
            connection.text_factory = lambda data: data.decode("utf-8", "backslashreplace")
            connection.create_function("fits", 1, fits)
            connection.set_progress_handler(lambda: deadline.passed, LOOK)
            yield connection
    except (sqlite3.Error, OSError) as error:
        raise ProbeError(f"{what} cannot be read", last=str(error)) from None


def _count(connection: sqlite3.Connection, place: File) -> int:
    query = f"SELECT count(*) FROM (SELECT 1 FROM {_quoted(place.table)} WHERE fits(key) LIMIT ?)"  # noqa: S608 - quoted
    return int(connection.execute(query, [COUNTED + 1]).fetchone()[0])


def _beginning(most: int) -> str:
    # Base64 is longer than what it stands for.
    return f"substr(value, 1, {4 * (most // 3 + 1)}), is_binary"


def _content(value: str | bytes, *, binary: bool, most: int) -> bytes:
    """The bytes that were saved."""
    data = value.encode() if isinstance(value, str) else value
    return (base64.b64decode(data) if binary else data)[:most]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
