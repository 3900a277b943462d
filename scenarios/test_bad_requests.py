"""Responses to invalid requests: problem details that reveal nothing about the implementation."""

from __future__ import annotations

from typing import Any

import pytest

from harness import AsyncWorld
from scenarios.test_series import complete, follower_of
from scenarios.test_task_events import changes, new_task

BODIES: dict[str, dict[str, Any]] = {
    "empty": {},
    "no title": {"title": ""},
    "long title": {"title": "x" * 10_000},
    "null title": {"title": None},
    "long description": {"title": "x", "description": "x" * 10_001},
    "reminder without zone": {"title": "x", "remind_at": "2030-01-31T09:00:00"},
    "due without zone": {"title": "x", "due_at": "2030-01-31T09:00:00"},
    "no time": {"title": "x", "due_at": "tomorrow"},
    "unknown field": {"title": "x", "titel": "y"},
    "somebody else's field": {"title": "x", "completed": True},
    "not an object": {"title": ["x"]},
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_bad_body_is_refused_and_nothing_is_stored(
    dapr: AsyncWorld, body: dict[str, Any]
) -> None:
    """422, with the location of each error, without the input and without a Python traceback."""
    backend, path = dapr.app("backend-service"), f"/api/{dapr.name('user')}/tasks"

    answer = await backend.post(path, json=body)

    problem = answer.json()
    assert (422, "application/problem+json") == (
        answer.status_code, answer.headers["content-type"],
    )  # fmt: skip
    assert {"type", "title", "status", "detail", "instance", "errors"} == set(problem)
    assert (422, path) == (problem["status"], problem["instance"])
    assert all(each["at"].startswith("body") for each in problem["errors"])
    assert "xxx" not in answer.text
    assert "Traceback" not in answer.text
    assert [] == (await backend.get(path)).json()


async def test_a_body_that_is_no_json(dapr: AsyncWorld) -> None:
    """Also 422, with the position of the error."""
    answer = await dapr.app("backend-service").post(
        f"/api/{dapr.name('user')}/tasks",
        content='{"title": ',
        headers={"content-type": "application/json"},
    )

    assert 422 == answer.status_code
    assert "JSON" in answer.json()["errors"][0]["says"]


@pytest.mark.parametrize("verb", ["get", "put", "delete", "post"])
async def test_another_users_task_is_not_there(dapr: AsyncWorld, verb: str) -> None:
    """An unknown user has no tasks, and cannot change another user's."""
    task = await new_task(dapr, dapr.name("user"))
    backend, stranger = dapr.app("backend-service"), dapr.name("stranger")
    path = f"/api/{stranger}/tasks/{task['id']}" + ("/complete" if verb == "post" else "")

    body = {"title": "mine"} if verb == "put" else None
    answer = await backend.request(verb, path, json=body)

    assert (404, "no such task") == (answer.status_code, answer.json()["detail"])
    assert [] == (await backend.get(f"/api/{stranger}/tasks")).json()
    own = f"/api/{task['user_id']}/tasks/{task['id']}"
    assert task["title"] == (await backend.get(own)).json()["title"]
    await backend.delete(own)
    story = changes("created", "deleted")
    await dapr.ledger.published(*story, topic="task-events", subject=task["id"])


async def test_a_path_and_a_verb_that_do_not_exist(dapr: AsyncWorld) -> None:
    """Problem details too, also from the other services."""
    for app in ("backend-service", "notification-service", "recurring-task-service"):
        missing = await dapr.app(app).get("/nowhere")
        wrong = await dapr.app(app).delete("/healthz")

        assert [404, 405] == [missing.status_code, wrong.status_code]
        assert {"application/problem+json"} == {
            missing.headers["content-type"], wrong.headers["content-type"],
        }  # fmt: skip


async def test_a_reminder_of_a_recurring_task_cannot_lose_its_due_time(dapr: AsyncWorld) -> None:
    """A change that would leave a series without a start is a conflict, and nothing is changed."""
    user, backend = dapr.name("user"), dapr.app("backend-service")
    task = await new_task(
        dapr, user, due_at="2030-01-31T09:00:00Z", recurrence={"frequency": "monthly"}
    )
    path = f"/api/{user}/tasks/{task['id']}"

    answer = await backend.put(path, json={"title": "later", "due_at": None})

    assert 409 == answer.status_code
    assert "Buy milk" == (await backend.get(path)).json()["title"]


@pytest.mark.parametrize("name", ["%2e", "%2e%2e", "%2e%2e%2e"])
async def test_a_name_of_dots_alone_is_refused(dapr: AsyncWorld, name: str) -> None:
    """In a path it would be a parent segment: the user's series would end after one task."""
    backend, notifications = dapr.app("backend-service"), dapr.app("notification-service")

    answers = [
        await backend.post(f"/api/{name}/tasks", json={"title": "x"}),
        await backend.get(f"/api/ada/conversations/{name}"),
        await notifications.put(f"/api/{name}/contact", json={}),
    ]

    assert [422] * 3 == [each.status_code for each in answers]
    places = [each.json()["errors"][0]["at"] for each in answers]
    assert ["path/user_id", "path/conversation_id", "path/user_id"] == places


async def test_a_name_with_dots_in_it_is_a_name(dapr: AsyncWorld) -> None:
    """Its series continues like any other."""
    user = f"..{dapr.name('user')}.x"
    task = await new_task(
        dapr, user, due_at="2030-01-31T09:00:00Z", recurrence={"frequency": "daily"}
    )

    await complete(dapr, task)

    assert user == (await follower_of(dapr, task))["user_id"]
