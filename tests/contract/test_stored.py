"""Keys of state stores and rows of tables, read from the databases of a real stack."""

from __future__ import annotations

import base64
import json
import os
import socket
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import yaml

from harness import App, IsolatedStack, Postgres, Redis, Settings, Stack, Topology, World, running
from harness.bundle.collect import Collector
from harness.bundle.model import Bundle, Failure, StateStore, StoredTable
from harness.core.deadline import Deadline
from harness.core.errors import ConfigError, ProbeError
from harness.dapr.resources import DaprResource
from harness.stored import sqlite_keys
from harness.stored.keys import VALUE, key_page, stored_value
from harness.stored.model import KeyRow
from harness.stored.places import File, file_of, keeper_of
from harness.stored.recent import recent_tables
from harness.stored.rows import rows_of
from harness.stored.tables import (
    Database,
    databases_of,
    relations_of,
    row_page,
    table_page,
)
from tests.contract.test_taps_on_brokers import SECRETS
from tests.projects import HELLO_APP
from tests.support import project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ACTORS = (
    HELLO_APP.replace('b"hello"', """b'{"entities": ["cart"]}'""")
    .replace(
        'code = 404 if self.path.startswith("/dapr/")',
        'code = 404 if self.path == "/dapr/subscribe"',
    )
    .replace("    def do_OPTIONS", "    do_PUT = do_DELETE = do_GET\n\n    def do_OPTIONS")
)
"""An app that hosts the actor type `cart`."""

STORE = """\
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: NAME}
spec:
  type: state.TYPE
  version: VERSION
  metadata:
"""


def store(name: str, kind: str, version: str, **fields: str) -> str:
    """A state store's YAML."""
    rows = [f'  - {{name: {field}, value: "{value}"}}\n' for field, value in fields.items()]
    head = STORE.replace("NAME", name).replace("TYPE", kind).replace("VERSION", version)
    return head + "".join(rows)


DSN = "${postgres.dsn}"
SHARED = {"connectionString": DSN}
REDIS = store("hashes", "redis", "v1", redisHost="${redis.address}", redisDB="3") + (
    "  - {name: redisPassword, secretKeyRef: {name: REDIS_PASSWORD, key: REDIS_PASSWORD}}\n"
    "auth: {secretStore: env}\n"
)
FILED = store("filed", "postgresql", "v2", tablePrefix="filed_") + (
    "  - {name: connectionString, secretKeyRef: {name: postgres, key: dsn}}\n"
    "auth: {secretStore: file}\n"
)
FILE = """\
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: file}
spec:
  type: secretstores.local.file
  version: v1
  metadata:
  - {name: secretsFile, value: secrets.json}
  - {name: multiValued, value: "true"}
"""
STORES = "".join(
    (
        store("own", "postgresql", "v2", **SHARED, actorStateStore="true"),
        store("older", "postgresql", "v1", **SHARED, tableName="older", keyPrefix="name",
              metadataTableName="older_metadata"),
        store("spaced", "postgresql", "v2", **SHARED, tablePrefix="spaced_",
              keyPrefix="namespace"),
        store("bare", "postgresql", "v2", **SHARED, tablePrefix="Bare_", keyPrefix="none"),
        store("fixed", "postgresql", "v2", **SHARED, tablePrefix="bare_", keyPrefix="Fixed"),
        REDIS, FILED, FILE,
        "---\n" + SECRETS,
        store("memory", "in-memory", "v1", keyPrefix="name"),
        store("filled", "sqlite", "v1", connectionString="${postgres.database}.db"),
    )
)  # fmt: skip


def topology() -> Topology:
    """Two apps with every kind of store; one app hosts actors."""
    command = [sys.executable, "actors.py", "{port}"]
    password = {"REDIS_PASSWORD": "${redis.password}"}
    shop = App("shop", command=command, sidecar_env=password)
    clerk = App("clerk", command=["sleep", "600"], listens=False, sidecar_env=password)
    return Topology(Postgres(("app",)), Redis(), shop, clerk, resources="components")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = project(
        tmp_path_factory.mktemp("stored"),
        actors_py=ACTORS, components__all_yaml=STORES, pyproject_toml="",
        secrets_json='{"postgres": {"dsn": "${postgres.dsn}"}}',
    )  # fmt: skip
    with running(topology(), Settings.load(folder, dict(os.environ), runtime="processes")) as made:
        yield made


