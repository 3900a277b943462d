"""The newest rows and keys of a stack, quickly: for reports that cannot wait. It blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.core.deadline import Deadline
from harness.core.errors import ProbeError
from harness.stored import postgres_keys, redis_keys, sqlite_keys
from harness.stored.connection import QUICK, reason
from harness.stored.found import COUNTED, LAST_WRITTEN, Newest, Wanted
from harness.stored.keys import masked_row, reach_to, row_of
from harness.stored.model import KeyRow, Row, TableRow
from harness.stored.places import File, Hashes, Place, Tables
from harness.stored.rows import WRITTEN, rows_of
from harness.stored.tables import Database, Relation, counted, relations_of
from harness.stored.values import shown

if TYPE_CHECKING:
    from psycopg import Connection

TABLES = 100
"""The number of tables of a database that are read."""

ROWS, CELLS = 10, 200
"""The number of rows of a table, and about that of their values: a wide table has fewer rows."""

CELL = 300
"""The number of characters of a value of a row."""

KEYS, VALUE = 50, 1000
"""The number of keys of a store, and of bytes of the value of each."""


@dataclass(frozen=True)
class RecentRows:
    """A table with its newest rows.

    Attributes:
        order: in which the rows are, in words.
        problem: why the table could not be read; "" if it could.
    """

    table: TableRow
    order: str = ""
    rows: Sequence[Row] = ()
    problem: str = ""


@dataclass(frozen=True)
class RecentKeys:
    """The keys of a state store with their values.

    Attributes:
        rows: each key with its value as JSON, and whether the value is longer.
        total: the number of keys that fit.
        at_least: whether there are more than ``total``, which were not counted.
        order: in which the keys are, in words.
    """

    rows: Sequence[tuple[KeyRow, Any, bool]]
    total: int
    at_least: bool
    order: str


def recent_tables(
    base: Database, deadline: Deadline, secrets: Sequence[str]
) -> Iterator[RecentRows]:
    """The tables of a database, one after the other, each with its newest rows.

    Args:
        base: the database.
        deadline: after which no further table is read.
        secrets: what is masked.

    Raises:
        ProbeError: the database cannot be read, or has more tables than are read.
    """
    with base.opened(limits=QUICK) as connection:
        found = [each for each in relations_of(connection, base) if each.kind in "rp"]
        counts = _counts(connection, found[:TABLES])
        for number, relation in enumerate(found[:TABLES]):
            if deadline.passed:
                raise _left(found[number:], f"there was no time for more in {deadline.budget:g} s")
            yield _recent(connection, relation, counts[number], secrets)
        if found[TABLES:]:
            raise _left(found[TABLES:], f"of a database, {TABLES} tables are read")


def _left(relations: Sequence[Relation], why: str) -> ProbeError:
    base, names = relations[0].database, [each.shown for each in relations]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ProbeError(
        f"table {', '.join(names[:5])}{more} in database {base.name} of {base.node}", last=why
    )


def _counts(connection: Connection, relations: Sequence[Relation]) -> Sequence[TableRow | None]:
    """The tables with the numbers of their rows; all are None if one cannot be counted quickly."""
    import psycopg

    try:
        return counted(connection, *relations)
    except psycopg.Error:
        if connection.closed:
            raise
        return [None] * len(relations)


def _recent(
    connection: Connection, relation: Relation, table: TableRow | None, secrets: Sequence[str]
) -> RecentRows:
    import psycopg

    try:
        table = table or counted(connection, relation)[0]
        if not table.rows:
            return RecentRows(table)
        columns, told = order_of(relation, table)
        rows, _ = rows_of(
            connection, relation.schema, relation.name, relation.columns, columns, text="",
            offset=0, limit=max(1, min(ROWS, CELLS // max(1, len(relation.columns)))),
            descending=True, secrets=secrets, longest=CELL,
        )  # fmt: skip
    except psycopg.Error as error:
        if connection.closed:
            raise
        return RecentRows(relation.row(None), problem=reason(error))
    return RecentRows(table, told, rows)


def order_of(relation: Relation, table: TableRow) -> tuple[Sequence[str], str]:
    """The columns by whose descending order the newest rows come first, and the order in words.

    Only all rows can tell which was written last, so in a large table the primary key decides.
    """
    if not table.estimated:
        return (WRITTEN, "ctid"), LAST_WRITTEN
    if relation.key:
        return relation.key, f"greatest {', '.join(relation.key)} first"
    return (), "in no order"


def recent_keys(place: Place, preferred: str, secrets: Sequence[str]) -> RecentKeys:
    """The keys of a state store that any of its apps can read, with their values.

    Args:
        place: the store, which can be listed.
        preferred: if the store does not know what was written last, keys with this text come first.
        secrets: what is masked.

    Raises:
        ProbeError: it cannot be read.
    """
    found = _newest(place, Wanted(reach_to(place), "", "", KEYS), preferred)
    rows = [
        (
            masked_row(row_of(place, known), secrets),
            None if data is None else shown(data, secrets, cut=known.size > VALUE),
            known.size > VALUE,
        )
        for known, data in found.keys
    ]
    return RecentKeys(rows, min(found.total, COUNTED), found.total > COUNTED, found.order)


def _newest(place: Place, wanted: Wanted, preferred: str) -> Newest:
    if isinstance(place.keeper, Tables):
        return postgres_keys.newest_keys(place.keeper, wanted, VALUE)
    if isinstance(place.keeper, Hashes):
        return redis_keys.first_keys(place.keeper, wanted, VALUE, preferred)
    if isinstance(place.keeper, File):
        return sqlite_keys.newest_keys(place.keeper, wanted, VALUE)
    raise AssertionError(place)
