"""The tables of the databases of a stack, and the rows of one. Everything here blocks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from harness.core.deadline import Deadline
from harness.core.errors import ConfigError, HarnessError, did_you_mean
from harness.core.masking import mask
from harness.core.roles import HasDatabases
from harness.stack.stack import Stack
from harness.stored.connection import reading
from harness.stored.keys import UP
from harness.stored.model import Column, RowPage, TablePage, TableRow
from harness.stored.places import connection_of
from harness.stored.rows import rows_of

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composable

TABLES = 500
"""The number of tables of a database that are listed."""

COUNTED = 10_000
"""The number of rows that are counted; of more, there is PostgreSQL's estimate."""

COUNTING = 5.0
"""Seconds after which no more tables of a database are counted."""

KINDS = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table"}

RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, c.reltuples::bigint
FROM pg_class c JOIN pg_namespace n ON c.relnamespace = n.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY n.nspname <> 'public', n.nspname, c.relname
"""

COLUMNS = """
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), coalesce(k.position, 0)
FROM pg_attribute a
LEFT JOIN (SELECT indrelid, key.attnum, key.position FROM pg_index,
           unnest(indkey) WITH ORDINALITY AS key (attnum, position) WHERE indisprimary) k
  ON k.indrelid = a.attrelid AND k.attnum = a.attnum
WHERE a.attrelid = ANY(%s) AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


@dataclass(frozen=True)
class Database:
    """A database of a stack.

    Attributes:
        parameters: libpq's, to connect to it.
    """

    node: str
    name: str
    parameters: Mapping[str, str] = field(repr=False)

    @contextmanager
    def opened(self, what: str = "", limits: str = "") -> Iterator[Connection]:
        """A connection that can only read.

        Args:
            what: is read in it; "" for the database.
            limits: see `reading`.

        Raises:
            ProbeError: see `reading`.
        """
        place = " in ".join(filter(None, (what, f"database {self.name} of {self.node}")))
        with reading(self.parameters, place, limits) as connection:
            yield connection


@dataclass(frozen=True)
class Relation:
    """A table in its database's catalogue.

    Attributes:
        estimate: PostgreSQL's, of the number of its rows; -1 without one.
        key: the columns of its primary key, in the order of the key.
    """

    database: Database
    schema: str
    name: str
    kind: str
    estimate: int
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def shown(self) -> str:
        """Its name, with the schema unless that is ``public``."""
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"

    def row(self, rows: int | None, *, estimated: bool = False) -> TableRow:
        """The table with the number of its rows."""
        base, kind = self.database, KINDS[self.kind]
        return TableRow(
            base.node, base.name, self.schema, self.shown, kind, rows, estimated, self.columns
        )


def table_page(stack: Stack, states: Mapping[str, str], secrets: Sequence[str] = ()) -> TablePage:
    """The tables and views of all databases, with their columns and numbers of rows.

    Args:
        stack: the stack.
        states: of its nodes.
        secrets: what is masked.
    """
    found: list[TableRow] = []
    missing: list[str] = []
    truncated = False
    for base in databases_of(stack):
        if (state := states.get(base.node, "running")) not in UP:
            missing.append(f"database {base.name} of {base.node}: it is {state}")
            continue
        try:
            with base.opened() as connection:
                relations = relations_of(connection, base)
                truncated = truncated or len(relations) > TABLES
                deadline = Deadline(COUNTING)
                found += [_counted(connection, each, deadline) for each in relations[:TABLES]]
        except HarnessError as error:
            missing.append(": ".join(filter(None, (error.subject, error.last))))
    return TablePage(found, truncated, [mask(each, secrets) for each in missing])


def row_page(
    stack: Stack,
    table: str,
    *,
    node: str | None = None,
    database: str | None = None,
    text: str = "",
    offset: int = 0,
    limit: int = 50,
    newest_first: bool = True,
    secrets: Sequence[str] = (),
) -> RowPage:
    """Rows of a table, ordered by its primary key.

    Args:
        stack: the stack.
        table: its name, perhaps with its schema.
        node, database: where it is, if several have one of this name.
        text: only rows with this text in a column, in any case.
        offset: the number of rows that are skipped.
        limit: the number of rows.
        newest_first: whether the greatest key comes first.
        secrets: what is masked.

    Raises:
        ConfigError: there is no such table, or there are several.
        ProbeError: it cannot be read.
    """
    relation = find(stack, table, node=node, database=database)
    with relation.database.opened(f"{relation.row(None).kind} {relation.shown!r}") as connection:
        counted = _counted(connection, relation, Deadline(COUNTING))
        order = relation.key or (("ctid",) if relation.kind in "rm" else ())
        rows, more = rows_of(
            connection, relation.schema, relation.name, counted.columns, order,
            text=text, offset=offset, limit=limit, descending=newest_first, secrets=secrets,
        )  # fmt: skip
    return RowPage(counted, relation.key, newest_first, offset, rows, more)


