"""``rows`` and ``state list``: what is in the databases of a stack."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import add_row, err, out, print_json, table
from harness.cli.inspecting import inspected, warn
from harness.cli.stacks import Json, NameOrFile

if TYPE_CHECKING:
    from harness.stored.model import KeyRow, RowPage, TableRow

CELL = 200
"""The number of characters of a value in a table on a terminal; --json has more."""

Text = Annotated[str | None, typer.Option(help="Only those with this text, in any case.")]


def list_keys(
    name: NameOrFile = "default",
    store: Annotated[str | None, typer.Option(help="Only keys of this state store.")] = None,
    app: Annotated[str | None, typer.Option(help="Only keys that this app can read.")] = None,
    text: Text = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The number of keys.")] = 200,
    after: Annotated[
        str, typer.Option(help="The field `next` of --json: the keys after that page.")
    ] = "",
    as_json: Json = False,
) -> None:
    """List the keys of the state stores, with their sizes and the times of the last change.

    They are read from the databases of the stack, because Dapr cannot list keys. A store that
    cannot be listed is named in a warning.
    """
    with inspected(name) as seen:
        page = seen.keys(store=store, app=app, text=text, after=after, limit=limit)
    warn(page.missing)
    if as_json:
        print_json(page.as_json())
        return
    if not page.rows:
        out.print("no keys")
        return
    made = table("keys", "store", "app", "key", "bytes", "changed", "expires", "key in the store")
    for row in page.rows:
        moments = (_time(row.updated), _time(row.expires))
        add_row(made, row.store, row.app or "(all)", _key(row), str(row.size), *moments, row.raw)
    out.print(made)
    if page.next:
        many = f"more than {page.total}" if page.at_least else str(page.total)
        err.print(f"the first {len(page.rows)} of {many} keys", markup=False)


def print_stored(
    key: str, name: str, *, store: str | None, app: str | None, raw: bool, as_json: bool
) -> None:
    """Print the value of a key with secrets masked.

    Args:
        key: the key.
        name: the stack.
        store, app: where it is.
        raw: whether the key is as the store has it, and is read from there.
        as_json: whether everything that is known of it is printed.

    Raises:
        Exit: it does not exist.
    """
    with inspected(name) as seen:
        found: Any = (
            seen.stored_value(key, store=store, app=app) if raw
            else seen.state(key, app=app, store=store)
        )  # fmt: skip
    if as_json:
        print_json(found.as_json())
    elif found.exists:
        out.print(_told(found.value), markup=False, soft_wrap=True)
        if found.truncated:
            err.print(f"the beginning of {found.row.size} bytes", markup=False)
    else:
        err.print(f"there is no key {key!r}", markup=False, soft_wrap=True)
    if not found.exists:
        raise typer.Exit(1)


def rows(
    table_name: Annotated[
        str | None,
        typer.Argument(
            metavar="[TABLE]", help="The table, perhaps with its schema; none lists them."
        ),
    ] = None,
    name: NameOrFile = "default",
    text: Text = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="The number of rows.")] = 50,
    offset: Annotated[int, typer.Option(min=0, help="The number of rows to skip.")] = 0,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="The smallest primary key first.")
    ] = False,
    node: Annotated[str | None, typer.Option(help="The PostgreSQL node.")] = None,
    database: Annotated[str | None, typer.Option(help="The database.")] = None,
    as_json: Json = False,
) -> None:
    """Show the tables of the stack's PostgreSQL databases, or the rows of one.

    Rows are ordered by the primary key, the greatest first. Long values are cut; with `--limit 1`,
    up to 100,000 characters of each are shown.
    """
    with inspected(name) as seen:
        if table_name is None:
            page = seen.tables()
            warn(page.missing)
            if as_json:
                print_json(page.as_json())
            else:
                _show_tables(page.tables)
            return
        found = seen.rows(
            table_name, node=node, database=database, text=text, offset=offset, limit=limit,
            newest_first=not oldest_first,
        )  # fmt: skip
    if as_json:
        print_json(found.as_json())
    else:
        _show_rows(found)


def _show_tables(tables: Any) -> None:
    made = table("tables", "node", "database", "table", "kind", "rows", "columns")
    for each in tables:
        columns = ", ".join(column.name for column in each.columns)
        add_row(made, each.node, each.database, each.name, each.kind, _count(each), columns)
    out.print(made)


def _show_rows(page: RowPage) -> None:
    made = table(page.table.name, *(each.name for each in page.table.columns))
    for row in page.rows:
        add_row(made, *(_cell(each, row.cut, name) for name, each in row.values.items()))
    out.print(made)
    end = page.offset + len(page.rows)
    err.print(
        f"rows {page.offset + 1 if page.rows else 0} to {end} of {_count(page.table)} in the table"
        f"{'; more follow' if page.more else ''}",
        markup=False,
    )


def _cell(value: Any, cut: Mapping[str, int], name: str) -> str:
    text = _told(value)
    if len(text) <= CELL and name not in cut:
        return text
    return f"{text[:CELL]}... ({cut.get(name, len(text))} in all)"


def _told(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _count(each: TableRow) -> str:
    if each.rows is None:
        return "?"
    return f"about {each.rows}" if each.estimated else str(each.rows)


def _key(row: KeyRow) -> str:
    if row.kind == "state":
        return row.key
    return f"{row.kind} {row.actor_type} {row.actor_id}: {row.key}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
