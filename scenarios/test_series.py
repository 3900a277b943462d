"""A completed task of a series gets one next occurrence, even after repeated deliveries."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from harness import AsyncWorld, DaprError
from harness.stack.aquestions import AsyncTrackedEvent
from scenarios.test_task_events import new_task

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).replace(microsecond=0)
DAILY = {"frequency": "daily"}


async def tasks_of(dapr: AsyncWorld, user: str) -> list[dict[str, Any]]:
    """All tasks of a user."""
    answer = await dapr.app("backend-service").get(f"/api/{user}/tasks")
    rows: list[dict[str, Any]] = answer.raise_for_status().json()
    return rows


async def complete(dapr: AsyncWorld, task: dict[str, Any]) -> dict[str, Any]:
    """Complete a task."""
    path = f"/api/{task['user_id']}/tasks/{task['id']}/complete"
    answer = await dapr.app("backend-service").post(path)
    done: dict[str, Any] = answer.raise_for_status().json()
    return done


async def follower_of(dapr: AsyncWorld, task: dict[str, Any]) -> dict[str, Any]:
    """The next occurrence, once it exists."""

    async def made() -> dict[str, Any]:
        tasks = await tasks_of(dapr, task["user_id"])
        found = [each for each in tasks if each["follows"] == task["id"]]
        assert 1 == len(found)
        return found[0]

    return await dapr.eventually(made)


async def has_job(dapr: AsyncWorld, task_id: str) -> bool:
    """Whether the scheduler has the job of a task's reminder."""
    try:
        await dapr.sidecar("backend-service").get_job(f"reminder-task-{task_id}")
    except DaprError:
        return False
    return True


async def test_a_completed_daily_task_appears_again_for_the_next_day(dapr: AsyncWorld) -> None:
    """With its texts, its series and its reminder at the same interval; it can be completed too."""
    remind = TOMORROW - timedelta(hours=1)
    first = await new_task(
        dapr, dapr.name("user"), title="Water the plants", description="All of them",
        due_at=TOMORROW.isoformat(), remind_at=remind.isoformat(), recurrence=DAILY,
    )  # fmt: skip

    await complete(dapr, first)
    second = await follower_of(dapr, first)
    await complete(dapr, second)
    third = await follower_of(dapr, second)

    days = [datetime.fromisoformat(task["due_at"]) for task in (first, second, third)]
    assert [TOMORROW + timedelta(days=n) for n in range(3)] == days
    assert remind + timedelta(days=1) == datetime.fromisoformat(second["remind_at"])
    assert ("Water the plants", False) == (second["title"], second["completed"])
    assert "All of them" == second["description"] == third["description"]
    assert first["recurrence"] == third["recurrence"]

    async def scheduled() -> None:
        assert await has_job(dapr, third["id"])

    await dapr.eventually(scheduled)


def completion_of(dapr: AsyncWorld, user: str) -> AsyncTrackedEvent:
    """The event of the one task that a user has completed."""
    return dapr.ledger.event(type="com.taskmanager.task.completed", data={"user_id": user})


async def test_a_completion_that_is_delivered_again_makes_nothing_more(dapr: AsyncWorld) -> None:
    """The next occurrence was created, the acknowledgement lost: delivered twice, created once."""
    inbox, user = dapr.inbox("recurring-task-service"), dapr.name("user")
    await inbox.fail_next("/events/completed", contains=user, times=1, after=True)
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat(), recurrence=DAILY)

    await complete(dapr, task)
    path = await completion_of(dapr, user).delivered_to("recurring-task-service", attempts=2)

    attempts = path.attempts_of("recurring-task-service")
    assert ["after", ""] == [each.failed for each in attempts]
    assert 2 == len(await tasks_of(dapr, user))


async def test_only_completions_reach_the_service(dapr: AsyncWorld) -> None:
    """The subscription's rule routes; the sidecar drops events that match no rule."""
    inbox, user = dapr.inbox("recurring-task-service"), dapr.name("user")
    task = await new_task(dapr, user)
    await complete(dapr, task)

    delivery = await inbox.next(where=lambda each: (each.data or {}).get("user_id") == user)

    assert "com.taskmanager.task.completed" == delivery.type


async def test_a_task_without_a_series_has_no_next_occurrence(dapr: AsyncWorld) -> None:
    """The completion is acknowledged, and nothing is created."""
    user = dapr.name("user")
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat())

    await complete(dapr, task)

    await completion_of(dapr, user).delivered_to("recurring-task-service", attempts=1)
    assert 1 == len(await tasks_of(dapr, user))


