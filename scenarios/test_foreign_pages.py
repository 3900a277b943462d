"""A foreign page, or a crafted path, reaches nothing through the page's service.

The tests write bytes to a socket, because every HTTP client normalizes paths before it sends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

import pytest

from harness import AsyncWorld
from scenarios.signing import sign
from scenarios.test_frontend import AS_PAGE
from scenarios.test_series import DAILY, TOMORROW
from scenarios.test_task_events import changes, new_task

pytestmark = pytest.mark.any_runtime

JSON = {"content-type": "application/json", **AS_PAGE}
UP = 7
"""Levels from /v1.0/invoke/backend-service/method/api/USER/tasks to the root of the sidecar."""

STEPS = {
    "as is": "../",
    "an encoded slash": "..%2f",
    "encoded dots": "%2e%2e/",
    "all encoded": "%2e%2e%2F",
    "encoded twice": "%252e%252e%252f",
    "a backslash": "..%5c",
    "with a name between": "x/../../",
}

A_NAME = (STEPS["encoded twice"], STEPS["a backslash"])
"""Steps that stay in their segment, which is then a name that no task can have."""


async def send(
    dapr: AsyncWorld, method: str, path: str, body: str = "", **headers: str
) -> tuple[int, str]:
    """Status and body of a request to the page's service, with its path unchanged.

    The user in the path is signed in, as in the browser that shows a foreign page.
    """
    where = dapr.address("frontend")
    fields = {"host": str(where), "connection": "close", "content-length": str(len(body.encode()))}
    signed = sign(path, dapr.token)
    lines = [f"{name}: {value}" for name, value in {**fields, **signed, **headers}.items()]
    request = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", body])
    reader, writer = await asyncio.open_connection(where.host, where.port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(20):
            answer = (await reader.read()).decode(errors="replace")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return int(answer.split()[1]), answer


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("start", ["tasks/", "tasks/x/", "tasks", "conversations/c/", "contact/"])
async def test_a_path_does_not_lead_out_of_its_operation(
    dapr: AsyncWorld, start: str, step: str
) -> None:
    """Neither to the sidecar's own API nor to other routes of a service."""
    user = dapr.name("user")
    for up in range(1, UP + 2):
        path = f"/api/{user}/{start}{step * up}"
        for target in ("v1.0/metadata", "series/waiting", "api/dead-letters", "healthz"):
            status, answer = await send(dapr, "GET", f"{path}{target}", **JSON)

            is_name = start == "tasks/" and step in A_NAME and "/" not in target
            assert (422 if is_name else 404) == status, (path, target, answer)
            assert "runtimeVersion" not in answer


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_a_notification_cannot_be_forged(dapr: AsyncWorld, step: str) -> None:
    """By publishing, through another service's own route for events, or by an import."""
    user = dapr.name("user")
    event = {
        "specversion": "1.0", "id": dapr.name("event"), "source": "s",
        "type": "com.taskmanager.task.created",
        "data": {"user_id": user, "task_id": "t", "title": "forged"},
    }  # fmt: skip
    kind = {**JSON, "content-type": "application/cloudevents+json"}
    for up in range(2, UP + 1):
        for target in (
            "v1.0/publish/pubsub/task-events",
            "publish/pubsub/task-events",
            "v1.0/invoke/notification-service/method/events/task",
            "notification-service/method/events/task",
            "events/task",
            "events/imports",
            "process-completion",
        ):
            path = f"/api/{user}/tasks/{step * up}{target}"
            status, answer = await send(dapr, "POST", path, json.dumps(event), **kind)
            assert 405 == status, (path, answer)
    await new_task(dapr, user, title="Mine")

    created, made = await dapr.ledger.published(
        *changes("created"), "com.taskmanager.notification.made", data={"user_id": user}
    )
    assert ("Mine", "Task created: Mine") == (created.data["task"]["title"], made.data["message"])


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_the_sidecar_cannot_be_ended(dapr: AsyncWorld, step: str) -> None:
    """It still serves afterwards."""
    user = dapr.name("user")
    for up in range(1, UP + 2):
        for target in ("v1.0/shutdown", "shutdown"):
            path = f"/api/{user}/tasks/{step * up}{target}"
            status, answer = await send(dapr, "POST", path, "{}", **JSON)
            assert 405 == status, (path, answer)

    assert 200 == (await dapr.app("frontend").get(f"/api/{user}/tasks")).status_code


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
async def test_another_users_series_cannot_be_read(dapr: AsyncWorld, step: str) -> None:
    """Nor the user's tasks, with a path that begins with one's own name."""
    secret, due = dapr.name("secret"), TOMORROW.isoformat()
    task = await new_task(dapr, dapr.name("victim"), title=secret, due_at=due, recurrence=DAILY)
    user = dapr.name("user")
    for up in range(1, UP):
        for target in (
            "series/waiting?seconds=0",
            f"{task['user_id']}/tasks",
            f"api/{task['user_id']}/tasks",
            f"{task['user_id']}/tasks/{task['id']}",
        ):
            path = f"/api/{user}/tasks/{step * up}{target}"
            status, answer = await send(dapr, "GET", path, **JSON)
            assert 404 == status, (path, answer)
            assert secret not in answer


CHANGES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "tasks", {"title": "forged"}),
    ("PUT", "tasks/{id}", {"title": "forged"}),
    ("DELETE", "tasks/{id}", {}),
    ("POST", "tasks/{id}/complete", {}),
    ("POST", "conversations/c/messages", {"role": "user", "text": "forged"}),
    ("PUT", "contact", {"email": "forged@example.org"}),
]


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "text/plain", "origin": "https://evil.example"},
        {**JSON, "origin": "http://127.0.0.1:9"},
        {**JSON, "origin": "null"},
        {**JSON, "sec-fetch-site": "cross-site"},
        {**JSON, "host": "evil.example"},
    ],
    ids=["no preflight", "another site", "another port", "sandboxed", "as browsers say", "rebound"],
)
async def test_a_foreign_page_changes_nothing(dapr: AsyncWorld, headers: dict[str, str]) -> None:
    """Tries each change that the page itself may request; afterwards everything is unchanged."""
    user, page = dapr.name("user"), dapr.app("frontend")
    task = await new_task(dapr, user, title="Mine")

    for method, path, body in CHANGES:
        where = f"/api/{user}/{path.format(id=task['id'])}"
        status, answer = await send(dapr, method, where, json.dumps(body), **headers)
        assert 403 == status, (where, answer)

    (left,) = (await page.get(f"/api/{user}/tasks")).json()
    assert (task["title"], task["version"]) == (left["title"], left["version"])
    assert 404 == (await page.get(f"/api/{user}/conversations/c")).status_code
    assert (await page.get(f"/api/{user}/contact")).json()["email"] is None


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
    ids=["another site", "as browsers say", "rebound"],
)
@pytest.mark.parametrize("path", ["/live/{user}", "/api/{user}/tasks", "/api/{user}/notifications"])
async def test_a_foreign_page_reads_nothing(
    dapr: AsyncWorld, path: str, headers: dict[str, str]
) -> None:
    """Neither existing data nor new notifications."""
    status, answer = await send(dapr, "GET", path.format(user=dapr.name("user")), **headers)

    assert 403 == status, answer
