"""Keys, tables and rows of a stack that is up, as commands, for agents, and on the page."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters

from harness.core.settings import Settings
from harness.stack.registry import Registry
from harness.ui.app import application
from harness.ui.feed import Feed
from harness.ui.record import Record
from tests.cli.test_inspecting import opened
from tests.contract.test_taps_on_brokers import SECRETS
from tests.projects import POSTGRESQL, PYPROJECT
from tests.support import CLI, cli, environment, leftovers, project

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

TOPOLOGY = """
from harness import App, Postgres, Topology

mini = Topology(
    Postgres(),
    App("shop", command=["sleep", "600"], listens=False, sidecar_env={"DSN": "${postgres.dsn}"}),
    resources="r",
)
"""

STORE = POSTGRESQL.replace('value: "${postgres.dsn}"', "secretKeyRef: {name: DSN, key: DSN}")
MEMORY = """\
---
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: memory}
spec: {type: state.in-memory, version: v1}
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose stack is up: a store whose connection string is a secret."""
    resources = f"{STORE}auth: {{secretStore: env}}\n---\n{SECRETS}{MEMORY}"
    folder = project(
        tmp_path_factory.mktemp("browsed"),
        pyproject_toml=PYPROJECT, topology_py=TOPOLOGY, r__all_yaml=resources,
    )  # fmt: skip
    started = cli(folder, "up", "--runtime", "processes", timeout=120)
    assert started.returncode == 0, started.stderr
    for key, value in (("plain", '{"n": 1}'), ("secret", json.dumps(password(folder)))):
        assert 0 == cli(folder, "state", "set", "--store", "store", key, value).returncode
    yield folder
    assert 0 == cli(folder, "down").returncode
    assert [] == leftovers(folder)


def dsn(folder: Path) -> str:
    """The database of the stack."""
    with opened(folder) as seen:
        return seen.stack.book.exports("postgres")["dsn"]


def password(folder: Path) -> str:
    """The database's password."""
    return psycopg.conninfo.conninfo_to_dict(dsn(folder))["password"]  # type: ignore[return-value]  # it has one


@pytest.fixture(scope="module")
def rows(up: Path) -> None:
    """A table with a row that contains a secret."""
    with psycopg.connect(dsn(up), autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, note text)")
        connection.execute("INSERT INTO orders VALUES (1, 'tea'), (2, %s)", [password(up)])


def test_keys_are_listed_by_a_command(up: Path) -> None:
    """As a table, as JSON, filtered; the store in memory is named, and nothing else is known."""
    shown = cli(up, "state", "list")
    told = json.loads(cli(up, "state", "list", "--json", "--app", "shop").stdout)
    found = json.loads(cli(up, "state", "list", "--json", "--text", "PLA").stdout)
    none = cli(up, "state", "list", "--store", "nothing")

    assert "shop||plain" in shown.stdout
    assert "warning: the keys of state store 'memory': a store of the type" in shown.stderr
    assert ["plain", "secret"] == [each["key"] for each in told["rows"]]
    assert ["shop||plain"] == [each["raw"] for each in found["rows"]]
    assert 2 == none.returncode
    assert "known: memory, store" in none.stderr


def test_the_value_of_a_listed_key_is_printed(up: Path) -> None:
    """As the store has it, with secrets masked; a key that is not there has exit code 1."""
    value = cli(up, "state", "get", "--raw", "shop||plain")
    masked = json.loads(cli(up, "state", "get", "--raw", "shop||secret", "--json").stdout)
    by_name = json.loads(cli(up, "state", "get", "plain", "--store", "store", "--json").stdout)
    none = cli(up, "state", "get", "--raw", "shop||nothing")
    memory = cli(up, "state", "get", "--raw", "shop||plain", "--store", "memory")
    unchanged = cli(up, "state", "get", "secret", "--store", "store")

    assert {"n": 1} == json.loads(value.stdout)
    assert "***" == masked["value"]
    assert {"n": 1} == by_name["value"]
    assert (1, "there is no key 'shop||nothing'") == (none.returncode, none.stderr.strip())
    assert 2 == memory.returncode
    assert "cannot be read from the store itself" in memory.stderr
    assert password(up) == json.loads(unchanged.stdout)


