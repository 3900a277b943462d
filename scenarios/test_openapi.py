"""Each service's OpenAPI description, whose examples the service itself accepts."""

from __future__ import annotations

import pytest

from harness import AsyncWorld


@pytest.mark.parametrize(
    ("app", "paths"),
    [
        ("backend-service", {"/api/{user_id}/tasks", "/api/{user_id}/tasks/{task_id}/complete"}),
        ("notification-service", {"/api/{user_id}/notifications", "/api/dead-letters"}),
        ("recurring-task-service", {"/process-completion"}),
    ],
)
async def test_the_description_has_the_api_and_not_daprs_calls(
    dapr: AsyncWorld, app: str, paths: set[str]
) -> None:
    """Routes called by daprd are not for users."""
    described = (await dapr.app(app).get("/openapi.json")).json()

    assert paths <= set(described["paths"])
    assert not any(path.startswith(("/dapr", "/job", "/events")) for path in described["paths"])


async def test_the_example_of_a_task_is_accepted(dapr: AsyncWorld) -> None:
    """Unchanged from the description; and its time remains the same instant."""
    backend, user = dapr.app("backend-service"), dapr.name("user")
    described = (await backend.get("/openapi.json")).json()
    (example,) = described["components"]["schemas"]["NewTask"]["examples"]

    answer = await backend.post(f"/api/{user}/tasks", json=example)

    assert (201, "2030-01-31T08:00:00Z") == (answer.status_code, answer.json()["remind_at"])
