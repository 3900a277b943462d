"""A committed task is a delivered event, whatever is unavailable in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx
import psycopg
import pytest

from harness import AsyncTap, AsyncWorld
from scenarios.test_task_events import new_task

CHANGES = 8


@asynccontextmanager
async def paused(dapr: AsyncWorld, node: str) -> AsyncIterator[None]:
    """A node that does not respond for the duration of the ``with`` block."""
    await dapr.pause(node)
    try:
        yield
    finally:
        await dapr.resume(node)


@contextmanager
def database(dapr: AsyncWorld) -> Iterator[psycopg.Connection]:
    """The services' database; each statement is a transaction unless it is inside one."""
    with psycopg.connect(dapr.exports("postgres")["dsn"], autocommit=True) as connection:
        yield connection


def blocks_somebody(connection: psycopg.Connection) -> bool:
    """Whether another transaction waits for a lock of this one."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
    return connection.execute(waits).fetchone() is not None


@pytest.mark.dapr(exclusive=True)
@pytest.mark.parametrize("node", ["backend-service-daprd", "broker"])
async def test_what_is_accepted_while_something_is_away_is_told_afterwards(
    dapr: AsyncWorld, node: str
) -> None:
    """The API responds at once without its sidecar or the broker; the events follow in order."""
    user = dapr.name("user")
    topic = dapr.topic("task-events")
    async with paused(dapr, node):
        task = await new_task(dapr, user)
        path = f"/api/{user}/tasks/{task['id']}"
        for number in range(CHANGES):
            answer = await dapr.app("backend-service").put(path, json={"title": f"v{number}"})
            answer.raise_for_status()

    titles = ["Buy milk", *(f"v{number}" for number in range(CHANGES))]

    async def all_told() -> None:
        # At least once: a call that was not answered in time is made again.
        told = [event.data["task"] for event in await topic.all(subject=task["id"])]
        assert titles == list(dict.fromkeys(each["title"] for each in told))
        assert list(range(1, 2 + CHANGES)) == list(dict.fromkeys(each["version"] for each in told))

    await dapr.eventually(all_told, timeout=40)


@pytest.mark.dapr(exclusive=True)
async def test_what_was_in_flight_when_all_was_killed_is_told(dapr: AsyncWorld) -> None:
    """kill -9 of backend and sidecar: only the outbox still has the calls that were in flight."""
    user, topic = dapr.name("user"), dapr.topic("task-events")
    nodes = ("backend-service", "backend-service-daprd")
    await dapr.pause(nodes[1])
    with database(dapr) as connection:
        made = {(await new_task(dapr, user, title=f"t{number}"))["id"] for number in range(5)}
        committed = connection.execute("SELECT clock_timestamp()").fetchone()
        await dapr.eventually(lambda: relay_has_looked(connection, committed), timeout=30)
    for node in nodes:
        await dapr.kill(node)
    # One after the other: a sidecar requests its app's subscriptions only once.
    await dapr.restart(nodes[0], ready=False)
    await dapr.eventually(lambda: serves(dapr, nodes[0]), timeout=60)
    await dapr.restart(nodes[1])

    await dapr.eventually(lambda: all_told(topic, user, made), timeout=90)


async def all_told(topic: AsyncTap, user: str, tasks: set[str]) -> None:
    """Require events of each of these tasks of a user, and of no other, at least once.

    Calls that were made but not yet removed from the outbox are repeated.
    """
    events = await topic.all(where=lambda each: each.data["user_id"] == user)
    assert tasks == {event.data["task_id"] for event in events}


async def serves(dapr: AsyncWorld, app: str) -> bool:
    """Whether an app responds."""
    try:
        return (await dapr.app(app).get("/healthz")).is_success
    except httpx.HTTPError:
        return False


def relay_has_looked(connection: psycopg.Connection, since: tuple[Any, ...] | None) -> bool:
    """Whether a relay has taken calls from the outbox since then."""
    looks = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%outbox_backend_service%%' "
        "AND query LIKE 'SELECT%%next_attempt_at%%' AND query_start > %s"
    )
    row = connection.execute(looks, since).fetchone()
    return row is not None and row[0] > 0


@pytest.mark.dapr(exclusive=True)
async def test_a_scheduler_that_is_away_holds_up_no_event(dapr: AsyncWorld) -> None:
    """More jobs pile up than are scheduled at a time; events are published, the jobs afterwards."""
    user, topic, tasks = dapr.name("user"), dapr.topic("task-events"), 40
    remind_at = "2199-01-01T00:00:00Z"
    async with paused(dapr, "scheduler"):
        made = {(await new_task(dapr, user, remind_at=remind_at))["id"] for _ in range(tasks)}
        await dapr.eventually(lambda: all_told(topic, user, made), timeout=60)
        plain = await new_task(dapr, user)
        await topic.next(subject=plain["id"], timeout=60)
        assert made == await jobs_waiting(dapr) & made

    async def none_waits() -> bool:
        return not await jobs_waiting(dapr) & made

    await dapr.eventually(none_waits, timeout=90)


async def jobs_waiting(dapr: AsyncWorld) -> set[str]:
    """The tasks whose jobs the scheduler does not have yet."""
    rows = await dapr.table("outbox_backend_service").rows(lane="job")
    return {row["key"] for row in rows}


async def test_one_poison_call_holds_up_its_own_task_only(dapr: AsyncWorld) -> None:
    """An event that the broker rejects (too large) waits; other tasks' events do not."""
    user, topic = dapr.name("user"), dapr.topic("task-events")
    stuck = await new_task(dapr, user, title="stuck")
    await topic.next(subject=stuck["id"])
    with outbox_row(dapr, stuck["id"]):
        other = await new_task(dapr, user, title="other")
        event = await topic.next(subject=other["id"])

        assert "other" == event.data["task"]["title"]


