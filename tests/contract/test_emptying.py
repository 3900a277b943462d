"""What emptying a database removes, what it waits for, and what it leaves alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg import sql

from harness import Postgres, Settings, Stack, Topology, running
from harness.core.errors import TeardownError
from harness.nodes import emptying
from harness.nodes.emptying import empty_tables
from tests.support import project

pytestmark = pytest.mark.real

Database = psycopg.Connection[Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = project(tmp_path_factory.mktemp("emptying"), pyproject_toml="")
    with running(Topology(Postgres()), Settings.load(folder, runtime="processes")) as stack:
        yield stack


@pytest.fixture
def dsn(server: Stack) -> str:
    return server.book.exports("postgres")["dsn"]


@pytest.fixture
def database(dsn: str) -> Iterator[Database]:
    with connected(dsn) as connection:
        connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        yield connection


@contextmanager
def connected(dsn: str) -> Iterator[Database]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def test_rows_of_every_schema_are_gone_but_not_of_tables_that_are_kept(
    dsn: str, database: Database
) -> None:
    """Also those of a partition, and of a table that others refer to."""
    database.execute("""
        DROP SCHEMA IF EXISTS other, "Other's" CASCADE;
        CREATE SCHEMA "Other's";
        CREATE TABLE "Other's"."Some rows" (id serial);
        INSERT INTO "Other's"."Some rows" DEFAULT VALUES;
        CREATE SCHEMA other;
        CREATE TABLE other.orders (id int PRIMARY KEY);
        CREATE TABLE items (of int REFERENCES other.orders);
        CREATE TABLE days (day int) PARTITION BY RANGE (day);
        CREATE TABLE monday PARTITION OF days FOR VALUES FROM (0) TO (1);
        CREATE TABLE migrations (id int);
        INSERT INTO other.orders VALUES (1);
        INSERT INTO items VALUES (1);
        INSERT INTO days VALUES (0);
        INSERT INTO migrations VALUES (1);
    """)

    for _ in range(2):
        empty_tables(dsn, ["migrations"])

    tables = ("other.orders", "items", "days", "Other's.Some rows", "migrations")
    assert [0, 0, 0, 0, 1] == [count(database, each) for each in tables]


@pytest.mark.parametrize(
    "use",
    ["SELECT nextval('orders_id_seq')", "ALTER SEQUENCE orders_id_seq RESTART WITH 7"],
    ids=["used", "moved"],
)
def test_the_sequence_of_a_table_without_rows_begins_again(
    use: str, dsn: str, database: Database
) -> None:
    """A test has asked it for a number, or has told it where to begin."""
    database.execute("CREATE TABLE orders (id serial)")
    database.execute(sql.SQL(use))

    empty_tables(dsn, [])

    made = database.execute("INSERT INTO orders DEFAULT VALUES RETURNING id").fetchone()
    assert (1,) == made


def test_a_table_that_nobody_has_used_is_left_alone(dsn: str, database: Database) -> None:
    """To truncate a table gives it another file, which takes longer than everything else."""
    database.execute("""
        CREATE TABLE used (id serial);
        CREATE TABLE unused (id serial);
        INSERT INTO used DEFAULT VALUES;
    """)
    before = {each: file_of(database, each) for each in ("used", "unused")}

    empty_tables(dsn, [])

    assert before["unused"] == file_of(database, "unused")
    assert before["used"] != file_of(database, "used")
    again = file_of(database, "used")
    empty_tables(dsn, [])
    assert again == file_of(database, "used")


@pytest.mark.parametrize(
    "statement",
    ["INSERT INTO orders VALUES (1)", "SELECT * FROM orders", "ALTER TABLE orders ADD at date"],
    ids=["has written", "has read", "has changed"],
)
def test_the_end_of_an_open_transaction_is_waited_for(
    statement: str, dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has only read a table may write to it next."""
    monkeypatch.setattr(emptying, "LOCKED", 1)
    database.execute("CREATE TABLE orders (id int)")
    with psycopg.connect(dsn) as app:
        app.execute(sql.SQL(statement))

        with pytest.raises(TeardownError, match="the tables of 'app' cannot be emptied"):
            empty_tables(dsn, [])

    empty_tables(dsn, [])
    assert 0 == count(database, "orders")


def test_the_password_of_a_stack_is_stored_with_one_iteration(database: Database) -> None:
    """It is random; more of them would cost every connection 5 ms of processor time."""
    stored = database.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'postgres'")
    assert str(stored.fetchone()).lstrip("('").startswith("SCRAM-SHA-256$1:")


def test_the_password_of_a_role_that_an_app_creates_is_stored_as_by_default(
    database: Database,
) -> None:
    """It may be one that can be guessed."""
    database.execute("""
        DROP ROLE IF EXISTS guest;
        CREATE ROLE guest PASSWORD 'guest';
    """)
    stored = database.execute("SELECT rolpassword FROM pg_authid WHERE rolname = 'guest'")
    assert str(stored.fetchone()).lstrip("('").startswith("SCRAM-SHA-256$4096:")


def count(database: Database, table: str) -> int:
    """The number of rows of a table, which may be written with its schema."""
    name = sql.Identifier(*table.split("."))
    row = database.execute(sql.SQL("SELECT count(*) FROM {}").format(name)).fetchone()
    assert row
    return int(row[0])


def file_of(database: Database, table: str) -> int:
    """The number of the file that has the rows of a table."""
    row = database.execute("SELECT pg_relation_filenode(%s::regclass)", [table]).fetchone()
    assert row
    return int(row[0])
