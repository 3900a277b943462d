"""Who may ask a service what: looked at on the apps themselves, without a sidecar."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from fastapi import FastAPI, HTTPException
from fastapi.routing import APIRoute, iter_route_contexts
from hypothesis import given
from hypothesis import strategies as st

from scenarios.signing import sign
from services.common import deliveries
from services.common.settings import settings
from services.common.sidecar import api_path, cloud_event, invocation_path, is_ours

TOKEN = "the-apps-own"
KEY = "the-key-of-all-tokens-of-users, 32 bytes or more"
SERVICES = ("backend_service", "notification_service", "recurring_task_service", "frontend")
USER = "/api/{user_id}"
PUBLIC = {
    "backend_service": {
        "/healthz",
        f"{USER}/tasks",
        f"{USER}/tasks/{{task_id}}",
        f"{USER}/tasks/{{task_id}}/complete",
        f"{USER}/conversations/{{conversation_id}}",
        f"{USER}/conversations/{{conversation_id}}/messages",
        f"{USER}/chat",
    },
    "notification_service": {
        "/healthz",
        f"{USER}/notifications",
        f"{USER}/contact",
        "/api/dead-letters",
    },
    "recurring_task_service": {"/healthz"},
    "frontend": {
        "/healthz",
        f"{USER}/tasks",
        f"{USER}/tasks/{{task_id}}",
        f"{USER}/tasks/{{task_id}}/complete",
        f"{USER}/conversations/{{conversation_id}}",
        f"{USER}/conversations/{{conversation_id}}/messages",
        f"{USER}/chat",
        f"{USER}/notifications",
        f"{USER}/contact",
        "/live/{user_id}",
        "/session",
        "/token",
    },
}
"""What everybody may ask, with a token of the user if the path contains one. All else is for a
sidecar or for certain apps, whatever is added."""


def app_of(service: str) -> FastAPI:
    """The app of a service."""
    found: FastAPI = import_module(f"services.{service}.app").app
    return found


def protected() -> Iterator[Any]:
    """Every operation that is not public: service, method, path."""
    for service in SERVICES:
        for found in iter_route_contexts(app_of(service).routes):
            path = str(found.path)
            if not isinstance(found.original_route, APIRoute) or path in PUBLIC[service]:
                continue
            for method in sorted(found.methods or ()):
                yield pytest.param(service, method, path, id=f"{service} {method} {path}")


PROTECTED = list(protected())


@pytest.fixture
def _token(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every service has a token, and nobody listens where its sidecar should be."""
    monkeypatch.setenv("APP_API_TOKEN", TOKEN)
    monkeypatch.setenv("BETTER_AUTH_SECRET", KEY)
    monkeypatch.setenv("DAPR_HTTP_PORT", "1")
    settings.cache_clear()
    yield
    settings.cache_clear()


