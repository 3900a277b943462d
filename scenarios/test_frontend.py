"""Everything that a browser can reach: the page, the API, and live notifications."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from harness import AsyncWorld

AS_PAGE = {"x-requested-with": "page"}
"""A change without a body needs this header, or an Origin."""


@asynccontextmanager
async def listening(
    dapr: AsyncWorld, user: str, replica: int = 1, kinds: str = "notification"
) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """What is pushed to a user's page on one replica of the frontend, from now on."""
    frontend = dapr.app("frontend", replica=replica)
    async with frontend.stream("GET", f"/live/{user}", timeout=20) as answer:
        lines = answer.aiter_lines()

        async def told() -> AsyncIterator[dict[str, Any]]:
            kind = ""
            async for line in lines:
                name, _, value = line.partition(": ")
                kind = value if name == "event" else kind
                if name == "data" and kind == kinds:
                    yield json.loads(value)

        async for line in lines:
            # A page that has received this misses nothing from here on.
            if line == "event: open":
                break
        yield told()


@pytest.mark.parametrize("user", ["a%5Cb", "%2E%2E", "a%7Cb"])
async def test_a_name_is_refused_with_the_services_own_status(dapr: AsyncWorld, user: str) -> None:
    """Even if the frontend rejects it before the service sees it."""
    page = dapr.app("frontend")
    page.headers.update(AS_PAGE)

    by_frontend = await page.get(f"/api/{user}/tasks")
    directly = await dapr.app("backend-service").get(f"/api/{user}/tasks")

    assert [422, 422] == [by_frontend.status_code, directly.status_code]
    assert "application/problem+json" == by_frontend.headers["content-type"]


async def test_the_api_is_the_backends_own(dapr: AsyncWorld) -> None:
    """Status, body, version and problem details pass through two sidecars unchanged."""
    user, page = dapr.name("user"), dapr.app("frontend")
    page.headers.update(AS_PAGE)

    made = await page.post(f"/api/{user}/tasks", json={"title": "By the page & more"})
    path = f"/api/{user}/tasks/{made.json()['id']}"
    stale = await page.put(path, json={"title": "x"}, headers={"if-match": '"7"'})
    changed = await page.put(path, json={"title": "y"}, headers={"if-match": made.headers["etag"]})
    done = await page.post(f"{path}/complete")
    open_ones = await page.get(f"/api/{user}/tasks", params={"completed": "false"})
    deleted = await page.delete(path)
    missing = await page.get(path)

    assert [201, 412, 200, 200, 200, 204, 404] == [
        each.status_code for each in (made, stale, changed, done, open_ones, deleted, missing)
    ]
    assert [] == open_ones.json()
    assert "application/problem+json" == stale.headers["content-type"]
    assert "no such task" == missing.json()["detail"]


async def test_a_user_with_a_name_that_needs_encoding(dapr: AsyncWorld) -> None:
    """Spaces, plus signs and letters of other alphabets arrive unchanged."""
    name = f"{dapr.name('user')} für ☃ + 1"
    path = httpx.URL("http://x").copy_with(path=f"/api/{name}/tasks").raw_path.decode()

    made = await dapr.app("frontend").post(path, json={"title": "t"})

    assert (201, name) == (made.status_code, made.json()["user_id"])


async def test_a_notification_is_told_as_it_is_made(dapr: AsyncWorld) -> None:
    """To every page of its user, in order, once; and to nobody else's."""
    user, other, page = dapr.name("user"), dapr.name("other"), dapr.app("frontend")
    async with listening(dapr, user) as one, listening(dapr, user) as two:
        await page.post(f"/api/{other}/tasks", json={"title": "not for them"})
        made = await page.post(f"/api/{user}/tasks", json={"title": "Live"})
        await page.delete(f"/api/{user}/tasks/{made.json()['id']}", headers=AS_PAGE)

        for told in (one, two):
            async with asyncio.timeout(20):
                first, second = await anext(told), await anext(told)
            assert ["Task created: Live", "Task deleted: Live"] == [
                first["message"], second["message"],
            ]  # fmt: skip


async def test_a_dialogue_is_told_as_it_comes(dapr: AsyncWorld) -> None:
    """The turn, each tool, the answer, in order; to its user's pages only."""
    user, other, page = dapr.name("user"), dapr.name("other"), dapr.app("frontend")
    async with listening(dapr, user, kinds="chat") as told:
        await page.post(f"/api/{other}/chat", json={"text": "add milk"})
        answer = await page.post(f"/api/{user}/chat", json={"text": "complete milk"})
        async with asyncio.timeout(20):
            found = [await anext(told) for _ in range(3)]

    assert 201 == answer.status_code
    assert [("said", None), ("working", "list_tasks"), ("said", None)] == [
        (each["what"], each.get("tool")) for each in found
    ]
    assert {(user, "page")} == {(each["user_id"], each["conversation"]) for each in found}


async def test_a_notification_delivered_twice_is_told_once(dapr: AsyncWorld) -> None:
    """The second delivery creates no notification, so nothing is pushed."""
    user, inbox = dapr.name("user"), dapr.inbox("notification-service")
    await inbox.fail_next("/events/task", contains=user, times=1, after=True)
    updates = dapr.topic("task-updates")
    async with listening(dapr, user) as told:
        await dapr.app("frontend").post(f"/api/{user}/tasks", json={"title": "Once"})
        event = dapr.ledger.event(topic="task-events", data={"user_id": user})
        await event.delivered_to("notification-service", attempts=2)
        barrier = await dapr.app("frontend").post(f"/api/{user}/tasks", json={"title": "Then"})
        async with asyncio.timeout(20):
            messages = [(await anext(told))["message"] for _ in range(2)]

    assert ["Task created: Once", "Task created: Then"] == messages
    await updates.next(subject=barrier.json()["id"])
    assert 2 == len(await updates.all(where=lambda each: each.data["user_id"] == user))


async def test_a_page_that_has_gone_is_forgotten(dapr: AsyncWorld) -> None:
    """Its notifications are in the list when it reconnects."""
    user, page = dapr.name("user"), dapr.app("frontend")
    async with listening(dapr, user):
        pass
    await page.post(f"/api/{user}/tasks", json={"title": "Meanwhile"})

    async def listed() -> list[str]:
        rows = (await page.get(f"/api/{user}/notifications")).json()
        assert rows
        return [row["message"] for row in rows]

    assert ["Task created: Meanwhile"] == await dapr.eventually(listed)


@pytest.mark.parametrize("path", ["/", "/page.js", "/chat.js", "/style.css"])
async def test_the_page_is_served(dapr: AsyncWorld, path: str) -> None:
    """With all its files; nothing is loaded from another origin."""
    answer = await dapr.app("frontend").get(path)

    assert 200 == answer.status_code
    assert "http://" not in answer.text
    assert "https://" not in answer.text


async def test_what_is_not_a_notification_is_dropped(dapr: AsyncWorld) -> None:
    """Invalid messages on the topic stop nothing."""
    user = dapr.name("user")
    garbage = {"specversion": "1.0", "id": dapr.name("event"), "source": "s", "type": "t",
               "data": "no object"}  # fmt: skip
    await dapr.sidecar("backend-service").publish_event("pubsub", "task-updates", garbage)

    await dapr.ledger.event(garbage["id"]).dropped_by("frontend")
    async with listening(dapr, user) as told:
        await dapr.app("frontend").post(f"/api/{user}/tasks", json={"title": "After"})
        async with asyncio.timeout(20):
            assert "Task created: After" == (await anext(told))["message"]
