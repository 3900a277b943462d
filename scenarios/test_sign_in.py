"""Users reach their own data only: by the API, MCP, live updates and the assistant."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from schemathesis import GenerationMode

from harness import AsyncWorld, Settings, Stack, World, running
from harness.ready.loopback import aclient
from scenarios.signing import PURPOSE, bearer
from scenarios.test_frontend import AS_PAGE, listening
from scenarios.test_mcp import mcp_client, tools
from scenarios.test_schemathesis import Calls, schema_of, send_all
from scenarios.test_series import DAILY, TOMORROW
from scenarios.test_task_events import changes, new_task
from scenarios.topology import todo

ROOT = Path(__file__).parent.parent
BACKEND, FRONTEND, NOTIFICATIONS = "backend-service", "frontend", "notification-service"
USERS_OWN: list[tuple[str, str, str, dict[str, Any] | None]] = [
    (BACKEND, "GET", "tasks", None),
    (BACKEND, "POST", "tasks", {"title": "forged"}),
    (BACKEND, "GET", "tasks/{id}", None),
    (BACKEND, "PUT", "tasks/{id}", {"title": "forged"}),
    (BACKEND, "POST", "tasks/{id}/complete", None),
    (BACKEND, "DELETE", "tasks/{id}", None),
    (BACKEND, "GET", "conversations/page", None),
    (BACKEND, "POST", "conversations/page/messages", {"role": "user", "text": "forged"}),
    (BACKEND, "POST", "chat", {"text": "add forged"}),
    (NOTIFICATIONS, "GET", "notifications", None),
    (NOTIFICATIONS, "GET", "contact", None),
    (NOTIFICATIONS, "PUT", "contact", {"email": "forged@example.org"}),
]
"""Everything that the page's service forwards: service, method, path, body."""


@pytest_asyncio.fixture
async def victim(dapr: AsyncWorld) -> AsyncIterator[dict[str, Any]]:
    """A task of somebody who has talked to the assistant; nobody else changes any of it."""
    name = dapr.name("ada")
    task = await new_task(dapr, name, title="Ada's", due_at=TOMORROW.isoformat(), recurrence=DAILY)
    backend, page = dapr.app(BACKEND), dapr.app(FRONTEND)
    said = await backend.post(f"/api/{name}/chat", json={"text": "what do I have to do?"})
    talk, contact = f"/api/{name}/conversations/page", f"/api/{name}/contact"
    before = (await backend.get(talk)).text
    assert 201 == said.status_code

    yield task

    (left,) = (await backend.get(f"/api/{name}/tasks")).json()
    assert task == left
    assert before == (await backend.get(talk)).text
    assert (await page.get(contact)).json()["email"] is None


@pytest.mark.parametrize("way", ["directly", "by the page", "by another app"])
async def test_another_user_and_a_stranger_reach_nothing_of_a_user(
    dapr: AsyncWorld, victim: dict[str, Any], way: str
) -> None:
    """Every operation, with a body that would be accepted: 403, and 401 without a token."""
    mallory = bearer(dapr.token(PURPOSE), dapr.name("mallory"))
    for app, method, path, body in USERS_OWN:
        where = f"/api/{victim['user_id']}/{path.format(id=victim['id'])}"
        for headers, status in ((mallory, 403), ({}, 401)):
            async with unsigned(dapr, way, app) as client:
                sent = {**AS_PAGE, **headers}
                answer = await client.request(method, where, json=body, headers=sent)

            assert (path, status) == (path, answer.status_code)
            assert "application/problem+json" == answer.headers["content-type"]
            assert "Ada's" not in answer.text


def unsigned(dapr: AsyncWorld, way: str, app: str) -> httpx.AsyncClient:
    """A way to an app whose requests have the headers that are given, and no others."""
    if way == "by another app":
        endpoint, token = dapr.sidecar_address("recurring-task-service")
        return aclient(f"{endpoint.http}/v1.0/invoke/{app}/method", token=token)
    return aclient(dapr.url(FRONTEND if way == "by the page" else app))


