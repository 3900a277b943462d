"""A reminder is a Dapr job: on time, movable, cancellable, safe in a restart; sent even without."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg
import pytest

from harness import AsyncWorld
from scenarios.test_outbox import blocks_somebody, database
from scenarios.test_series import has_job
from scenarios.test_task_events import new_task

DUE, SCHEDULED = "com.taskmanager.reminder.due", "com.taskmanager.reminder.scheduled"


def in_seconds(seconds: float) -> str:
    """A future time, in the API's format."""
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def moment(event: Any) -> datetime:
    """When the reminder was due, according to the event."""
    return datetime.fromisoformat(event.data["remind_at"])


async def test_a_reminder_fires_on_time_and_is_notified(dapr: AsyncWorld) -> None:
    """Not before it is due; and it names the task and its owner."""
    user, remind_at = dapr.name("user"), in_seconds(1)

    task = await new_task(dapr, user, title="Call mum", remind_at=remind_at)
    event = await dapr.topic("reminders").next(type=DUE, subject=task["id"])
    row = await dapr.table("notifications").row(event_id=event.id)

    assert datetime.fromisoformat(remind_at) == moment(event)
    # Record times are truncated to milliseconds.
    assert event.time >= moment(event) - timedelta(milliseconds=1)
    assert (user, "Call mum") == (event.data["user_id"], event.data["title"])
    assert (user, DUE, "Reminder: Call mum") == (row["user_id"], row["kind"], row["message"])


async def test_a_moved_reminder_fires_at_its_new_time(dapr: AsyncWorld) -> None:
    """Moved from an hour ahead to soon: this task's event is the one for the new time."""
    user = dapr.name("user")
    task = await new_task(dapr, user, remind_at=in_seconds(3600))
    sooner = in_seconds(1)

    path = f"/api/{user}/tasks/{task['id']}"
    await dapr.app("backend-service").put(path, json={"remind_at": sooner})
    event = await dapr.topic("reminders").next(type=DUE, subject=task["id"], timeout=30)

    assert datetime.fromisoformat(sooner) == moment(event)
    assert event.time >= moment(event) - timedelta(milliseconds=1)


async def test_a_reminder_in_the_past_fires_at_once(dapr: AsyncWorld) -> None:
    """An overdue reminder is due."""
    user = dapr.name("user")

    task = await new_task(dapr, user, remind_at=in_seconds(-3600))
    event = await dapr.topic("reminders").next(type=DUE, subject=task["id"])

    assert (DUE, user) == (event.type, event.data["user_id"])


@pytest.mark.dapr(exclusive=True)
async def test_a_reminder_survives_a_restart_of_the_scheduler(dapr: AsyncWorld) -> None:
    """The job is in the scheduler's data folder; it fires once after the restart."""
    user = dapr.name("user")
    task = await new_task(dapr, user, remind_at=in_seconds(4))

    await dapr.restart("scheduler")
    await dapr.await_ready("backend-service-daprd")
    event = await dapr.topic("reminders").next(type=DUE, subject=task["id"], timeout=30)

    assert event.time >= moment(event) - timedelta(milliseconds=1)
    await dapr.table("notifications").row(event_id=event.id)
    assert await dapr.table("notifications").count(task_id=task["id"], kind=DUE) == 1


async def test_a_job_that_fires_twice_reminds_once(dapr: AsyncWorld) -> None:
    """The handler did its work and its response was lost: the scheduler fires the job again."""
    user, inbox = dapr.name("user"), dapr.inbox("backend-service")
    topic = dapr.topic("reminders")
    await inbox.fail_next("/job/reminder-task-", times=1, after=True)
    task = await new_task(dapr, user, remind_at=in_seconds(1))

    job = dapr.ledger.job("backend-service", f"reminder-task-{task['id']}")
    fired = await job.fired(times=2, timeout=30)
    event = await topic.next(type=DUE, subject=task["id"])
    await dapr.table("notifications").row(event_id=event.id)

    assert [(500, "after"), (200, "")] == [(each.status, each.failed) for each in fired.attempts]
    # What the second one would have told is in the outbox before it has an answer.
    await dapr.eventually(lambda: _is_told(dapr, task), timeout=30)
    later = await new_task(dapr, user, remind_at=in_seconds(-1))
    await topic.nothing_before(
        {"subject": later["id"], "type": DUE},
        subject=task["id"],
        type=DUE,
        where=lambda each: each != event,
    )
    assert 1 == await dapr.table("notifications").count(task_id=task["id"], kind=DUE)


async def _is_told(dapr: AsyncWorld, task: dict[str, Any]) -> bool:
    """Whether no call of a task waits in the outbox."""
    return [] == await dapr.table("outbox_backend_service").rows(key=task["id"])


async def fire(dapr: AsyncWorld, task: dict[str, Any]) -> httpx.Response:
    """The request that the sidecar sends when a task's job is due."""
    return await dapr.app("backend-service").post(
        f"/job/reminder-task-{task['id']}",
        json={},
        headers={"dapr-api-token": dapr.token("app-api")},
    )