@pytest.mark.usefixtures("rows")
def test_tables_and_rows_are_shown_by_a_command(up: Path) -> None:
    tables = json.loads(cli(up, "rows", "--json").stdout)["tables"]
    shown = cli(up, "rows", "orders", "--limit", "1")
    found = json.loads(cli(up, "rows", "orders", "--oldest-first", "--json").stdout)
    none = cli(up, "rows", "order; DROP TABLE orders")

    known = {each["name"]: each for each in tables}
    assert {"orders", "state", "dapr_metadata"} == {*known}
    assert (2, False) == (known["orders"]["rows"], known["orders"]["estimated"])
    assert [{"id": 1, "note": "tea"}, {"id": 2, "note": "***"}] == [
        each["values"] for each in found["rows"]
    ]
    assert "rows 1 to 1 of 2 in the table; more follow" in shown.stderr
    assert "***" in shown.stdout
    assert 2 == none.returncode


@pytest.mark.usefixtures("rows")
async def test_an_agent_lists_keys_and_rows(up: Path) -> None:
    """By tools that only look; an error says what to do."""
    server = StdioServerParameters(
        command=sys.executable, args=[*CLI[1:], "mcp"], env=environment(up), cwd=str(up)
    )
    async with Client(server) as client:

        async def called(tool: str, **arguments: Any) -> Any:
            result = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            return result.structured_content

        listed = await called("list_keys", text="plain")
        value = await called("stored_value", raw=listed["rows"][0]["raw"])
        tables = await called("list_tables")
        found = await called("rows", table="orders", text="TEA")
        wrong = await client.call_tool("rows", {"table": "nothing"})

    assert ({"n": 1}, False) == (value["value"], value["truncated"])
    assert "orders" in [each["name"] for each in tables["tables"]]
    assert [{"id": 1, "note": "tea"}] == [each["values"] for each in found["rows"]]
    assert wrong.is_error
    assert "there is no table 'nothing'" in str(wrong.content)


@pytest.mark.usefixtures("rows")
async def test_the_page_gets_keys_and_rows_without_secrets(up: Path) -> None:
    """By the requests that it makes; bad ones are answered with a sentence."""
    with opened(up) as seen:
        app = application(seen, Feed(seen, Record()), "token", 4711)
        transport = httpx.ASGITransport(app=app)
        address = "http://127.0.0.1:4711/token/"
        async with httpx.AsyncClient(transport=transport, base_url=address) as client:
            listed = (await client.get("keys", params={"text": "secret", "app": "shop"})).json()
            (key,) = listed["rows"]
            value = await client.get("value", params={"store": key["store"], "raw": key["raw"]})
            (table,) = [
                each
                for each in (await client.get("tables")).json()["tables"]
                if each["name"] == "orders"
            ]
            wanted = {"table": "public.orders", "node": table["node"], "database": "app"}
            rows = await client.get("rows", params=wanted)
            bad = [
                await client.get("rows", params={**wanted, "offset": each})
                for each in ("-1", "x", "9" * 40, "\u0663")
            ]

    assert "***" == value.json()["value"]
    assert [2, 1] == [each["values"]["id"] for each in rows.json()["rows"]]
    assert password(up) not in value.text + rows.text
    assert [400] * 4 == [each.status_code for each in bad]


def test_a_database_that_is_away_is_named_and_the_rest_is_shown(up: Path) -> None:
    """At once, although it would accept connections and answer none."""
    with opened(up) as seen:
        seen.act("pause", "postgres")
        try:
            keys, tables = seen.keys(), seen.tables()
        finally:
            seen.act("resume", "postgres")

    assert "the keys of state store 'store': postgres is paused" in keys.missing
    assert ["database app of postgres: it is paused"] == list(tables.missing)
    settings = Settings.load(up, environment(up))
    assert Registry(settings.state_dir).require("default").alive
