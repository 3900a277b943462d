"""Redis instead of PostgreSQL with one file, and what each store supports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from harness import AsyncWorld, DaprError, Settings, Stack, running
from harness.dapr.model import StateOperation
from scenarios.topology import todo

pytestmark = pytest.mark.own_stack

BACKEND, OTHER = "backend-service", "notification-service"
FOLDERS = ("components", "components/redis", "components/stores")
STORES = ("statestore", "shared", "queryable")
each_store = pytest.mark.parametrize("store", STORES)


@pytest.fixture(scope="module")
def stack(dapr_settings: Settings) -> Iterator[Stack]:
    """The application with its state in Redis, and two more stores in PostgreSQL."""
    with running(todo(resources=FOLDERS, redis=True, inbox=False), dapr_settings) as started:
        yield started


@pytest_asyncio.fixture
async def dapr(stack: Stack) -> AsyncIterator[AsyncWorld]:
    """A world on that stack."""
    async with AsyncWorld(stack) as world:
        yield world


async def test_one_file_has_changed_the_store(dapr: AsyncWorld) -> None:
    """It has the same name, so no service notices."""
    metadata = await dapr.sidecar(BACKEND).metadata()

    types = {each.name: each.type for each in metadata.components}
    assert "state.redis" == types["statestore"]


async def test_ten_writers_at_once_lose_no_message_in_redis(dapr: AsyncWorld) -> None:
    """Each appends with an etag and retries."""
    path = f"/api/{dapr.name('user')}/conversations/c"
    backend = dapr.app(BACKEND)

    answers = await asyncio.gather(
        *(
            backend.post(f"{path}/messages", json={"role": "user", "text": f"m{n}"})
            for n in range(10)
        )
    )

    assert [201] * 10 == [each.status_code for each in answers]
    found = (await backend.get(path)).json()["messages"]
    assert sorted(f"m{n}" for n in range(10)) == sorted(each["text"] for each in found)


async def test_a_conversation_survives_the_death_of_redis(dapr: AsyncWorld) -> None:
    """Acknowledged data was written."""
    path = f"/api/{dapr.name('user')}/conversations/c"
    backend = dapr.app(BACKEND)
    said = {"messages": [{"role": "user", "text": "Remember this", "at": None}]}
    assert 204 == (await backend.put(path, json=said)).status_code

    await dapr.restart("redis", 0)

    async def read() -> Any:
        answer = await backend.get(path)
        assert 200 == answer.status_code
        return answer.json()

    assert said == await dapr.eventually(read)


@each_store
async def test_a_stale_etag_is_409(dapr: AsyncWorld, store: str) -> None:
    """For every store; the value is the first writer's."""
    sidecar, key = dapr.sidecar(BACKEND), dapr.name("key")
    await sidecar.save_state(store, key, 1)
    etag = (await sidecar.get_state(store, key)).etag
    await sidecar.save_state(store, key, 2, etag=etag)

    with pytest.raises(DaprError) as refused:
        await sidecar.save_state(store, key, 3, etag=etag)

    assert 409 == refused.value.status
    await dapr.ledger.state(store, key).committed(1, 2)


@each_store
async def test_several_keys_at_once(dapr: AsyncWorld, store: str) -> None:
    """In the requested order; a missing one does not exist."""
    sidecar = dapr.sidecar(BACKEND)
    one, none, two = dapr.name("one"), dapr.name("none"), dapr.name("two")
    await sidecar.save_state(store, one, {"n": 1})
    await sidecar.save_state(store, two, 0)

    items = await sidecar.get_bulk_state(store, [one, none, two])

    assert [(one, True, {"n": 1}), (none, False, None), (two, True, 0)] == [
        (each.key, each.exists, each.value) for each in items
    ]


@each_store
async def test_a_transaction_is_all(dapr: AsyncWorld, store: str) -> None:
    """One key is written and one deleted."""
    sidecar, kept, gone = dapr.sidecar(BACKEND), dapr.name("kept"), dapr.name("gone")
    await sidecar.save_state(store, gone, 1)

    await sidecar.transact_state(
        store, [StateOperation("upsert", kept, {"n": 2}), StateOperation("delete", gone)]
    )

    items = await sidecar.get_bulk_state(store, [kept, gone])
    assert [(True, {"n": 2}), (False, None)] == [(each.exists, each.value) for each in items]


@each_store
async def test_a_transaction_with_a_stale_etag_is_refused(dapr: AsyncWorld, store: str) -> None:
    """PostgreSQL executes none of it. Redis has no rollback: the other operations are executed."""
    sidecar, other, key = dapr.sidecar(BACKEND), dapr.name("other"), dapr.name("key")
    await sidecar.save_state(store, key, 1)
    etag = (await sidecar.get_state(store, key)).etag
    await sidecar.save_state(store, key, 2)

    with pytest.raises(DaprError) as refused:
        await sidecar.transact_state(
            store,
            [StateOperation("upsert", other, 1), StateOperation("upsert", key, 3, etag=etag)],
        )

    assert 500 == refused.value.status
    items = await sidecar.get_bulk_state(store, [key, other])
    assert [2, None if store != "statestore" else 1] == [each.value for each in items]


@each_store
async def test_a_key_expires(dapr: AsyncWorld, store: str) -> None:
    """After its time and not before."""
    brief = dapr.name("brief")
    await dapr.sidecar(BACKEND).save_state(store, brief, 1, ttl=1)

    await dapr.ledger.state(store, brief).expired()


async def test_a_private_key_is_of_one_app_and_a_shared_one_of_all(dapr: AsyncWorld) -> None:
    """The prefix decides: the app-id by default, the component's name if configured."""
    mine, theirs, key = dapr.sidecar(BACKEND), dapr.sidecar(OTHER), dapr.name("key")
    for store in ("statestore", "shared"):
        await mine.save_state(store, key, store)

    assert not (await theirs.get_state("statestore", key)).exists
    assert "shared" == (await theirs.get_state("shared", key)).value
    rows = await dapr.table("shared_state").rows()
    assert f"shared||{key}" in {row["key"] for row in rows}


async def test_a_store_that_can_is_queried(dapr: AsyncWorld) -> None:
    """Filter, order and page, on values that are stored as JSON."""
    sidecar, list_id = dapr.sidecar(BACKEND), dapr.name("list")
    for rank, state in enumerate(("open", "done", "open", "open")):
        value = {"list": list_id, "state": state, "rank": rank}
        await sidecar.save_state("queryable", f"{list_id}-{rank}", value)
    wanted = {"AND": [{"EQ": {"list": list_id}}, {"EQ": {"state": "open"}}]}
    query = {
        "filter": wanted,
        "sort": [{"key": "rank", "order": "DESC"}],
        "page": {"limit": 2},
    }

    first = await sidecar.query_state("queryable", query)
    rest = await sidecar.query_state(
        "queryable", query | {"page": {"limit": 2, "token": first.token}}
    )

    assert [[3, 2], [0]] == [[item.value["rank"] for item in page.items] for page in (first, rest)]


@pytest.mark.parametrize("store", ["statestore", "shared"])
async def test_a_store_that_cannot_be_queried_says_so(dapr: AsyncWorld, store: str) -> None:
    """Redis without its search module, and PostgreSQL v2."""
    with pytest.raises(DaprError) as refused:
        await dapr.sidecar(BACKEND).query_state(store, {"filter": {"EQ": {"n": 1}}})

    assert 500 == refused.value.status