async def test_a_call_whose_time_is_over_is_given_up(dapr: AsyncWorld) -> None:
    """It was tried, failed, and nobody needs it any more; a call that has not expired stays."""
    over, lasting = dapr.name("over"), dapr.name("lasting")

    rows = dapr.table("outbox_backend_service")

    async def only_the_lasting_one() -> None:
        keys = {row["key"] for row in await rows.rows()}
        assert {lasting} == keys & {over, lasting}

    with outbox_row(dapr, over, "-1 s"), outbox_row(dapr, lasting, "1 h"):
        await dapr.eventually(only_the_lasting_one)
        await dapr.eventually(lambda: tried_more_often(dapr, lasting, 1))
        await only_the_lasting_one()


async def tried_more_often(dapr: AsyncWorld, key: str, times: int) -> bool:
    """Whether a call in the backend's outbox was tried more often than that."""
    row = await dapr.table("outbox_backend_service").row(key=key)
    return bool(row["attempts"] > times)


async def test_a_long_outage_does_not_overflow_the_pause(dapr: AsyncWorld) -> None:
    """The back-off doubles up to its maximum, and stays there after 5,000 attempts."""
    key = dapr.name("long")

    with outbox_row(dapr, key, attempts=5000):
        await dapr.eventually(lambda: tried_more_often(dapr, key, 5000))


@contextmanager
def outbox_row(
    dapr: AsyncWorld, key: str, expires_in: str | None = None, *, attempts: int = 0
) -> Iterator[None]:
    """A call in the backend's outbox that always fails, for the duration of the ``with`` block."""
    insert = (
        "INSERT INTO outbox_backend_service (key, method, path, params, body, content_type, "
        "attempts, expires_at) VALUES (%s, 'POST', '/v1.0/publish/nowhere/t', '{}', 'null', "
        "'text/plain', %s, now() + %s::interval)"
    )
    with database(dapr) as connection:
        connection.execute(insert, [key, attempts, expires_in])
        try:
            yield
        finally:
            connection.execute("DELETE FROM outbox_backend_service WHERE key = %s", [key])


async def test_the_outbox_is_empty_when_all_is_told(dapr: AsyncWorld) -> None:
    """Calls that were made are not kept."""
    task = await new_task(dapr, dapr.name("user"))
    await dapr.ledger.event(topic="task-events", subject=task["id"]).delivered_to(
        "notification-service"
    )

    async def none_left() -> bool:
        return [] == await dapr.table("outbox_backend_service").rows(key=task["id"])

    await dapr.eventually(none_left)


async def test_two_edits_at_once_are_told_apart(dapr: AsyncWorld) -> None:
    """With If-Match on all, one of ten edits of the same version wins; the others get 412."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(dapr, user)
    path = f"/api/{user}/tasks/{task['id']}"
    version = (await backend.get(path)).headers["etag"]

    answers: list[httpx.Response] = await asyncio.gather(
        *(
            backend.put(path, json={"title": f"edit {n}"}, headers={"if-match": version})
            for n in range(10)
        )
    )

    assert [200] + [412] * 9 == sorted(each.status_code for each in answers)
    refused = next(each for each in answers if each.status_code == 412)
    assert "application/problem+json" == refused.headers["content-type"]
    winner = next(each for each in answers if each.status_code == 200)
    now = await backend.get(path)
    assert (winner.json()["title"], winner.headers["etag"]) == (
        now.json()["title"], now.headers["etag"],
    )  # fmt: skip
    deleted = await backend.delete(path, headers={"if-match": version})
    assert 412 == deleted.status_code


async def test_a_change_waits_for_one_that_is_being_made(dapr: AsyncWorld) -> None:
    """It applies to the state that the other change has left, not to the state before it."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(dapr, user)
    with database(dapr) as connection, connection.transaction():
        connection.execute("UPDATE tasks SET version = 2 WHERE id = %s", [task["id"]])
        path = f"/api/{user}/tasks/{task['id']}"
        changing = asyncio.create_task(backend.put(path, json={"title": "later"}))
        await dapr.eventually(lambda: blocks_somebody(connection), timeout=30)

    answer = await changing

    assert (200, 3) == (answer.status_code, answer.json()["version"])