async def test_another_users_id_in_the_own_path_finds_nothing(
    dapr: AsyncWorld, victim: dict[str, Any]
) -> None:
    """As if the task did not exist; by the assistant, too."""
    mallory, backend = dapr.name("mallory"), dapr.app(BACKEND)
    path = f"/api/{mallory}/tasks/{victim['id']}"

    answers = [
        await backend.get(path),
        await backend.put(path, json={"title": "forged"}),
        await backend.post(f"{path}/complete"),
        await backend.delete(path),
    ]
    said = await backend.post(f"/api/{mallory}/chat", json={"text": f"delete {victim['id']}"})

    assert [404] * 4 == [each.status_code for each in answers]
    assert "Ada's" not in said.text
    await dapr.ledger.published(*changes("created"), topic="task-events", subject=victim["id"])


async def test_no_tool_reaches_the_tasks_of_another_user(
    dapr: AsyncWorld, victim: dict[str, Any]
) -> None:
    """Whatever user its arguments name."""
    known = {"user_id": victim["user_id"], "task_id": victim["id"], "title": "forged"}
    async with tools(dapr, dapr.name("mallory")) as tool:
        for each in (await tool.client.list_tools()).tools:
            names = set(each.input_schema["properties"])
            said = {name: value for name, value in known.items() if name in names}
            if "remind_at" in each.input_schema["required"]:
                said["remind_at"] = None
            result = await tool.client.call_tool(each.name, said)

            assert result.is_error, each.name
            assert "another user" in str(result.content), each.name


async def test_tools_of_two_users_at_once_stay_apart(dapr: AsyncWorld) -> None:
    """Many calls at the same time, each of them for its own client's user."""
    ada, bob = dapr.name("ada"), dapr.name("bob")
    async with tools(dapr, ada) as one, tools(dapr, bob) as two:
        calls = [
            (own is tool, tool.client.call_tool("list_tasks", {"user_id": user}))
            for _ in range(10)
            for own, user in ((one, ada), (two, bob))
            for tool in (one, two)
        ]
        results = await asyncio.gather(*(call for _, call in calls))

    assert [not own for own, _ in calls] == [each.is_error for each in results]