async def asked(service: str, method: str, path: str, **request: Any) -> httpx.Response:
    """What a service answers, in this process; a request for a user is signed by that user."""
    signed = sign(path, lambda _: KEY)
    request["headers"] = [*httpx.Headers(request.get("headers")).multi_items(), *signed.items()]
    transport = httpx.ASGITransport(app_of(service), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await client.request(method, path, **request)


def test_routes_that_are_protected_are_found() -> None:
    """Those that the tests below are about; a list that is empty would prove nothing."""
    found = {case.id for case in PROTECTED}

    assert {
        "backend_service GET /dapr/subscribe",
        "backend_service GET /series/waiting",
        "backend_service POST /api/{user_id}/tasks/{task_id}/next",
        "backend_service POST /events/imports/{word}",
        "backend_service POST /daily-cleanup",
        "backend_service POST /job/{name}",
        "backend_service POST /reminder-cron",
        "frontend POST /events/update/{word}",
        "notification_service POST /events/dead-letter/{word}",
        "notification_service POST /daily-cleanup",
        "notification_service POST /events/reminder/due/{word}",
        "notification_service POST /events/reminder/scheduled/{word}",
        "notification_service POST /events/reminder/{word}",
        "notification_service POST /send-notification",
        "notification_service POST /events/task/{word}",
        "recurring_task_service POST /events/completed",
        "recurring_task_service POST /process-completion",
        "recurring_task_service POST /job/repair-series",
    } <= found


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(("service", "method", "path"), PROTECTED)
@pytest.mark.parametrize("token", [{}, {"dapr-api-token": ""}, {"dapr-api-token": TOKEN[:-1]}])
async def test_a_request_without_the_token_is_rejected(
    service: str, method: str, path: str, token: dict[str, str]
) -> None:
    """Before anything of the request is looked at."""
    answer = await asked(service, method, path, headers=token)

    assert 401 == answer.status_code


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(("service", "method", "path"), PROTECTED)
@pytest.mark.parametrize(
    "mark", ["dapr-caller-app-id", "dapr-callee-app-id", "dapr-caller-namespace"]
)
async def test_an_invocation_of_any_app_is_refused(
    service: str, method: str, path: str, mark: str
) -> None:
    """daprd has added the token to it."""
    headers = {"dapr-api-token": TOKEN, mark: "any-app"}

    answer = await asked(service, method, path, headers=headers, json={})

    assert 403 == answer.status_code


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(
    ("service", "method", "path", "caller"),
    [
        ("backend_service", "GET", "/series/waiting", "recurring-task-service"),
        ("backend_service", "POST", "/api/ada/tasks/t/next", "recurring-task-service"),
        ("recurring_task_service", "POST", "/process-completion", "backend-service"),
        ("notification_service", "POST", "/send-notification", "backend-service"),
    ],
)
@pytest.mark.parametrize(
    "callers", [["CALLER", "CALLER"], ["CALLER", "x"], ["x", "CALLER"], ["CALLER,x"], [""], []]
)
async def test_the_caller_is_the_one_its_sidecar_names(
    service: str, method: str, path: str, caller: str, callers: list[str]
) -> None:
    """A name that the caller adds comes beside the one that its sidecar adds."""
    names = [("dapr-caller-app-id", each.replace("CALLER", caller)) for each in callers]

    answer = await asked(service, method, path, headers=[("dapr-api-token", TOKEN), *names])

    assert 403 == answer.status_code


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(
    ("service", "path"),
    [
        ("backend_service", "/events/imports/"),
        ("frontend", "/events/update/"),
        ("notification_service", "/events/task/"),
        ("notification_service", "/events/reminder/"),
        ("notification_service", "/events/reminder/due/"),
        ("notification_service", "/events/reminder/scheduled/"),
        ("notification_service", "/events/dead-letter/"),
    ],
)
async def test_a_route_without_the_sidecars_mark_is_rejected(
    service: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token and without a mark: what an invocation is when its marks were left out."""
    real = deliveries.route(path.rstrip("/"))
    monkeypatch.setattr(deliveries, "_routes", {real})

    async def subscribed() -> set[str]:
        return {real}

    monkeypatch.setattr(deliveries, "_subscribed", subscribed)
    headers = {"dapr-api-token": TOKEN}

    drawn = await asked(service, "POST", deliveries.route(path.rstrip("/")), headers=headers)
    guessed = await asked(service, "POST", f"{path}x", headers=headers)

    assert [403, 403] == [drawn.status_code, guessed.status_code]


@pytest.mark.usefixtures("_token")
async def test_a_delivery_waits_for_a_sidecar_that_does_not_answer() -> None:
    """503, so that it comes again: neither let in nor refused."""
    answer = await asked(
        "notification_service", "POST", "/events/task/x", headers={"dapr-api-token": TOKEN}
    )

    assert 503 == answer.status_code


@pytest.mark.usefixtures("_token")
def test_a_changed_event_is_rejected() -> None:
    """Its id, its type and its data are proven; what a sidecar adds is not looked at."""
    event = cloud_event("com.x", "s", {"b": 1, "a": {"n": [1, None, "ü"]}})

    assert is_ours({**event, "topic": "t", "data": {"a": {"n": [1, None, "ü"]}, "b": 1}})
    changes: list[dict[str, Any]] = [{"id": "x"}, {"type": "x"}, {"data": {}}, {"proof": None}]
    for wrong in changes:
        assert not is_ours({**event, **wrong}), wrong
    assert not is_ours({})


FOREIGN = {
    "another name that leads here": {"host": "evil.example:8000"},
    "a name that begins like ours": {"host": "localhost.evil.example"},
    "a name that looks like an address": {"host": "127.0.0.1.evil.example"},
    "no name": {"host": ""},
    "another site": {"origin": "https://evil.example"},
    "another port": {"origin": "http://127.0.0.1:9"},
    "a page without an origin": {"origin": "null"},
    "the browser says so": {"sec-fetch-site": "cross-site"},
    "the browser says: a neighbour": {"sec-fetch-site": "same-site"},
}


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize(
    ("service", "method", "path"),
    [
        ("frontend", "GET", "/"),
        ("frontend", "GET", "/live/ada"),
        ("frontend", "GET", "/api/ada/tasks"),
        ("frontend", "POST", "/api/ada/tasks"),
        ("backend_service", "GET", "/api/ada/tasks"),
        ("backend_service", "POST", "/mcp"),
        ("notification_service", "GET", "/api/dead-letters"),
    ],
)
async def test_a_foreign_page_is_refused(
    service: str, method: str, path: str, headers: dict[str, str]
) -> None:
    """By every service: a browser reaches all ports of its machine."""
    sent = {"content-type": "application/json", "x-requested-with": "page", **headers}

    answer = await asked(service, method, path, headers=sent)

    assert 403 == answer.status_code
    assert "application/problem+json" == answer.headers["content-type"]


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:80", "127.0.0.1:8000", "[::1]:8000", "10.1.2.3", "todo.test:1"]
)
@pytest.mark.parametrize(
    "headers", [{}, {"sec-fetch-site": "same-origin"}, {"origin": "http://HOST"}]
)
async def test_requests_of_the_own_page_are_accepted(
    host: str, headers: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under any address, as localhost, and under the names that were allowed."""
    monkeypatch.setenv("ALLOWED_HOSTS", "todo.test, other.test")
    settings.cache_clear()
    sent = {name: value.replace("HOST", host) for name, value in headers.items()}

    answer = await asked("frontend", "GET", "/", headers={**sent, "host": host})

    assert 200 == answer.status_code


@pytest.mark.usefixtures("_token")
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/ada/tasks"),
        ("PUT", "/api/ada/tasks/t"),
        ("DELETE", "/api/ada/tasks/t"),
        ("POST", "/api/ada/tasks/t/complete"),
        ("POST", "/api/ada/conversations/c/messages"),
        ("POST", "/api/ada/chat"),
        ("PUT", "/api/ada/contact"),
    ],
)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"content-type": "text/plain"}, 403),
        ({"content-type": "text/plain; application/json"}, 403),
        ({"content-type": "application/x-www-form-urlencoded"}, 403),
        ({"content-type": "application/json"}, 503),
        ({"content-type": "Application/JSON; charset=utf-8"}, 503),
        ({"x-requested-with": "page"}, 503),
        ({"origin": "http://127.0.0.1"}, 503),
    ],
)
async def test_a_change_requires_a_header_that_foreign_pages_cannot_send(
    method: str, path: str, headers: dict[str, str], status: int
) -> None:
    """Without a preflight; what gets so far finds no sidecar here: 503."""
    answer = await asked("frontend", method, path, headers=headers, content=b"{}")

    assert status == answer.status_code