def find(stack: Stack, table: str, *, node: str | None, database: str | None) -> Relation:
    """The table of a name.

    Raises:
        ConfigError: there is none, or there are several.
        ProbeError: a database cannot be read.
    """
    bases = [
        each
        for each in databases_of(stack)
        if node in (None, "", each.node) and database in (None, "", each.name)
    ]
    if not bases:
        raise ConfigError(
            "the stack has no such PostgreSQL database",
            last=", ".join(f"{each.name} of {each.node}" for each in databases_of(stack)) or "none",
        )
    known: list[Relation] = []
    for base in bases:
        with base.opened() as connection:
            known += relations_of(connection, base)
    # The whole name comes first: a table may have a dot in its name.
    names: list[Callable[[Relation], str]] = [
        lambda each: f"{each.schema}.{each.name}", lambda each: each.shown, lambda each: each.name,
    ]  # fmt: skip
    ways = ([each for each in known if name(each) == table] for name in names)
    found = next((each for each in ways if each), [])
    if len(found) != 1:
        raise _unclear(table, found, known)
    return found[0]


def _unclear(table: str, found: Sequence[Relation], known: Sequence[Relation]) -> ConfigError:
    if not found:
        names = list(dict.fromkeys(each.shown for each in known))
        return ConfigError(f"there is no table {table!r}", hint=did_you_mean(table, names))
    places = [f"{x.schema}.{x.name} in {x.database.name} of {x.database.node}" for x in found]
    return ConfigError(
        f"several tables have the name {table!r}",
        last=", ".join(places),
        hint="name the schema, --database or --node",
    )


def databases_of(stack: Stack) -> list[Database]:
    """The databases of the PostgreSQL servers of a stack."""
    found = []
    for node in stack.topology.nodes:
        if isinstance(node, HasDatabases):
            given = connection_of(stack.book.exports(node.name)["dsn"])
            found += [
                Database(node.name, name, {**given, "dbname": name}) for name in node.databases
            ]
    return found


def relations_of(connection: Connection, base: Database) -> list[Relation]:
    """The tables and views of a database, at most one more than are listed."""
    rows = connection.execute(RELATIONS + f"LIMIT {TABLES + 1}").fetchall()
    columns: dict[int, list[Column]] = defaultdict(list)
    keys: dict[int, dict[int, str]] = defaultdict(dict)
    for oid, name, kind, position in connection.execute(COLUMNS, [[each[0] for each in rows]]):
        columns[oid].append(Column(name, kind, position > 0))
        keys[oid] |= {position: name} if position else {}
    return [
        Relation(
            base, schema, name, kind, estimate, tuple(columns[oid]),
            tuple(keys[oid][at] for at in sorted(keys[oid])),
        )
        for oid, schema, name, kind, estimate in rows
    ]  # fmt: skip


def _counted(connection: Connection, relation: Relation, deadline: Deadline) -> TableRow:
    """A table with the number of its rows: exact, estimated if there are many, or unknown."""
    from psycopg import errors

    if deadline.passed:
        return relation.row(None)
    try:
        return counted(connection, relation)[0]
    except errors.Error:
        # A lock, a view that fails, or a table that was dropped meanwhile.
        return relation.row(None)


def counted(connection: Connection, *relations: Relation) -> list[TableRow]:
    """Tables with the numbers of their rows, in one query: exact, or estimated if there are many.

    Raises:
        psycopg.Error: one of them cannot be read.
    """
    from psycopg import sql

    if not relations:
        return []
    counts = sql.SQL(", ").join(sql.SQL("({})").format(_counting(each)) for each in relations)
    found = connection.execute(sql.SQL("SELECT {}").format(counts)).fetchone() or ()
    return [_with_rows(*each) for each in zip(relations, found, strict=True)]


def _counting(relation: Relation) -> Composable:
    from psycopg import sql

    return sql.SQL("SELECT count(*) FROM (SELECT FROM {} LIMIT {}) AS found").format(
        sql.Identifier(relation.schema, relation.name), sql.Literal(COUNTED + 1)
    )


def _with_rows(relation: Relation, rows: int) -> TableRow:
    if rows <= COUNTED:
        return relation.row(rows)
    return relation.row(max(relation.estimate, COUNTED + 1), estimated=True)