async def test_mcp_without_a_token_is_refused(dapr: AsyncWorld) -> None:
    """By the status of HTTP, as the specification of MCP requires it."""
    async with aclient(dapr.url(BACKEND)) as stranger:
        answer = await stranger.post("/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "ping"})

    assert (401, "Bearer") == (answer.status_code, answer.headers["www-authenticate"])


async def test_nobody_listens_to_another_user(dapr: AsyncWorld) -> None:
    """Neither with a token of their own nor without one."""
    async with asyncio.timeout(20), aclient(dapr.url(FRONTEND)) as client:
        path, own = f"/live/{dapr.name('ada')}", bearer(dapr.token(PURPOSE), dapr.name("mallory"))
        answers = [await client.get(path, headers=each) for each in (own, {})]

    assert [403, 401] == [each.status_code for each in answers]


async def test_a_stream_ends_with_its_session(dapr: AsyncWorld) -> None:
    """The page then asks again, and is told to sign in."""
    user, soon = dapr.name("ada"), datetime.now(UTC) + timedelta(seconds=2)
    headers = bearer(dapr.token(PURPOSE), user, exp=soon)
    async with (
        asyncio.timeout(20),
        aclient(dapr.url(FRONTEND)) as client,
        client.stream("GET", f"/live/{user}", headers=headers) as answer,
    ):
        lines = [line async for line in answer.aiter_lines()]

    assert datetime.now(UTC) >= soon - timedelta(seconds=1)
    assert "event: open" in lines


async def test_an_expired_session_is_refused_by_page_and_service(dapr: AsyncWorld) -> None:
    """With the reason, which the page's service passes on."""
    user, past = dapr.name("ada"), datetime.now(UTC) - timedelta(minutes=1)
    headers = bearer(dapr.token(PURPOSE), user, exp=past)

    answers = [
        await dapr.app(each).get(f"/api/{user}/tasks", headers=headers)
        for each in (FRONTEND, BACKEND)
    ]

    assert [401, 401] == [each.status_code for each in answers]
    assert {"the token has expired: sign in again"} == {each.json()["detail"] for each in answers}


async def test_a_cookie_of_the_page_opens_the_own_tasks(dapr: AsyncWorld) -> None:
    """Signed in, used, and signed out, as a browser does it."""
    user = dapr.name("ada")
    async with aclient(dapr.url(FRONTEND)) as browser:
        browser.headers.update(AS_PAGE)
        await browser.post("/session", json={"user": user})
        made = await browser.post(f"/api/{user}/tasks", json={"title": "Mine"})
        other = await browser.get(f"/api/{dapr.name('bob')}/tasks")
        session = (await browser.get("/session")).json()
        await browser.delete("/session")
        after = await browser.get(f"/api/{user}/tasks")

    assert [201, 403, 401] == [each.status_code for each in (made, other, after)]
    assert ("development", user) == (session["sign_in"], session["user"])


async def test_dead_letters_are_for_operators(dapr: AsyncWorld) -> None:
    """They contain events of all users."""
    key, client = dapr.token(PURPOSE), dapr.app(NOTIFICATIONS)
    user = bearer(key, dapr.name("ada"))
    chosen = bearer(key, "operator", scope="user operator")

    answers = [
        await client.get("/api/dead-letters", headers=each)
        for each in (user, chosen, bearer(key, "olga", scope="operator"))
    ]

    assert [403, 403, 200] == [each.status_code for each in answers]


def test_a_service_without_a_secret_ends_with_the_reason() -> None:
    """As a process: not after the first request."""
    command = [sys.executable, "-m", "uvicorn", "services.frontend.app:app", "--port", "0"]
    done = subprocess.run(
        command, cwd=ROOT, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, timeout=60
    )

    assert 0 != done.returncode
    assert "BETTER_AUTH_SECRET has 0 bytes, but must have at least 32" in done.stderr


@pytest.fixture(scope="module")
def open_to_all(dapr_settings: Settings) -> Iterator[Stack]:
    """The application without sign-in."""
    with running(todo(sign_in=False, inbox=False), dapr_settings) as stack:
        yield stack


@pytest.mark.own_stack
async def test_without_sign_in_everything_is_open_and_the_page_is_told(open_to_all: Stack) -> None:
    """API, MCP and live updates, all without a token."""
    async with AsyncWorld(open_to_all) as dapr:
        user, page = dapr.name("ada"), dapr.app(FRONTEND)
        session = (await page.get("/session")).json()
        async with listening(dapr, user) as told, mcp_client(dapr, {}) as client:
            made = await page.post(f"/api/{user}/tasks", json={"title": "Open"})
            assert 201 == made.status_code, made.text
            listed = await client.call_tool("list_tasks", {"user_id": user})
            async with asyncio.timeout(20):
                news = await anext(told)
        said = await page.post(f"/api/{user}/chat", json={"text": "what do I have to do?"})

    assert {"sign_in": "off", "user": None, "expires_at": None} == session
    assert 201 == said.status_code
    assert ("Task created: Open", False) == (news["message"], listed.is_error)


@pytest.mark.own_stack
@pytest.mark.generated
@pytest.mark.parametrize("app", [BACKEND, NOTIFICATIONS])
def test_without_sign_in_every_answer_is_as_described(open_to_all: Stack, app: str) -> None:
    """As with it, but for the tokens."""
    with World(open_to_all) as dapr:
        send_all(schema_of(dapr, app), GenerationMode.POSITIVE, Calls(dapr, sign_in=False))
