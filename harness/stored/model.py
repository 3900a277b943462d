"""Keys, tables and rows. All of it can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.as_json import AsJson
from harness.dapr.state_keys import Kind


@dataclass(frozen=True)
class KeyRow(AsJson):
    """A key of a state store.

    Attributes:
        app: the app whose key it is; "" if all apps that use the store share it.
        key: as the app uses it; of an actor, the name within its state.
        kind: ``state``, ``actor`` or ``workflow``.
        raw: as the store has it.
        size: bytes of the value.
        updated: when it was last written, in seconds since the epoch; None if the store does not
            know.
        expires: when it expires; None if it does not. daprd returns no value after that.
    """

    store: str
    app: str
    key: str
    kind: Kind
    actor_type: str
    actor_id: str
    raw: str
    etag: str
    size: int
    updated: float | None = None
    expires: float | None = None


@dataclass(frozen=True)
class KeyPage(AsJson):
    """Keys, by store and in alphabetical order.

    Attributes:
        next: the cursor: the keys after these; "" if there are no more.
        total: the number of keys that fit.
        at_least: whether there are more than ``total``, which were not counted.
        missing: the stores whose keys could not be read, and why.
    """

    rows: Sequence[KeyRow]
    next: str
    total: int
    at_least: bool = False
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class StoredValue(AsJson):
    """The value of a key as the store has it.

    Attributes:
        exists: whether the store has the key.
        value: text if it is not JSON; an object with ``base64`` if it is not text either.
        truncated: whether the value is longer.
    """

    row: KeyRow | None
    exists: bool
    value: Any
    truncated: bool = False


@dataclass(frozen=True)
class Column(AsJson):
    """A column of a table.

    Attributes:
        type: in PostgreSQL's words.
        key: whether it is part of the primary key.
    """

    name: str
    type: str
    key: bool


@dataclass(frozen=True)
class TableRow(AsJson):
    """A table, or a view.

    Attributes:
        node: the database server.
        name: with the schema, unless that is ``public``.
        kind: ``table``, ``view``, ``materialized view`` or ``foreign table``.
        rows: the number of rows; None if they could not be counted in time.
        estimated: whether ``rows`` is PostgreSQL's estimate.
    """

    node: str
    database: str
    schema: str
    name: str
    kind: str
    rows: int | None
    estimated: bool
    columns: Sequence[Column]


@dataclass(frozen=True)
class TablePage(AsJson):
    """The tables of all databases of a stack.

    Attributes:
        truncated: whether there are more.
        missing: what could not be read, and why.
    """

    tables: Sequence[TableRow]
    truncated: bool = False
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class Row(AsJson):
    """A row of a table.

    Attributes:
        values: by column, as JSON; text where JSON has no type for it, and an object with
            ``base64`` for bytes that are not text.
        cut: the columns whose values are longer than what is shown, with their whole length, in
            characters, or bytes of a ``bytea``.
    """

    values: Mapping[str, Any]
    cut: Mapping[str, int]


@dataclass(frozen=True)
class RowPage(AsJson):
    """Rows of a table.

    Attributes:
        table: the table; its number of rows is that of all rows.
        order: the columns by which the rows are ordered: the primary key; empty without one.
        rows: from ``offset`` on.
        more: whether others follow.
    """

    table: TableRow
    order: Sequence[str]
    newest_first: bool
    offset: int
    rows: Sequence[Row]
    more: bool
