"""What recurring-task-service does with a completion that it cannot follow up."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import Request

from services.recurring_task_service import app as service
from services.recurring_task_service.app import DROP, CompletedTask, Following


def task(number: int) -> dict[str, Any]:
    """A completed one."""
    return {"id": f"t{number}", "user_id": "ada", "completed_at": "2030-01-31T10:00:00Z"}


def status_error(code: int) -> httpx.HTTPStatusError:
    """What an answer of the backend becomes."""
    answer = httpx.Response(code, request=httpx.Request("POST", "http://backend"))
    return httpx.HTTPStatusError("no", request=answer.request, response=answer)


async def test_a_failing_repair_does_not_stop_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first of three fails; the repair does the others and says how many."""
    followed = []

    async def waiting(*_: Any, **__: Any) -> httpx.Response:
        request = httpx.Request("GET", "http://backend")
        return httpx.Response(200, json=[task(each) for each in range(3)], request=request)

    async def follow(each: CompletedTask) -> Following:
        if each.id == "t0":
            raise ValueError("no rule")
        followed.append(each.id)
        return Following()

    monkeypatch.setattr(service, "invoke", waiting)
    monkeypatch.setattr(service, "follow", follow)

    assert {"repaired": 2} == await service.repair(30)
    assert ["t1", "t2"] == followed


@pytest.mark.parametrize(
    ("error", "dropped"),
    [
        (ValueError("no rule"), True),
        (status_error(422), True),
        (status_error(503), False),
        (httpx.ConnectError("away"), False),
    ],
    ids=["a defect", "refused", "the backend fails", "the sidecar is away"],
)
async def test_only_temporary_errors_are_retried(
    monkeypatch: pytest.MonkeyPatch, error: Exception, dropped: bool
) -> None:
    """Anything else would fail each time, and hold up its partition."""

    async def body() -> dict[str, Any]:
        return {}

    async def follow(_: CompletedTask) -> Following:
        raise error

    request = Request({"type": "http"})
    monkeypatch.setattr(request, "json", body)
    monkeypatch.setattr(service, "_read", lambda _event: CompletedTask.model_validate(task(1)))
    monkeypatch.setattr(service, "follow", follow)

    if dropped:
        assert DROP == await service.completed(request)
    else:
        with pytest.raises(type(error)):
            await service.completed(request)
