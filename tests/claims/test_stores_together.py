"""Claims about stores of several kinds beside each other, asked of a daprd without an app."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx
import psycopg
import pytest

from harness import DaprError, Postgres, Redis, Settings, Topology, running
from harness.core.deadline import Deadline, Observation, poll
from harness.dapr.client import DaprClient
from harness.dapr.health import HealthCheck
from harness.dapr.model import StateOperation
from harness.ready.loopback import client as http
from harness.runtime.processes import ProcessRuntime
from tests.claims.alone import LONG, alive, outcome, start
from tests.claims.redis_text import ask_redis
from tests.claims.test_components import component
from tests.support import project

pytestmark = pytest.mark.real

PREFIXES = {"name": "by-name||k", "none": "k", "appid": "app||k", "Todo-app": "todo-app||k"}
"""The keys that stores use for ``k``, by their keyPrefix."""

INDEXES = '[{"name": "i", "indexes": [{"key": "a", "type": "TEXT"}]}]'


@dataclass(frozen=True)
class Together:
    """A daprd with stores on one PostgreSQL database and on one Redis, which has a replica.

    Attributes:
        results: by store, "" or why it was refused.
        dsn: of the database, which was empty before.
        primary, replica: what the two Redis nodes export.
    """

    client: DaprClient
    results: Mapping[str, str]
    dsn: str
    primary: Mapping[str, str]
    replica: Mapping[str, str]

    def waits(self) -> int:
        """How often the primary was told to wait for its replicas."""
        found = re.search(r"cmdstat_wait:calls=(\d+)", ask_redis(self.primary, "INFO commandstats"))
        return int(found[1]) if found else 0


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Together]:
    """The replica is there before daprd asks the primary for it."""
    topology = Topology(Postgres(databases=("d",)), Redis(), Redis("replica"))
    folder = tmp_path_factory.mktemp("stores")
    with (
        running(topology, Settings.load(runtime="processes")) as stack,
        ProcessRuntime({"PATH": os.environ["PATH"]}) as runtime,
    ):
        primary, replica = (stack.book.exports(name) for name in ("redis", "replica"))
        replicate(primary, replica)
        dsn = stack.book.exports("postgres")["dsn"]
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("CREATE DATABASE bare")
        bare = re.sub(r"/d\b", "/bare", dsn)
        texts = stores(bare, primary)
        project(folder, **{f"r__c{number}_yaml": text for number, text in enumerate(texts)})
        daprd, client = start(runtime, 0, folder, {"log-as-json": "true"})
        with client:
            results = outcome(daprd, len(texts))
            check = HealthCheck(client, outbound=True, name="outbound")
            assert (seen := poll(lambda: alive(daprd, check.observe()), Deadline(LONG))).ok, seen
            yield Together(client, results, bare, primary, replica)


def replicate(primary: Mapping[str, str], replica: Mapping[str, str]) -> None:
    """Make one a replica of the other, and wait for it."""
    ask_redis(replica, f"CONFIG SET masterauth {primary['password']}")
    ask_redis(replica, f"REPLICAOF {primary['host']} {primary['port']}")

    def online() -> Observation:
        found = ask_redis(primary, "INFO replication")
        return Observation("state=online" in found, found)

    seen = poll(online, Deadline(LONG))
    assert seen.ok, seen.fact


def stores(dsn: str, redis: Mapping[str, str]) -> list[str]:
    """Of PostgreSQL, v1 and v2; two that use the other's table; and of Redis."""

    def v1(name: str, **fields: str) -> str:
        return component("state.postgresql", name, connectionString=dsn, keyPrefix="none", **fields)

    def v2(name: str, **fields: str) -> str:
        return v1(name, **fields).replace('"version": "v1"', '"version": "v2"')

    def redis_store(name: str, **fields: str) -> str:
        password = redis["password"]
        host = redis["address"]
        return component(
            "state.redis", name, redisHost=host, redisPassword=password, keyPrefix="none", **fields
        )

    return [
        v1("one", tableName="old_state", metadataTableName="old_metadata"),
        v2("two", tablePrefix="new_", tableName="of_version_one", concurrency="first-write"),
        v2("two-on-one", tablePrefix="old_", metadataTableName="crossed"),
        v1("one-on-two", tableName="new_state", metadataTableName="crossed_too"),
        redis_store("redis"),
        *(redis_store(f"by-{word}").replace('"none"', f'"{word}"') for word in PREFIXES),
        redis_store("encrypted", enableTLS="true"),
        redis_store("indexed", queryIndexes=INDEXES),
    ]


def test_two_versions_of_the_postgresql_store_work_beside_each_other(together: Together) -> None:
    """In one database, with tables of their own: neither has the other's key."""
    client = together.client
    for store in ("one", "two"):
        client.save_state(store, f"of-{store}", {"by": store})

    found = {
        (store, key): client.get_state(store, f"of-{key}").value
        for store in ("one", "two") for key in ("one", "two")
    }  # fmt: skip
    assert {
        ("one", "one"): {"by": "one"}, ("one", "two"): None,
        ("two", "one"): None, ("two", "two"): {"by": "two"},
    } == found  # fmt: skip


def test_version_two_does_not_start_on_the_table_of_version_one(together: Together) -> None:
    """It takes the table for its own, and misses its columns."""
    assert 'column "expires_at" does not exist' in together.results["two-on-one"]