async def was_sent(dapr: AsyncWorld, task: dict[str, Any]) -> bool:
    """Whether a task's reminder was sent: recorded in the same commit as its event."""
    return (await dapr.table("tasks").row(id=task["id"]))["reminded_for"] is not None


async def test_a_job_that_fires_too_early_sends_nothing(dapr: AsyncWorld) -> None:
    """The reminder was moved, but the job for its old time has still fired."""
    task = await new_task(dapr, dapr.name("user"), remind_at=in_seconds(3600))

    answer = await fire(dapr, task)

    assert (200, False) == (answer.status_code, await was_sent(dapr, task))


async def test_a_job_that_fires_for_a_completed_task_sends_nothing(dapr: AsyncWorld) -> None:
    """The reminder is due, but no longer needed."""
    user = dapr.name("user")
    task = await new_task(dapr, user, remind_at=in_seconds(3600))
    await dapr.app("backend-service").post(f"/api/{user}/tasks/{task['id']}/complete")
    with database(dapr) as connection:
        connection.execute("UPDATE tasks SET remind_at = now() WHERE id = %s", [task["id"]])

    answer = await fire(dapr, task)

    assert (200, False) == (answer.status_code, await was_sent(dapr, task))


@pytest.mark.parametrize("how", ["complete", "delete", "clear"])
async def test_the_job_of_a_cancelled_reminder_is_deleted(dapr: AsyncWorld, how: str) -> None:
    """It is due in an hour, so it has not disappeared by itself."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(dapr, user, remind_at=in_seconds(3600))
    path = f"/api/{user}/tasks/{task['id']}"

    async def scheduled() -> None:
        assert await has_job(dapr, task["id"])

    async def gone() -> None:
        assert not await has_job(dapr, task["id"])

    await dapr.eventually(scheduled, timeout=30)
    match how:
        case "complete":
            await backend.post(f"{path}/complete")
        case "delete":
            await backend.delete(path)
        case _:
            await backend.put(path, json={"remind_at": None})

    await dapr.eventually(gone, timeout=30)


async def test_a_job_that_fails_is_tried_again_without_end(dapr: AsyncWorld) -> None:
    """The scheduler's own default is three retries, then none."""
    task = await new_task(dapr, dapr.name("user"), remind_at=in_seconds(3600))

    async def job() -> dict[str, Any]:
        assert await has_job(dapr, task["id"])
        return dict(await dapr.sidecar("backend-service").get_job(f"reminder-task-{task['id']}"))

    found = await dapr.eventually(job, timeout=30)

    assert {"constant": {"interval": "5s"}} == found["failurePolicy"]


async def lose_job(dapr: AsyncWorld, task: dict[str, Any]) -> None:
    """Delete the job of a task's reminder, which nobody notices, and let the reminder be due."""
    sidecar, name = dapr.sidecar("backend-service"), f"reminder-task-{task['id']}"
    await dapr.eventually(lambda: has_job(dapr, task["id"]), timeout=30)
    await sidecar.delete_job(name)
    overdue = "UPDATE tasks SET remind_at = now() - interval '1 min' WHERE id = %s"
    with database(dapr) as connection:
        connection.execute(overdue, [task["id"]])


async def test_an_overdue_reminder_is_sent_without_its_job(dapr: AsyncWorld) -> None:
    """Its job is lost: the binding's check finds it; if a job fires later, it is not sent twice."""
    inbox = dapr.inbox("backend-service")
    task = await new_task(dapr, dapr.name("user"), remind_at=in_seconds(3600))
    await lose_job(dapr, task)

    event = await dapr.topic("reminders").next(type=DUE, subject=task["id"], timeout=30)
    assert [] == await inbox.all(path=f"/job/reminder-task-{task['id']}")
    ran = await inbox.next(path="/reminder-cron", where=lambda each: sent_some(each.answer))
    answer = await fire(dapr, task)

    assert (200, 200, task["id"]) == (ran.status, answer.status_code, event.data["task_id"])
    later = await new_task(dapr, dapr.name("user"), remind_at=in_seconds(-60))
    await dapr.topic("reminders").next(type=DUE, subject=later["id"], timeout=30)
    assert 1 == len(await dapr.topic("reminders").all(type=DUE, subject=task["id"]))


def sent_some(answer: str) -> bool:
    """Whether a check of overdue reminders has sent some."""
    return bool(json.loads(answer)["sent"])