@pytest.fixture(scope="module")
def world(stack: Stack) -> Iterator[World]:
    with World(stack) as made:
        yield made


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(stack.book.exports("postgres")["dsn"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def views(database: psycopg.Connection[Any]) -> Iterator[None]:
    """Views that fail or do not end use up the time of tests that list all tables."""
    yield
    database.execute("DROP VIEW IF EXISTS broken, writing, endless")


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bundle may take is measured elsewhere, not beside everything that runs here."""
    monkeypatch.setattr("harness.bundle.databases.BUDGET", 30.0)


def bundled(world: World) -> Bundle:
    """The bundle of a test that has failed."""
    failure = Failure("test", "call", "E   it failed", 1, 2)
    return Collector(world.observed, world.account).collect(failure)


def keys(stack: Stack, **wanted: Any) -> list[KeyRow]:
    """The keys that fit, of a stack whose nodes all run."""
    return list(key_page(stack, {}, **wanted).rows)


Named = tuple[str, str, str]
"""App, key, and the key as the store has it."""

NAMED = [
    ("own", ("shop", "k", "shop||k"), ("clerk", "k", "clerk||k")),
    ("older", ("", "k", "older||k"), None),
    ("spaced", ("shop", "k", "shop||k"), ("clerk", "k", "clerk||k")),
    ("bare", ("", "k", "k"), None),
    ("fixed", ("", "k", "fixed||k"), None),
    ("hashes", ("shop", "k", "shop||k"), ("clerk", "k", "clerk||k")),
    ("filed", ("shop", "k", "shop||k"), ("clerk", "k", "clerk||k")),
    ("filled", ("shop", "k", "shop||k"), ("clerk", "k", "clerk||k")),
]


@pytest.mark.parametrize(("name", "own", "other"), NAMED, ids=[each[0] for each in NAMED])
def test_a_key_is_listed_as_its_app_calls_it(
    stack: Stack, world: World, name: str, own: Named, other: Named | None
) -> None:
    """As daprd itself has stored it, with each `keyPrefix`; both apps have saved the same key."""
    before = {each.raw for each in keys(stack, store=name)}
    for number, app in enumerate(("shop", "clerk")):
        world.sidecar(app).save_state(name, "k", {"n": number})
    etag = world.sidecar("shop").get_state(name, "k").etag

    found = {
        (each.app, each.key, each.raw): each
        for each in keys(stack, store=name)
        if each.kind == "state" and each.raw not in before
    }
    asked = [x for x in keys(stack, store=name, app="clerk") if x.raw not in before]

    assert {own, other or own} == {*found}
    assert etag == found[own].etag
    assert len('{"n":0}') <= found[own].size <= len('{"n": 0}')
    assert [other or own] == [(x.app, x.key, x.raw) for x in asked if x.kind == "state"]
    assert {"n": 0 if other else 1} == stored_value(stack, {}, own[2], store=name).value


def test_a_store_that_cannot_be_listed_says_why(stack: Stack) -> None:
    page = key_page(stack, {"redis": "paused"})

    assert [
        ("hashes", "redis is paused"),
        ("memory", "a store of the type state.in-memory keeps them within each sidecar"),
    ] == [
        tuple(each.removeprefix("the keys of state store '").split("': ")) for each in page.missing
    ]


def test_a_store_of_another_type_cannot_be_listed() -> None:
    (found,) = yaml.safe_load_all(store("other", "mysql", "v1"))

    assert (None, "keys of stores of the type state.mysql are not listed") == (
        keeper_of(DaprResource(Path("r.yaml"), 1, found), {})
    )


def test_the_state_of_an_actor_is_recognised(stack: Stack, world: World) -> None:
    """In the words of the actor; its value can be read, which the state API does not offer."""
    world.sidecar("shop").save_state("own", "plain", 1)
    sidecar = stack.addresses()["shop-daprd"]["http"]
    with httpx.Client(
        base_url=f"http://{sidecar}/v1.0/actors/cart/c||1/", trust_env=False, timeout=30,
        headers={"dapr-api-token": stack.token()},
    ) as client:  # fmt: skip
        assert 200 == client.post("method/hold").status_code
        saved = [{"operation": "upsert", "request": {"key": "items", "value": ["tea"]}}]
        assert 204 == client.post("state", json=saved).status_code

    (row,) = keys(stack, store="own", text="items")

    assert ("shop", "items", "actor", "cart", "c||1", "shop||cart||c||1||items") == (
        row.app, row.key, row.kind, row.actor_type, row.actor_id, row.raw,
    )  # fmt: skip
    assert ["tea"] == stored_value(stack, {}, row.raw, store="own").value


@pytest.mark.parametrize("name", ["own", "older", "hashes", "filled"])
def test_a_key_says_when_it_was_written_and_when_it_expires(
    stack: Stack, world: World, name: str
) -> None:
    """Redis knows only the second."""
    world.sidecar("shop").save_state(name, "short", 1, ttl=1000)
    world.sidecar("shop").save_state(name, "long", 1)

    short, long = (keys(stack, store=name, text=each)[0] for each in ("short", "long"))

    assert short.expires is not None
    assert long.expires is None
    if name == "hashes":
        assert short.updated is None
    else:
        assert short.updated is not None
        assert 990 < short.expires - short.updated < 1010


def test_pages_of_all_stores_have_each_key_once(stack: Stack, world: World) -> None:
    """Whatever their size; the total is the same on each."""
    for name in ("own", "spaced", "hashes", "filled"):
        for number in range(7):
            world.sidecar("shop").save_state(name, f"page-{number}", number)
    whole = key_page(stack, {}, text="PAGE-")
    read, after, totals = [], "", set()
    while True:
        page = key_page(stack, {}, text="PAGE-", limit=3, after=after)
        totals.add(page.total)
        read += [(x.store, x.key) for x in page.rows]
        if not (after := page.next):
            break

    assert (28, "", {28}) == (len(whole.rows), whole.next, totals)
    assert [(x.store, x.key) for x in whole.rows] == read
    assert 28 == len({*read})


@pytest.mark.parametrize(
    "wanted", [{"store": "nothing"}, {"app": "nobody"}, {"after": "x"}, {"after": "[1]"}]
)
def test_an_unknown_store_app_or_cursor_is_refused(stack: Stack, wanted: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        key_page(stack, {}, **wanted)  # type: ignore[arg-type]  # all are texts


@pytest.mark.parametrize("name", ["own", "hashes", "filled"])
def test_values_of_any_size_and_any_bytes_are_shown(stack: Stack, world: World, name: str) -> None:
    """A megabyte is cut; bytes that are not text are base64; a secret is masked."""
    secret = stack.book.exports("redis")["password"]
    for key, value in (("large", "y" * 1_000_000), ("secret", f"a {secret} b")):
        world.sidecar("shop").save_state(name, key, value)
    _spoil(stack, name)
    rows = {each.key: each for each in keys(stack, store=name)}

    large = stored_value(stack, {}, "shop||large", store=name)
    odd = stored_value(stack, {}, "shop||odd", store=name)
    masked = stored_value(stack, {}, "shop||secret", store=name, secrets=[secret])

    assert 1_000_002 == rows["large"].size
    assert (True, VALUE) == (large.truncated, len(large.value))
    assert {"base64": "//4A"} == odd.value
    assert "a *** b" == masked.value
    assert not stored_value(stack, {}, "shop||nothing\0", store=name).exists


def _spoil(stack: Stack, name: str) -> None:
    """Write bytes that are no text, as another program could."""
    if name == "own":
        with psycopg.connect(stack.book.exports("postgres")["dsn"], autocommit=True) as connection:
            connection.execute(
                "INSERT INTO state (key, value) VALUES ('shop||odd', '\\xfffe00') "
                "ON CONFLICT DO NOTHING"
            )
        return
    from harness.stored.places import Hashes, places_of

    (place,) = [each for each in places_of(stack) if each.name == name]
    if isinstance(place.keeper, File):
        with closing(sqlite3.connect(place.keeper.path, timeout=60)) as file, file:
            # As daprd has written it for a client that sends bytes.
            row = ("shop||odd", base64.b64encode(b"\xff\xfe\x00").decode(), True, "1")
            columns = "(key, value, is_binary, etag)"
            file.execute(f"INSERT OR REPLACE INTO state {columns} VALUES (?, ?, ?, ?)", row)
        return
    assert isinstance(place.keeper, Hashes)
    odd = b"\xff\xfe\x00".decode("utf-8", "surrogateescape")
    place.keeper.access.ask(("HSET", "shop||odd", "data", odd, "version", "1"))


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [("gone", "unable to open database file"), ("no database", "file is not a database")],
)
def test_a_file_that_cannot_be_read_is_reported_and_left_as_it_is(
    tmp_path: Path, spoilt: str, said: str
) -> None:
    """Looking makes no file, and changes none."""
    path = tmp_path / "of ä?#%25.db"
    if spoilt != "gone":
        path.write_bytes(b"no database" * 1000)
    with pytest.raises(ProbeError, match=said):
        sqlite_keys.read_value(File(path, "state"), "k", 10)

    assert ([] if spoilt == "gone" else [path]) == [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("data.db", "/work/data.db"), ("file:data.db?mode=rwc", "/work/data.db"),
        ("/tmp/data.db", "/tmp/data.db"), ("file:///tmp/a%20b.db", "/tmp/a b.db"),
    ],
)  # fmt: skip
def test_a_connection_string_of_sqlite_names_a_file(written: str, path: str) -> None:
    """Relative to the folder of the sidecar; as daprd's driver reads it."""
    found = file_of({"connectionstring": written, "tablename": "t"}, Path("/work"))

    assert (Path(path), "t") == (found.path, found.table)


@pytest.mark.parametrize(
    "written", [":memory:", "file::memory:?x=1", "file:a?mode=memory", "", "file:"]
)
def test_a_connection_string_without_a_file_is_refused(written: str) -> None:
    with pytest.raises(ConfigError, match=r"in the memory of each|only its sidecar knows"):
        file_of({"connectionstring": written}, Path("/work"))


def test_what_is_in_redis_beside_the_keys_is_not_listed(stack: Stack, world: World) -> None:
    """Streams, strings and other apps' keys; a hash that is no state has no value."""
    from harness.stored.places import Hashes, places_of

    world.sidecar("shop").save_state("hashes", "real", 1)
    (place,) = [each for each in places_of(stack) if each.name == "hashes"]
    assert isinstance(place.keeper, Hashes)
    place.keeper.access.ask(
        ("XADD", "shop||stream", "*", "a", "b"), ("SET", "shop||text", "x"),
        ("HSET", "shop||hash", "a", "b"), ("HSET", "stranger||real", "data", "1", "version", "1"),
    )  # fmt: skip

    found = {each.raw for each in keys(stack, store="hashes")}

    assert "shop||real" in found
    assert not found & {"shop||stream", "shop||text", "shop||hash", "stranger||real"}


def test_a_copy_of_the_stack_lists_its_own_keys_and_rows_alone(
    stack: Stack, world: World, database: psycopg.Connection[Any]
) -> None:
    """With its namespace in the prefix; and the stack lists none of the copy's."""
    database.execute("CREATE TABLE IF NOT EXISTS of_the_stack (id int)")
    world.sidecar("shop").save_state("spaced", "of-the-stack", 1)
    with IsolatedStack(stack) as copy, World(copy) as own:
        for name in ("own", "spaced", "hashes"):
            own.sidecar("shop").save_state(name, "of-the-copy", 2)
        found = keys(copy)
        tables = {each.name for each in table_page(copy, {}).tables}
        (spaced,) = keys(copy, store="spaced")
        value = stored_value(copy, {}, spaced.raw, store="spaced").value

        assert {"of-the-copy"} == {each.key for each in found}
        assert ["hashes", "own", "spaced"] == sorted(each.store for each in found)
        assert f"{copy.book.namespace}.shop||of-the-copy" == spaced.raw
        assert ("shop", 2) == (spaced.app, value)
        assert "state" in tables
        assert "of_the_stack" not in tables
        bundle = bundled(own)
        assert {f"{copy.book.namespace}_app"} == {each.database for each in bundle.tables}
        assert "of_the_stack" not in {each.name for each in bundle.tables}
        assert {"of-the-copy"} == {key.key for each in bundle.stores for key in each.keys}
        assert "of-the-copy" not in str(bundled(world).stores)
        assert not [each for each in keys(stack) if each.key == "of-the-copy"]


ODD = 'odd "table"; DROP TABLE state; --'


@pytest.fixture(scope="module")
def odd(database: psycopg.Connection[Any], stack: Stack) -> str:
    """A table whose name and values are hostile."""
    from psycopg import sql

    secret = stack.book.exports("postgres")["password"]
    table = sql.Identifier(ODD)
    database.execute(
        sql.SQL(
            'CREATE TABLE {} (id bigint PRIMARY KEY, "a""b" text, doc jsonb, bytes bytea, '
            "price numeric, part float8, at timestamptz, list int[], yes bool)"
        ).format(table)
    )
    insert = sql.SQL("INSERT INTO {} VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)").format(table)
    for row in (
        (1, "y" * 1_000_000, '{"deep": [1, null]}', b"\xff\xfe\x00", "1.25", "NaN", "infinity",
         [1, 2], True),
        (2, secret, None, b"text", "0.1234567890123456789", 1.5, None, None, False),
        (2**62, "</script>", None, None, None, None, None, None, None),
    ):  # fmt: skip
        database.execute(insert, row)
    return ODD


def test_rows_have_their_values_as_json(stack: Stack, odd: str) -> None:
    """The newest first; exact or as text; a megabyte is cut and a secret is masked."""
    secret = stack.book.exports("postgres")["password"]

    page = row_page(stack, odd, secrets=[secret])
    newest, second, first = page.rows

    assert (["id"], 3, False) == (list(page.order), page.table.rows, page.more)
    assert (str(2**62), "</script>", None) == (
        newest.values["id"], newest.values['a"b'], newest.values["yes"],
    )  # fmt: skip
    assert {
        "id": 2, 'a"b': "***", "doc": None, "bytes": "text", "price": "0.1234567890123456789",
        "part": 1.5, "at": None, "list": None, "yes": False,
    } == second.values  # fmt: skip
    assert {'a"b': 1_000_000} == first.cut
    assert len(first.values['a"b']) < 20_000
    assert {
        "id": 1, "doc": {"deep": [1, None]}, "bytes": {"base64": "//4A"}, "price": 1.25,
        "part": "NaN", "at": "infinity", "list": "{1,2}", "yes": True,
    } == {name: each for name, each in first.values.items() if name != 'a"b'}  # fmt: skip


def test_rows_are_found_by_a_text_and_page_by_page(
    stack: Stack, database: psycopg.Connection[Any]
) -> None:
    """A pattern's characters stand for themselves."""
    database.execute("CREATE TABLE many AS SELECT g AS id, 'a%b_' || g AS text "
                     "FROM generate_series(1, 12000) AS g")  # fmt: skip
    database.execute("ALTER TABLE many ADD PRIMARY KEY (id)")
    database.execute("ANALYZE many")

    page = row_page(stack, "many", limit=2, offset=1)
    oldest = row_page(stack, "many", limit=2, newest_first=False)
    found = row_page(stack, "many", text="A%B_1200")
    none = row_page(stack, "many", text="a_b%1200")

    assert ([11999, 11998], True) == ([each.values["id"] for each in page.rows], page.more)
    assert (12000, True) == (page.table.rows, page.table.estimated)
    assert [1, 2] == [each.values["id"] for each in oldest.rows]
    assert [12000, 1200] == [each.values["id"] for each in found.rows]
    assert [] == list(none.rows)


@pytest.mark.usefixtures("views")
def test_tables_of_all_schemas_are_listed_with_their_columns(
    stack: Stack, odd: str, database: psycopg.Connection[Any]
) -> None:
    """A view that fails has no number of rows."""
    database.execute("CREATE SCHEMA other; CREATE TABLE other.state (b int, a int, "
                     "PRIMARY KEY (a, b)); CREATE VIEW broken AS SELECT 1 FROM other.state "
                     "WHERE 1 / (b - 1) > 0; INSERT INTO other.state VALUES (1, 2)")  # fmt: skip

    page = table_page(stack, {})
    tables = {each.name: each for each in page.tables}

    assert (3, "table") == (tables[odd].rows, tables[odd].kind)
    assert [("b", "integer", True), ("a", "integer", True)] == [
        (each.name, each.type, each.key) for each in tables["other.state"].columns
    ]
    assert ["a", "b"] == list(row_page(stack, "other.state").order)
    assert ("view", None) == (tables["broken"].kind, tables["broken"].rows)
    assert ([], False) == (list(page.missing), page.truncated)


def test_a_table_that_is_not_there_is_refused(stack: Stack, odd: str) -> None:
    """Nothing of a name becomes SQL; a database that is not there, and bad numbers, too."""
    for name in ("nothing", "", 'state"', "state; DROP TABLE state", "public.public.state", "\0"):
        with pytest.raises(ConfigError, match="there is no table"):
            row_page(stack, name)
    with pytest.raises(ConfigError, match="no such PostgreSQL database"):
        row_page(stack, "state", database="template1")
    for wanted in ({"text": "\0"}, {"offset": -1}, {"limit": 0}):
        with pytest.raises(ConfigError, match="no such rows"):
            row_page(stack, "state", **wanted)


def test_a_text_that_is_not_utf_8_has_escapes(
    stack: Stack, database: psycopg.Connection[Any]
) -> None:
    """In a database with the encoding SQL_ASCII; it can be searched, too."""
    database.execute("CREATE DATABASE loose ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    (known,) = databases_of(stack)
    loose = Database(known.node, "loose", {**known.parameters, "dbname": "loose"})
    with psycopg.connect(**loose.parameters, autocommit=True) as connection:  # type: ignore[arg-type]  # texts
        connection.execute("CREATE TABLE texts (id int PRIMARY KEY, text text)")
        connection.execute("INSERT INTO texts VALUES (1, E'caf\\xe9'), (2, 'tea')")
    with loose.opened() as connection:
        (found,) = relations_of(connection, loose)
        wanted: dict[str, Any] = {"offset": 0, "limit": 9, "descending": False, "secrets": ()}
        whole, _ = rows_of(connection, "public", "texts", found.columns, ["id"], text="", **wanted)
        some, _ = rows_of(connection, "public", "texts", found.columns, ["id"], text="TE", **wanted)
        none, _ = rows_of(connection, "public", "texts", found.columns, ["id"], text="é", **wanted)

    assert ["caf\\xe9", "tea"] == [each.values["text"] for each in whole]
    assert ([2], []) == ([each.values["id"] for each in some], none)


@pytest.mark.usefixtures("views")
def test_nothing_can_be_written_and_a_statement_ends_in_time(
    stack: Stack, database: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even by a view with a function that writes."""
    database.execute("CREATE TABLE written (id int); CREATE FUNCTION write() RETURNS int "
                     "LANGUAGE sql AS 'INSERT INTO written VALUES (1) RETURNING id'; "
                     "CREATE VIEW writing AS SELECT write(); "
                     "CREATE VIEW endless AS SELECT pg_sleep(600)::text")  # fmt: skip
    monkeypatch.setattr(
        "harness.stored.connection.OPTIONS",
        "-c default_transaction_read_only=on -c statement_timeout=200ms",
    )

    with pytest.raises(ProbeError, match="read-only transaction"):
        row_page(stack, "writing")
    with pytest.raises(ProbeError, match="statement timeout"):
        row_page(stack, "endless")

    assert [] == database.execute("SELECT * FROM written").fetchall()


def tables_in(bundle: Bundle) -> dict[str, StoredTable]:
    """The tables of a bundle by name."""
    return {each.name: each for each in bundle.tables}


def stores_in(bundle: Bundle) -> dict[str, StateStore]:
    """The state stores of a bundle by name."""
    return {each.name: each for each in bundle.stores}


def test_a_bundle_has_the_rows_that_were_last_written_first(
    stack: Stack, world: World, database: psycopg.Connection[Any]
) -> None:
    """Also if the primary key is random, a row was changed, or they are in partitions."""
    database.execute("CREATE TABLE random (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int)")
    for number in range(12):
        database.execute("INSERT INTO random (n) VALUES (%s)", [number])
    database.execute("UPDATE random SET n = 100 WHERE n = 4")
    database.execute("CREATE TABLE parts (id int, part text) PARTITION BY LIST (part); "
                     "CREATE TABLE part_a (part text, id int); "
                     "ALTER TABLE parts ATTACH PARTITION part_a FOR VALUES IN ('a'); "
                     "INSERT INTO parts VALUES (7, 'a'), (5, 'a'), (6, 'a')")  # fmt: skip

    found = tables_in(bundled(world))

    random, parts = found["random"], found["parts"]
    assert ("last written first", 12) == (random.order, random.count)
    assert ["100", "11", "10", "9", "8", "7", "6", "5", "3", "2"] == [
        each.values[1] for each in random.rows
    ]
    assert ["6", "5", "7"] == [each.values[0] for each in parts.rows]
    assert "part_a" not in found


def test_a_bundle_says_that_a_large_table_is_ordered_by_its_key(
    stack: Stack, world: World, database: psycopg.Connection[Any]
) -> None:
    database.execute("CREATE TABLE large AS SELECT g AS id FROM generate_series(1, 12000) AS g; "
                     "CREATE TABLE unordered AS SELECT * FROM large; "
                     "ALTER TABLE large ADD PRIMARY KEY (id); ANALYZE large")  # fmt: skip

    found = tables_in(bundled(world))

    large, unordered = found["large"], found["unordered"]
    assert ("greatest id first", 12000, True) == (large.order, large.count, large.estimated)
    assert [str(12000 - n) for n in range(10)] == [each.values[0] for each in large.rows]
    assert "in no order" == unordered.order


def test_a_bundle_has_hostile_rows_within_its_bounds(
    stack: Stack, world: World, odd: str, database: psycopg.Connection[Any]
) -> None:
    """A megabyte is cut, a secret is masked, and bytes are base64; a wide table has fewer rows."""
    columns = ", ".join(f"c{number} text DEFAULT repeat('z', 1000)" for number in range(150))
    database.execute(f"CREATE TABLE wide (id int, {columns}); "
                     "INSERT INTO wide (id) VALUES (1), (2)")  # fmt: skip
    secret = stack.book.exports("postgres")["password"]

    bundle = bundled(world)
    found = tables_in(bundle)

    first, second = [found[odd].rows[-1], found[odd].rows[-2]]
    assert (300, {'a"b': 1_000_000}) == (len(first.values[1] or ""), first.cut)
    assert ("***", None) == (second.values[1], second.values[2])
    assert '{"base64": "//4A"}' == first.values[3]
    assert (2, 1) == (found["wide"].count, len(found["wide"].rows))
    assert secret not in str(bundle)
    assert "writing" not in found


@pytest.mark.parametrize("name", ["own", "older", "bare", "hashes", "filled"])
def test_a_bundle_has_the_keys_of_a_store_with_their_values(world: World, name: str) -> None:
    """Those of the test first: as the last written, or by their names."""
    client, own = world.sidecar("shop"), world.name("basket")
    for key, value in (("a-large", "y" * 1_000_000), ("a-cart", {"n": [1]}), (own, "mine")):
        client.save_state(name, key, value)

    store = stores_in(bundled(world))[name]
    found = {each.key: each for each in store.keys}

    assert (own, "mine", True) == (store.keys[0].key, store.keys[0].value, store.keys[0].own)
    assert {"n": [1]} == json.loads(found["a-cart"].value or "")
    large = found["a-large"]
    assert (True, 1_000_002) == (large.cut, large.size)
    if name == "hashes":
        assert large.value is None
        assert f"those with {world.id} first, then by name" == store.order
    else:
        assert 1000 == len(large.value or "")
        assert "last written first" == store.order


def test_a_bundle_says_whose_keys_cannot_be_listed_and_does_not_miss_them(world: World) -> None:
    """It would be the same in every bundle."""
    bundle = bundled(world)

    assert "a store of the type state.in-memory keeps them within each sidecar" == (
        stores_in(bundle)["memory"].unread
    )
    assert [] == list(bundle.missing)


def test_tables_that_are_locked_are_missing_alone(
    stack: Stack, world: World, database: psycopg.Connection[Any]
) -> None:
    """While an app is in the middle of its migrations; the lock of a row hides nothing.

    If each was waited for as long as a person would, there would be no time for the last ones.
    """
    names = [f"migrated_{number}" for number in range(8)]
    for each in names:
        database.execute(f"CREATE TABLE {each} AS SELECT 1 AS id")
    database.execute("CREATE TABLE beside (id int); INSERT INTO beside VALUES (1)")
    with psycopg.connect(stack.book.exports("postgres")["dsn"]) as busy:
        busy.execute(f"LOCK TABLE {', '.join(names)}; UPDATE beside SET id = 2")
        bundle = bundled(world)
        busy.rollback()
    found = tables_in(bundle)

    assert [f"table {each} in database app of postgres: canceling" for each in names] == [
        # Of the lock, or on a busy machine of the statement.
        each.partition(" statement due to ")[0]
        for each in bundle.missing
    ]
    assert {None} == {found[each].count for each in names}
    assert [["1"]] == [list(each.values) for each in found["beside"].rows]


def test_a_database_that_is_paused_is_missing_and_other_stores_are_not(world: World) -> None:
    """Nothing waits for it."""
    world.sidecar("shop").save_state("hashes", "beside", 1)
    world.pause("postgres")
    try:
        bundle = bundled(world)
    finally:
        world.resume("postgres")

    assert "database app of postgres: postgres is paused" in bundle.missing
    assert "state store 'own' of clerk, shop: postgres is paused" in bundle.missing
    assert "beside" in {each.key for each in stores_in(bundle)["hashes"].keys}
    assert () == tuple(bundle.tables)


def test_a_database_that_never_answers_is_given_up_and_hides_no_other(
    stack: Stack, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that accepts connections and stands still."""
    monkeypatch.setattr("harness.bundle.databases.BUDGET", 5.0)
    monkeypatch.setattr("harness.stored.connection.CONNECTING", 60)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host, port = silent.getsockname()
        place = {"host": host, "port": str(port), "dbname": "app", "user": "postgres"}
        stuck = [Database("silent", f"d{number}", place) for number in range(3)]
        monkeypatch.setattr(
            "harness.bundle.databases.databases_of", lambda stack: [*stuck, *databases_of(stack)]
        )
        bundle = bundled(world)

    assert [f"database d{number} of silent: it was not read within 5 s" for number in range(3)] == (
        list(bundle.missing)
    )
    assert "state" in tables_in(bundle)
    assert stores_in(bundle)["own"].order


def test_tables_for_which_there_was_no_time_are_missing_by_name(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, database: psycopg.Connection[Any]
) -> None:
    """And those beyond the number that is read."""
    database.execute(
        "CREATE TABLE IF NOT EXISTS z1 (id int); CREATE TABLE IF NOT EXISTS z2 (id int)"
    )
    (base,) = databases_of(stack)
    with pytest.raises(ProbeError, match=r"table .* in database app of postgres") as caught:
        list(recent_tables(base, Deadline(0), []))
    assert "there was no time for more in 0 s" == caught.value.last

    monkeypatch.setattr("harness.stored.recent.TABLES", 1)
    read = recent_tables(base, Deadline(30), [])
    assert next(read).table.name
    with pytest.raises(ProbeError) as caught:
        next(read)
    assert "of a database, 1 tables are read" == caught.value.last


def test_tables_are_kept_if_the_state_stores_are_not_known(
    stack: Stack, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is missing has no secret in it either."""
    secret = stack.book.exports("postgres")["password"]

    def broken(_: Stack) -> None:
        raise ConfigError(f"no component has {secret}")

    monkeypatch.setattr("harness.bundle.databases.places_of", broken)
    bundle = bundled(world)

    assert ["state stores: ConfigError: no component has ***"] == list(bundle.missing)
    assert "state" in tables_in(bundle)