def test_version_one_starts_on_the_table_of_version_two_and_cannot_read_it(
    together: Together,
) -> None:
    """Nor write: 500, at each call and not when daprd starts."""
    client = together.client
    client.save_state("two", "k", 1)

    assert "" == together.results["one-on-two"]
    for call in (
        lambda: client.get_state("one-on-two", "k"),
        lambda: client.save_state("one-on-two", "k", 2),
    ):
        with pytest.raises(DaprError, match="isbinary") as refused:
            call()
        assert 500 == refused.value.status
    assert 1 == client.get_state("two", "k").value


def test_postgresql_ignores_a_field_for_concurrency(together: Together) -> None:
    """The store is loaded, and takes the same key twice: that is last-write."""
    for value in (1, 2):
        together.client.save_state("two", "twice", value)

    assert 2 == together.client.get_state("two", "twice").value


def test_dapr_makes_its_tables_in_an_empty_database(together: Together) -> None:
    """The store's, and dapr_metadata unless another name was given; v2 ignores ``tableName``."""
    with psycopg.connect(together.dsn) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        found = {name for (name,) in rows}

    assert {"old_state", "old_metadata", "new_state", "dapr_metadata"} <= found
    assert "of_version_one" not in found


@pytest.mark.parametrize("word", PREFIXES)
def test_a_prefix_of_keys_may_be_any_string_which_becomes_lower_case(
    together: Together, word: str
) -> None:
    """Three of them mean the store, nothing, and the app."""
    ask_redis(together.primary, f"DEL {PREFIXES[word]}")

    together.client.save_state(f"by-{word}", "k", 1)

    assert ":1" == ask_redis(together.primary, f"EXISTS {PREFIXES[word]}")


def test_enable_tls_is_encryption_and_a_plain_redis_does_not_answer_it(together: Together) -> None:
    """The same server is reached without it."""
    assert "" == together.results["redis"]
    assert "error connecting to redis" in together.results["encrypted"]


def test_query_indexes_are_refused_by_a_plain_redis(together: Together) -> None:
    """daprd registers them with the search module when it starts."""
    assert "unknown command `FT.CREATE`" in together.results["indexed"]


def test_a_strong_save_to_redis_waits_for_its_replicas(together: Together) -> None:
    """By the command WAIT; the default, and ``eventual``, do without it."""
    client, before = together.client, together.waits()

    client.save_state("redis", "default", 1)
    client.save_state("redis", "eventual", 1, consistency="eventual")
    assert before == together.waits()

    client.save_state("redis", "strong", 1, consistency="strong")
    assert before + 1 == together.waits()
    assert "1" == ask_redis(together.replica, "EXISTS strong").removeprefix(":")


def test_a_strong_read_a_strong_delete_and_a_strong_transaction_on_redis_wait_for_nothing(
    together: Together,
) -> None:
    """Only a save by itself is told to."""
    client, before = together.client, together.waits()
    client.save_state("redis", "k", 1)

    assert 1 == client.get_state("redis", "k", consistency="strong").value
    client.delete_state("redis", "k", consistency="strong")
    client.transact_state("redis", [StateOperation("upsert", "t", 1, consistency="strong")])

    assert before == together.waits()


def test_a_strong_save_succeeds_without_the_replicas_that_it_waits_for(together: Together) -> None:
    """After a second; the replica does not have it."""
    client, before = together.client, together.waits()
    ask_redis(together.replica, "REPLICAOF NO ONE")
    try:
        client.save_state("redis", "alone", 1, consistency="strong")

        assert before + 1 == together.waits()
        assert 1 == client.get_state("redis", "alone").value
        assert ":0" == ask_redis(together.replica, "EXISTS alone")
    finally:
        replicate(together.primary, together.replica)


@pytest.mark.parametrize("store", ["one", "two"])
def test_postgresql_stores_the_same_for_each_consistency(together: Together, store: str) -> None:
    """It has one kind: rows of strong and eventual saves, and reads, do not differ."""
    client = together.client
    client.save_state(store, "c-strong", {"n": 1}, consistency="strong")
    client.save_state(store, "c-eventual", {"n": 1}, consistency="eventual")

    table = {"one": "old_state", "two": "new_state"}[store]
    with psycopg.connect(together.dsn) as connection:
        query = f"SELECT value FROM {table} WHERE key IN ('c-strong', 'c-eventual')"
        strong, eventual = connection.execute(query).fetchall()
    assert strong == eventual
    assert [{"n": 1}, {"n": 1}] == [
        client.get_state(store, "c-strong", consistency="strong").value,
        client.get_state(store, "c-strong", consistency="eventual").value,
    ]


@pytest.mark.parametrize(("store", "deleted"), [("redis", 500), ("one", 204), ("two", 204)])
def test_an_unknown_consistency_is_refused_by_a_save_and_taken_by_a_read(
    together: Together, store: str, deleted: int
) -> None:
    """A deletion is refused by Redis only."""
    path, query = f"/v1.0/state/{store}", {"consistency": "sometimes"}
    with http(together.client.endpoint.http, timeout=30) as sidecar:
        answers: list[httpx.Response] = [
            sidecar.post(path, json=[{"key": "u", "value": 1, "options": query}]),
            sidecar.get(f"{path}/u", params=query),
            sidecar.delete(f"{path}/u", params=query),
        ]

    assert [500, 204, deleted] == [each.status_code for each in answers]