SEGMENTS = st.lists(
    st.text() | st.text("./%a\\?# ") | st.sampled_from(["", ".", ".."]), min_size=1, max_size=4
)


@given(segments=SEGMENTS)
def test_an_invocation_has_the_segments_that_were_given_or_is_not_made(segments: list[str]) -> None:
    """Also as httpx sends it, and as daprd reads it."""
    try:
        path = invocation_path("an-app", *segments)
    except (HTTPException, UnicodeEncodeError):
        return
    sent = httpx.URL(f"http://127.0.0.1:3500{path}").raw_path.decode()

    assert path == sent
    assert ["", "v1.0", "invoke", "an-app", "method", *segments] == unquote(path).split("/")
    assert not {"", ".", ".."} & set(segments)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "..\\x", "a%2fb", "a?b", "a#b", "a\nb"])
def test_a_name_that_is_not_one_path_segment_is_rejected(name: str) -> None:
    """With the status that the services have for such a name."""
    with pytest.raises(HTTPException) as refused:
        invocation_path("an-app", "api", name)

    assert 422 == refused.value.status_code


@pytest.mark.parametrize("name", ["a/b", "a b", "%2e%2e", "a|b", "a?b#c"])
def test_other_paths_of_the_sidecar_have_one_segment_for_a_name(name: str) -> None:
    """Encoded; the sidecar decodes these once."""
    path = api_path("state", "store", name)

    assert 5 == len(path.split("/"))
    assert name == unquote(path.rsplit("/", 1)[1])