async def test_a_reminder_that_is_set_or_moved_is_an_event(dapr: AsyncWorld) -> None:
    """With its time; it has a route of its own, and nobody is notified."""
    user, inbox = dapr.name("user"), dapr.inbox("notification-service")
    topic = dapr.topic("reminders")
    task = await new_task(dapr, user, remind_at=in_seconds(3600))
    path, moved = f"/api/{user}/tasks/{task['id']}", in_seconds(7200)
    for change in ({"remind_at": moved}, {"title": "Same time"}, {"remind_at": None}):
        (await dapr.app("backend-service").put(path, json=change)).raise_for_status()
    await dapr.app("backend-service").delete(path)
    await dapr.table("notifications").row(task_id=task["id"], kind="com.taskmanager.task.deleted")

    first, second = await inbox.collect(2, type=SCHEDULED, where=about(task))

    assert all(each.path.startswith("/events/reminder/scheduled/") for each in (first, second))
    assert [200, 200] == [first.status, second.status]
    times = [datetime.fromisoformat(each.data["remind_at"]) for each in (first, second)]
    assert [datetime.fromisoformat(task["remind_at"]), datetime.fromisoformat(moved)] == times
    await topic.collect(2, subject=task["id"])
    assert 2 == len(await topic.all(subject=task["id"]))
    kinds = {row["kind"] for row in await dapr.table("notifications").rows(task_id=task["id"])}
    assert {
        f"com.taskmanager.task.{change}" for change in ("created", "updated", "deleted")
    } == kinds


def about(task: dict[str, Any]) -> Callable[[Any], bool]:
    """Whether a delivery is about a task."""
    return lambda each: (each.data or {}).get("task_id") == task["id"]


async def test_an_event_that_no_rule_knows_goes_the_default_route(dapr: AsyncWorld) -> None:
    """The others go the routes of their rules; this one becomes a dead letter."""
    inbox, user = dapr.inbox("notification-service"), dapr.name("user")
    event: dict[str, Any] = {
        "specversion": "1.0", "id": dapr.name("event"), "source": "scenario",
        "type": "com.taskmanager.reminder.forgotten", "datacontenttype": "application/json",
        "data": {"task_id": dapr.id, "user_id": user, "title": "What was it?"},
    }  # fmt: skip

    await dapr.sidecar("backend-service").publish_event("pubsub", "reminders", event)
    await new_task(dapr, user, remind_at=in_seconds(-60))
    unknown = await dapr.ledger.event(event["id"]).dropped_by("notification-service")
    due = await inbox.next(type=DUE, where=lambda each: (each.data or {}).get("user_id") == user)

    routes = [each.path.rpartition("/")[0] for each in (unknown.attempts[0], due)]
    assert ["/events/reminder", "/events/reminder/due"] == routes
    await dapr.table("dead_letters").row(id=event["id"])
    assert 0 == await dapr.table("notifications").count(event_id=event["id"])


@contextmanager
def being_changed(dapr: AsyncWorld, task: dict[str, Any]) -> Iterator[psycopg.Connection]:
    """A task whose reminder has just become due, locked by a transaction."""
    due = "UPDATE tasks SET remind_at = now(), reminded_for = NULL WHERE id = %s"
    lock = "SELECT reminded_for FROM tasks WHERE id = %s FOR UPDATE"
    with database(dapr) as connection:
        connection.execute(due, [task["id"]])
        connection.autocommit = False
        # If the machine stalls for seconds in between, the check has already sent it.
        while connection.execute(lock, [task["id"]]).fetchone() != (None,):
            connection.execute(due, [task["id"]])
            connection.commit()
        yield connection
        connection.commit()


async def test_a_job_waits_for_a_completion_that_is_being_made(dapr: AsyncWorld) -> None:
    """It sends no reminder for a task that is completed by the time it runs."""
    task = await new_task(dapr, dapr.name("user"), remind_at=in_seconds(3600))
    with being_changed(dapr, task) as connection:
        firing = asyncio.create_task(fire(dapr, task))
        await dapr.eventually(lambda: blocks_somebody(connection), timeout=30)
        connection.execute("UPDATE tasks SET completed = true WHERE id = %s", [task["id"]])

    answer = await firing

    assert (200, False) == (answer.status_code, await was_sent(dapr, task))


async def test_a_task_that_is_being_changed_holds_up_no_overdue_reminder(dapr: AsyncWorld) -> None:
    """It is skipped, and no reminder is sent if it is then completed."""
    user = dapr.name("user")
    changing, other = [await new_task(dapr, user, remind_at=in_seconds(3600)) for _ in range(2)]
    with being_changed(dapr, changing) as connection, database(dapr) as another:
        another.execute("UPDATE tasks SET remind_at = now() WHERE id = %s", [other["id"]])
        await dapr.eventually(lambda: was_sent(dapr, other), timeout=30)
        connection.execute("UPDATE tasks SET completed = true WHERE id = %s", [changing["id"]])

    last = await new_task(dapr, user, remind_at=in_seconds(3600))
    with database(dapr) as connection:
        connection.execute("UPDATE tasks SET remind_at = now() WHERE id = %s", [last["id"]])
    await dapr.eventually(lambda: was_sent(dapr, last), timeout=30)
    assert not await was_sent(dapr, changing)