@pytest.mark.parametrize("end", [{"count": 1}, {"until": TOMORROW.isoformat()}])
async def test_a_series_that_is_over_makes_nothing(dapr: AsyncWorld, end: dict[str, Any]) -> None:
    """This is recorded, so that the safety net does not retry forever."""
    user = dapr.name("user")
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat(), recurrence={**DAILY, **end})

    await complete(dapr, task)

    await completion_of(dapr, user).delivered_to("recurring-task-service", attempts=1)
    assert 1 == len(await tasks_of(dapr, user))
    (row,) = await dapr.table("tasks").rows(id=task["id"])
    assert row["series_over"] is True


async def test_a_deleted_task_has_no_next_occurrence(dapr: AsyncWorld) -> None:
    """Deleted before the completion was processed: acknowledged, and not retried forever."""
    inbox, user = dapr.inbox("recurring-task-service"), dapr.name("user")
    await inbox.fail_next("/events/completed", contains=user, times=2)
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat(), recurrence=DAILY)

    await complete(dapr, task)
    await inbox.next(where=lambda each: (each.data or {}).get("user_id") == user)
    await dapr.app("backend-service").delete(f"/api/{user}/tasks/{task['id']}")

    await completion_of(dapr, user).delivered_to("recurring-task-service", attempts=3)
    assert [] == await tasks_of(dapr, user)


async def test_a_completion_can_be_processed_by_invocation(dapr: AsyncWorld) -> None:
    """``POST /process-completion`` does the event's work; the event then finds it done."""
    user, sidecar = dapr.name("user"), dapr.sidecar("backend-service")
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat(), recurrence=DAILY)
    done = await complete(dapr, task)

    answer = await sidecar.invoke("recurring-task-service", "process-completion", json=done)

    following = await follower_of(dapr, task)
    assert (200, following["id"]) == (answer.status_code, answer.json()["task_id"])


async def test_the_safety_net_repairs_what_no_event_has_done(dapr: AsyncWorld) -> None:
    """A completion whose event never came: found and repaired when the job fires."""
    user = dapr.name("user")
    task = await new_task(dapr, user, due_at=TOMORROW.isoformat(), recurrence=DAILY)
    with psycopg.connect(dapr.exports("postgres")["dsn"]) as connection:
        change = "UPDATE tasks SET completed = true, completed_at = now() WHERE id = %s"
        connection.execute(change, [task["id"]])

    answer = await dapr.app("recurring-task-service").post(
        "/job/repair-series",
        params={"seconds": 0},
        headers={"dapr-api-token": dapr.token("app-api")},
    )

    assert answer.json()["repaired"] >= 1
    following = await follower_of(dapr, task)
    assert TOMORROW + timedelta(days=1) == datetime.fromisoformat(following["due_at"])


async def test_only_sidecars_make_next_occurrences(dapr: AsyncWorld) -> None:
    """Neither the backend's route nor the service's responds to other callers."""
    user = dapr.name("user")
    body = {"due_at": TOMORROW.isoformat()}

    next_one = await dapr.app("backend-service").post(f"/api/{user}/tasks/x/next", json=body)
    waiting = await dapr.app("backend-service").get("/series/waiting")
    repair = await dapr.app("recurring-task-service").post("/job/repair-series")

    assert {401} == {next_one.status_code, waiting.status_code, repair.status_code}


@pytest.mark.parametrize(
    "recurrence",
    [
        {"frequency": "hourly"},
        {"frequency": "daily", "interval": 0},
        {"frequency": "daily", "weekdays": ["mo"]},
        {"frequency": "weekly", "weekdays": ["monday"]},
        {"frequency": "daily", "timezone": "Mars/Olympus"},
        {"frequency": "daily", "until": "2030-01-01T00:00:00"},
        {"frequency": "daily", "every": 2},
    ],
    ids=["frequency", "interval", "weekdays of days", "weekday", "zone", "until", "unknown"],
)
async def test_a_series_that_makes_no_sense_is_refused(
    dapr: AsyncWorld, recurrence: dict[str, Any]
) -> None:
    """422, with the field; also for a series without a time to start from."""
    backend, path = dapr.app("backend-service"), f"/api/{dapr.name('user')}/tasks"
    body = {"title": "x", "due_at": TOMORROW.isoformat(), "recurrence": recurrence}

    refused = await backend.post(path, json=body)
    timeless = await backend.post(path, json={"title": "x", "recurrence": DAILY})

    assert 422 == refused.status_code
    assert "recurrence" in refused.json()["errors"][0]["at"]
    assert 422 == timeless.status_code
    assert "due_at" in timeless.json()["errors"][0]["says"]
    assert [] == (await backend.get(path)).json()
