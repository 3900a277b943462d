"""Each service's OpenAPI description, whose examples the service itself accepts."""

from __future__ import annotations

from typing import Any

import pytest

from harness import AsyncWorld
from scenarios.test_task_events import changes

APPS = ("backend-service", "notification-service", "recurring-task-service")

TASK = "/api/{user_id}/tasks/{task_id}"
OPERATIONS: dict[str, dict[str, tuple[str | None, str]]] = {
    "backend-service": {
        "GET /api/{user_id}/tasks": (None, "200"),
        "POST /api/{user_id}/tasks": ("NewTask", "201"),
        f"GET {TASK}": (None, "200"),
        f"PUT {TASK}": ("TaskChange", "200"),
        f"DELETE {TASK}": (None, "204"),
        f"POST {TASK}/complete": (None, "200"),
        "POST /api/{user_id}/chat": ("Said", "201"),
    },
    "notification-service": {
        "GET /api/{user_id}/notifications": (None, "200"),
        "GET /api/{user_id}/contact": (None, "200"),
        "PUT /api/{user_id}/contact": ("Contact", "200"),
        "GET /api/dead-letters": (None, "200"),
        "POST /send-notification": ("NewNotification", "201"),
    },
    "recurring-task-service": {"POST /process-completion": ("CompletedTask", "200")},
}
"""Operations for users, by what each takes and the status of its success."""


def operations(described: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By method and path."""
    return {
        f"{method.upper()} {path}": operation
        for path, item in described["paths"].items()
        for method, operation in item.items()
        if method in {"get", "post", "put", "delete", "patch"}
    }


@pytest.mark.parametrize("app", APPS)
async def test_the_description_has_each_operation_with_its_body_and_its_answer(
    dapr: AsyncWorld, app: str
) -> None:
    """Its success has the status that it is given, and a schema unless it has no body."""
    found = operations((await dapr.app(app).get("/openapi.json")).json())

    for name, (body, status) in OPERATIONS[app].items():
        operation = found[name]
        taken = _schema(operation.get("requestBody", {})).get("$ref", "").rpartition("/")[2]
        assert (body or "") == taken
        assert bool(_schema(operation["responses"][status])) == (status != "204")


@pytest.mark.parametrize("app", APPS)
async def test_every_operation_is_described_with_its_errors_as_problem_details(
    dapr: AsyncWorld, app: str
) -> None:
    """A summary for each, and the same shape for each error."""
    found = operations((await dapr.app(app).get("/openapi.json")).json())

    assert [] == [name for name, each in found.items() if not each.get("summary")]
    kinds: set[str] = {
        kind
        for name, each in found.items()
        for status, answer in each["responses"].items()
        if status >= "400"
        for kind in answer.get("content", {"nothing": None})
    }
    assert {"application/problem+json"} == kinds


@pytest.mark.parametrize("app", APPS)
async def test_the_description_does_not_have_the_calls_of_daprd(dapr: AsyncWorld, app: str) -> None:
    """Routes called by daprd are not for users."""
    described = (await dapr.app(app).get("/openapi.json")).json()

    bindings = ("/reminder-cron", "/daily-cleanup")
    own = ("/dapr", "/job", "/events", *bindings)
    assert not any(path.startswith(own) for path in described["paths"])


def _schema(part: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = part.get("content", {}).get("application/json", {}).get("schema", {})
    return found


async def test_the_example_of_a_task_is_accepted(dapr: AsyncWorld) -> None:
    """Unchanged from the description; and its time remains the same instant."""
    backend, user = dapr.app("backend-service"), dapr.name("user")
    described = (await backend.get("/openapi.json")).json()
    (example,) = described["components"]["schemas"]["NewTask"]["examples"]

    answer = await backend.post(f"/api/{user}/tasks", json=example)

    assert (201, "2030-01-31T08:00:00Z") == (answer.status_code, answer.json()["remind_at"])
    await dapr.ledger.published(*changes("created"), data={"user_id": user}, topic="task-events")
