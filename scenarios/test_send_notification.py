"""A service notifies a user by invocation of another: ``POST /send-notification``."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from harness import AsyncWorld

APP = "notification-service"
KIND = "com.taskmanager.notification.sent"


async def send(dapr: AsyncWorld, by: str = "backend-service", **body: Any) -> httpx.Response:
    """The invocation, from another app's sidecar."""
    return await dapr.sidecar(by).invoke(APP, "send-notification", json=body)


async def test_a_service_notifies_a_user_by_invocation(dapr: AsyncWorld) -> None:
    """On the list, on open pages, and by webhook, like any other notification."""
    user = dapr.name("ada")
    await dapr.app(APP).put(f"/api/{user}/contact", json={"webhook": True})

    answer = await send(dapr, user_id=user, message="Your import is complete")

    made = answer.json()
    assert (201, KIND, "Your import is complete") == (
        answer.status_code, made["kind"], made["message"],
    )  # fmt: skip
    assert [made] == (await dapr.app(APP).get(f"/api/{user}/notifications")).json()
    update = await dapr.ledger.event(topic="task-updates", data={"user_id": user}).path()
    assert made["event_id"] == update.data["event_id"]
    called = await dapr.inbox("receiver").next(path=f"/webhooks/{user}")
    assert made["event_id"] == called.data["event_id"]


async def test_a_request_that_is_repeated_with_its_id_notifies_once(dapr: AsyncWorld) -> None:
    """Also at the same moment; the id belongs to the user."""
    user, other = dapr.name("ada"), dapr.name("bob")
    body = {"message": "Once", "id": dapr.id}

    answers = await asyncio.gather(*(send(dapr, user_id=user, **body) for _ in range(5)))
    again = await send(dapr, user_id=user, **{**body, "message": "Twice"})
    others = await send(dapr, user_id=other, **body)

    assert [200] * 4 + [201] == sorted(each.status_code for each in answers)
    assert [answers[0].json()] * 6 == [each.json() for each in (*answers, again)]
    assert (201, 1) == (
        others.status_code,
        await dapr.table("notifications").count(user_id=user),
    )


async def test_requests_without_an_id_are_different_ones(dapr: AsyncWorld) -> None:
    """Nothing says that they are the same."""
    user = dapr.name("ada")

    answers = [await send(dapr, user_id=user, message="Ping") for _ in range(2)]

    assert [201, 201] == [each.status_code for each in answers]
    assert 2 == await dapr.table("notifications").count(user_id=user)


async def test_only_services_send_notifications(dapr: AsyncWorld) -> None:
    """The page's service is reached by users, who cannot notify others."""
    user = dapr.name("ada")
    body = {"user_id": user, "message": "Click here"}

    page = await send(dapr, "frontend", **body)
    nobody = await dapr.app(APP).post("/send-notification", json=body)
    browser = await dapr.app("frontend").post("/send-notification", json=body)

    # The page's service answers all other paths from its static files, which are read-only.
    assert [403, 401, 405] == [each.status_code for each in (page, nobody, browser)]
    assert 0 == await dapr.table("notifications").count(user_id=user)


@pytest.mark.parametrize(
    "wrong",
    [{"message": ""}, {"message": "a\0b"}, {"message": "x" * 1001}, {"message": None},
     {"id": "a|b"}, {"id": "x" * 65}, {"task_id": "a/b"}, {"user_id": "a/b"}, {"kind": "x"}],
    ids=lambda wrong: next(iter(wrong)) if isinstance(wrong, dict) else None,
)  # fmt: skip
async def test_what_is_no_notification_is_refused(dapr: AsyncWorld, wrong: dict[str, Any]) -> None:
    """422, with the field."""
    user = dapr.name("ada")

    answer = await send(dapr, **{"user_id": user, "message": "m", **wrong})

    assert (422, f"body/{next(iter(wrong))}") == (
        answer.status_code,
        answer.json()["errors"][0]["at"],
    )
    assert 0 == await dapr.table("notifications").count(user_id=user)
