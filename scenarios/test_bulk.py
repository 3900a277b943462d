"""Bulk events, in and out: raw payloads of a system that does not use Dapr."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka import Producer

from harness import AsyncWorld, DaprError
from harness.dapr.model import BulkEntry

BACKEND, ROUTE, TOPIC = "backend-service", "/events/imports", "task-imports"
TOO_LARGE = "x" * 1_500_000
"""More than the 1 MiB that the broker accepts, less than the 4 MiB that daprd reads."""


def foreign(dapr: AsyncWorld, number: int, **task: Any) -> dict[str, Any]:
    """A task in the other system's format."""
    user = dapr.name("user")
    return {"id": f"{dapr.id}-{number}", "user_id": user, "task": {"title": f"n{number}", **task}}


async def write(dapr: AsyncWorld, *rows: object) -> None:
    """Write like another system: with Kafka's own protocol, as plain JSON, without a sidecar."""
    brokers = dapr.exports("broker")["brokers"]

    def produce() -> None:
        producer = Producer({"bootstrap.servers": brokers, "linger.ms": 20})
        for row in rows:
            value = row if isinstance(row, str) else json.dumps(row)
            producer.produce(TOPIC, value.encode(), key=dapr.id)
        assert 0 == producer.flush(10)

    await asyncio.to_thread(produce)


async def titles(dapr: AsyncWorld) -> list[str]:
    """The user's tasks."""
    answer = await dapr.app(BACKEND).get(f"/api/{dapr.name('user')}/tasks")
    return [each["title"] for each in answer.json()]


async def test_foreign_tasks_come_many_at_a_time(dapr: AsyncWorld) -> None:
    """In fewer calls than tasks, in order, and each becomes a task with its event."""
    await write(dapr, *(foreign(dapr, number) for number in range(20)))

    async def all_there() -> None:
        assert [f"n{number}" for number in range(20)] == await titles(dapr)

    await dapr.eventually(all_there, timeout=60)

    async def answered() -> None:
        # The tasks are visible before the call that created them has ended.
        calls = await dapr.inbox(BACKEND).all(where=lambda each: each.path.startswith(f"{ROUTE}/"))
        assert 0 < len([each for each in calls if each.status == 200]) < 20

    await dapr.eventually(answered)
    events = await dapr.topic("task-events").collect(
        20, where=lambda each: (each.data or {}).get("user_id") == dapr.name("user")
    )
    assert {"com.taskmanager.task.created"} == {each.type for each in events}


async def test_a_foreign_task_that_comes_twice_is_one(dapr: AsyncWorld) -> None:
    """It is written twice, and its first delivery is not acknowledged."""
    await dapr.inbox(BACKEND).fail_next(ROUTE, times=1, after=True)

    await write(dapr, foreign(dapr, 1), foreign(dapr, 1), foreign(dapr, 2))

    async def both() -> None:
        assert ["n1", "n2"] == await titles(dapr)

    await dapr.eventually(both)


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON at all, ID",
        '{"id": "ID"}',
        '{"id": "ID", "user_id": "ada", "task": {"title": "", "colour": "red"}}',
    ],
    ids=["text", "fields are missing", "values are wrong"],
)
async def test_what_is_no_task_is_a_dead_letter_and_the_rest_goes_on(
    dapr: AsyncWorld, wrong: str
) -> None:
    """There is one status for each entry: the other tasks in the same call are created."""
    text = wrong.replace("ID", dapr.id)
    await write(dapr, foreign(dapr, 1), text, foreign(dapr, 2))

    async def both() -> None:
        assert ["n1", "n2"] == await titles(dapr)

    await dapr.eventually(both)

    async def shown() -> None:
        letters = (await dapr.app("notification-service").get("/api/dead-letters")).json()
        assert text in [each["event"] for each in letters]

    await dapr.eventually(shown)


async def test_several_events_are_published_in_one_request(dapr: AsyncWorld) -> None:
    """Each has its own key and content type."""
    entries = [
        BulkEntry(f"{number}", {"m": dapr.id, "n": number}, metadata={"partitionKey": dapr.id})
        for number in range(10)
    ]

    await dapr.sidecar(BACKEND).publish_bulk("pubsub", "task-updates", entries)
    found = await dapr.topic("task-updates").collect(
        10, where=lambda each: isinstance(each.data, dict) and each.data.get("m") == dapr.id
    )

    assert list(range(10)) == [each.data["n"] for each in found]


async def test_a_bulk_publish_that_fails_in_part_names_what_failed(dapr: AsyncWorld) -> None:
    """Only the entry that the broker rejects fails; the others are published."""
    entries = [
        BulkEntry("small", {"m": dapr.id, "n": 1}),
        BulkEntry("large", {"m": dapr.id, "n": 2, "text": TOO_LARGE}),
        BulkEntry("last", {"m": dapr.id, "n": 3}),
    ]

    with pytest.raises(DaprError) as failed:
        await dapr.sidecar(BACKEND).publish_bulk("pubsub", "task-updates", entries)

    assert 500 == failed.value.status
    assert {"large"} == set(failed.value.failed_entries)
    found = await dapr.topic("task-updates").collect(
        2, where=lambda each: isinstance(each.data, dict) and each.data.get("m") == dapr.id
    )
    assert {1, 3} == {each.data["n"] for each in found}


async def test_a_raw_payload_is_written_as_it_is(dapr: AsyncWorld) -> None:
    """For a reader that does not use CloudEvents."""
    said = {"m": dapr.id}

    await dapr.sidecar(BACKEND).publish(
        "pubsub", "task-updates", said, metadata={"rawPayload": "true", "partitionKey": dapr.id}
    )
    found = await dapr.topic("task-updates").next(key=dapr.id)

    assert (said, "") == (found.data, found.type)


async def test_a_reminder_does_not_expire(dapr: AsyncWorld) -> None:
    """It is delivered, however late."""
    soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    answer = await dapr.app(BACKEND).post(
        f"/api/{dapr.name('user')}/tasks", json={"title": "Soon", "remind_at": soon}
    )

    about = {"type": "com.taskmanager.reminder.due", "subject": answer.json()["id"]}
    assert "" == (await dapr.ledger.event(**about).path()).expires


async def test_an_event_is_not_delivered_after_its_time(dapr: AsyncWorld) -> None:
    """The sidecar checks this when it receives the event; later events are delivered."""
    sidecar = dapr.sidecar("notification-service")
    event = {
        "specversion": "1.0",
        "type": "com.taskmanager.notification.made",
        "source": "scenario",
        "data": {"user_id": dapr.name("user")},
    }
    for event_id, more in (
        (dapr.name("late"), {"expiration": "2020-01-01T00:00:00Z"}),
        (dapr.name("in-time"), {"expiration": "2050-01-01T00:00:00Z"}),
    ):
        await sidecar.publish_event(
            "pubsub",
            "task-updates",
            {**event, "id": event_id, **more},
            metadata={"partitionKey": dapr.id},
        )

    await dapr.inbox("frontend").nothing_before({"id": dapr.name("in-time")}, id=dapr.name("late"))
