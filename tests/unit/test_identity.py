"""Whose data a token opens: looked at on the apps themselves, without a sidecar."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import HTTPException
from fastapi.routing import APIRoute, iter_route_contexts
from mcp.client import Client

from scenarios.signing import bearer, token
from services.backend_service.mcp_tools import server
from services.common import identity
from services.common.database import engine
from services.common.settings import settings
from services.common.sidecar import sidecar
from services.frontend.live import Live
from tests.support import ROOT
from tests.unit.test_gates import KEY, PUBLIC, SERVICES, app_of

OTHER_KEY = KEY[::-1]
FILLED = {"{user_id}": "ada", "{task_id}": "t", "{conversation_id}": "c"}
PAGE = {"x-requested-with": "page"}


def operations(service: str) -> Iterator[tuple[str, str]]:
    """The method and path of each operation that belongs to a user or to operators."""
    for found in iter_route_contexts(app_of(service).routes):
        path = str(found.path)
        owned = "{user_id}" in path or path == "/api/dead-letters"
        if isinstance(found.original_route, APIRoute) and path in PUBLIC[service] and owned:
            for name, value in FILLED.items():
                path = path.replace(name, value)
            yield from ((method, path) for method in sorted(found.methods or ()))


OWNED = [(service, *each) for service in SERVICES for each in operations(service)]


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every service has the key, and neither its sidecar nor its database is there."""
    monkeypatch.setenv("BETTER_AUTH_SECRET", KEY)
    monkeypatch.setenv("DAPR_HTTP_PORT", "1")
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.delenv("SIGN_IN", raising=False)
    for made in (settings, engine, sidecar):
        made.cache_clear()
    yield
    # A service that does not start closes its client of the sidecar.
    for made in (settings, engine, sidecar):
        made.cache_clear()


async def asked(service: str, method: str, path: str, **request: Any) -> httpx.Response:
    """What a service answers, in this process."""
    transport = httpx.ASGITransport(app_of(service), raise_app_exceptions=False)
    headers = {**PAGE, **request.pop("headers", {})}
    async with (
        asyncio.timeout(20),  # a stream that is accepted has no end
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        return await client.request(method, path, headers=headers, **request)


def bare(header: dict[str, str]) -> dict[str, str]:
    """The header with a token whose signature is left out."""
    return {"authorization": header["authorization"].rpartition(".")[0] + "."}


def unsigned(user: str) -> dict[str, str]:
    """A token of the algorithm `none`, as RFC 7519 allows it."""
    head, claims, _ = bearer(KEY, user)["authorization"].split()[1].split(".")
    words = json.dumps({"alg": "none", "typ": "JWT"}).encode()
    head = base64.urlsafe_b64encode(words).decode().rstrip("=")
    return {"authorization": f"Bearer {head}.{claims}."}


def at(**hours: float) -> dict[str, datetime]:
    """Claims with times that are so many hours from now."""
    now = datetime.now(UTC)
    return {name: now + timedelta(hours=each) for name, each in hours.items()}


def rejected() -> dict[str, tuple[dict[str, Any], int, str]]:
    """Headers that do not open the data of Ada, the status, and words of the reason."""
    return {
        "none": ({}, 401, "sign in first"),
        "another scheme": ({"authorization": "Basic YWRhOng="}, 401, "Authorization: Bearer TOKEN"),
        "nothing in it": ({"authorization": "Bearer "}, 401, "Authorization: Bearer TOKEN"),
        "garbage": ({"authorization": "Bearer x.y.z"}, 401, "not a valid JWT"),
        "not text": ({"authorization": "Bearer \xe9".encode("latin-1")}, 401, "not a valid JWT"),
        "expired": (bearer(KEY, "ada", **at(iat=-2, nbf=-2, exp=-1)), 401, "has expired"),
        "not yet valid": (bearer(KEY, "ada", **at(nbf=1, exp=2)), 401, "not valid yet"),
        "issued in the future": (bearer(KEY, "ada", **at(iat=1, exp=2)), 401, "not valid yet"),
        "another key": (bearer(OTHER_KEY, "ada"), 401, "another key"),
        "no signature": (bare(bearer(KEY, "ada")), 401, "another key"),
        "the algorithm none": (unsigned("ada"), 401, "not signed with HS256"),
        "another algorithm": (bearer(KEY * 2, "ada", algorithm="HS512"), 401, "with HS256"),
        "another audience": (bearer(KEY, "ada", aud="shop"), 401, "another audience"),
        "another issuer": (bearer(KEY, "ada", iss="shop"), 401, "another issuer"),
        "no end": (bearer(KEY, "ada", exp=None), 401, "needs all of"),
        "no audience": (bearer(KEY, "ada", aud=None), 401, "needs all of"),
        "no user": (bearer(KEY, ""), 401, "names no user"),
        "an end that is no time": (bearer(KEY, "ada", exp=10**20), 401, "does not exist"),
        "another user": (bearer(KEY, "bob"), 403, "another user"),
        "another case": (bearer(KEY, "Ada"), 403, "another user"),
    }


def test_the_routes_of_users_are_found() -> None:
    """Those that the tests below are about; a list that is empty would prove nothing."""
    assert {
        ("backend_service", "DELETE", "/api/ada/tasks/t"),
        ("backend_service", "GET", "/api/ada/conversations/c"),
        ("backend_service", "POST", "/api/ada/chat"),
        ("notification_service", "GET", "/api/ada/notifications"),
        ("notification_service", "PUT", "/api/ada/contact"),
        ("notification_service", "GET", "/api/dead-letters"),
        ("frontend", "GET", "/live/ada"),
        ("frontend", "GET", "/api/ada/tasks"),
        ("frontend", "POST", "/api/ada/chat"),
    } <= set(OWNED)


def reached(service: str, method: str, path: str) -> int:
    """How far a request without a body comes: to its validation, or to what is not there."""
    validates = service != "frontend" and method in ("POST", "PUT")
    return 422 if validates and not path.endswith("/complete") else 503


@pytest.mark.parametrize(("service", "method", "path"), OWNED)
async def test_only_a_valid_token_of_the_user_opens_a_route(
    service: str, method: str, path: str
) -> None:
    """Each reason with its status, as problem details; a 401 says which scheme is expected."""
    reason = "for operators" if path == "/api/dead-letters" else "another user"
    for name, (headers, status, words) in rejected().items():
        answer = await asked(service, method, path, headers=headers)

        said = answer.json()["detail"]
        assert (name, status) == (name, answer.status_code)
        assert (words if status == 401 else reason) in said, name
        assert "application/problem+json" == answer.headers["content-type"]
        assert ("Bearer" if status == 401 else None) == answer.headers.get("www-authenticate")


@pytest.mark.parametrize(
    ("service", "method", "path"), [each for each in OWNED if "/live/" not in each[2]]
)
async def test_the_users_own_token_opens_a_route(service: str, method: str, path: str) -> None:
    """It comes as far as the body, the sidecar or the database, which are not there."""
    scope: dict[str, Any] = {"scope": "operator"} if path == "/api/dead-letters" else {}

    answer = await asked(service, method, path, headers=bearer(KEY, "ada", **scope))

    assert reached(service, method, path) == answer.status_code


async def test_two_tokens_are_refused() -> None:
    """Services could otherwise choose different ones."""
    headers = [("authorization", bearer(KEY, user)["authorization"]) for user in ("ada", "bob")]
    transport = httpx.ASGITransport(app_of("backend_service"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answer = await client.get("/api/ada/tasks", headers=headers)

    assert 401 == answer.status_code


@pytest.mark.parametrize("name", [name for name, each in rejected().items() if each[1] == 401])
async def test_mcp_requires_a_valid_token(name: str) -> None:
    """Before the request is looked at."""
    headers, status, words = rejected()[name]

    answer = await asked("backend_service", "POST", "/mcp", headers=headers)

    assert (status, True) == (answer.status_code, words in answer.json()["detail"])


@pytest.mark.parametrize("caller", ["bob", None])
async def test_every_tool_is_for_the_callers_own_tasks(caller: str | None) -> None:
    """Whatever user the arguments name; also if nobody has signed in."""
    if caller is not None:
        identity.act_for(identity.issue(caller))
    arguments = {"task_id": "t", "title": "x", "remind_at": None}
    async with Client(server) as client:
        described = (await client.list_tools()).tools
        for tool in described:
            said = {k: v for k, v in arguments.items() if k in tool.input_schema["properties"]}
            result = await client.call_tool(tool.name, {"user_id": "ada", **said})

            assert result.is_error, tool.name
            assert "another user" in str(result.content), tool.name
    assert 6 == len(described)


async def test_a_cookie_is_accepted_by_the_pages_service_only() -> None:
    """Other services have no pages, so they need not tell apart whose page sends a cookie."""
    cookie = {"cookie": f"todo-session={token(KEY, 'ada')}"}

    page = await asked("frontend", "GET", "/api/ada/tasks", headers=cookie)
    backend = await asked("backend_service", "GET", "/api/ada/tasks", headers=cookie)
    other = await asked("frontend", "GET", "/api/bob/tasks", headers=cookie)
    stream = await asked("frontend", "GET", "/live/bob", headers=cookie)

    assert [503, 401, 403, 403] == [
        each.status_code for each in (page, backend, other, stream)
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name, each in rejected().items() if each[1] == 401])
async def test_a_cookie_is_verified_like_a_header(name: str) -> None:
    """It opens nothing, and the page is told that nobody is signed in."""
    word = str(rejected()[name][0].get("authorization", "")).partition(" ")[2]
    cookie = {"cookie": f"todo-session={word}"}

    data = await asked("frontend", "GET", "/api/ada/tasks", headers=cookie)
    session = await asked("frontend", "GET", "/session", headers=cookie)

    assert (401, 200) == (data.status_code, session.status_code)
    assert session.json()["user"] is None


@pytest.mark.parametrize("origin", ["http://127.0.0.1", "https://127.0.0.1"])
async def test_the_cookie_is_hidden_from_scripts_and_other_sites(origin: str) -> None:
    """And is sent by TLS only, if the page was loaded by TLS."""
    answer = await asked(
        "frontend", "POST", "/session", json={"user": "ada"}, headers={"origin": origin}
    )

    cookie = answer.headers["set-cookie"].lower()
    assert (201, "ada") == (answer.status_code, answer.json()["user"])
    assert {"httponly", "samesite=strict", "path=/"} <= set(cookie.split("; "))
    assert ("secure" in cookie) == origin.startswith("https")
    assert "token" not in answer.text


async def test_signing_out_removes_the_cookie() -> None:
    """Without one, nobody is signed in."""
    answer = await asked("frontend", "DELETE", "/session")

    assert 204 == answer.status_code
    assert 'todo-session=""' in answer.headers["set-cookie"]
    assert "max-age=0" in answer.headers["set-cookie"].lower()


async def test_a_program_gets_a_token() -> None:
    """It is accepted by the other services."""
    made = await asked("frontend", "POST", "/token", json={"user": "ada"})
    headers = {"authorization": f"Bearer {made.json()['access_token']}"}

    session = await asked("frontend", "GET", "/session", headers=headers)
    data = await asked("backend_service", "POST", "/api/ada/tasks", headers=headers)

    assert (201, "Bearer") == (made.status_code, made.json()["token_type"])
    assert 0 < made.json()["expires_in"] <= identity.LIFETIME.total_seconds()
    assert ("ada", 422) == (session.json()["user"], data.status_code)


@pytest.mark.parametrize("path", ["/session", "/token"])
@pytest.mark.parametrize("sign_in", ["external", "off"])
async def test_nobody_signs_in_here_if_the_setting_says_so(
    monkeypatch: pytest.MonkeyPatch, path: str, sign_in: str
) -> None:
    """The development provider is not there, whatever the secret is."""
    monkeypatch.setenv("SIGN_IN", sign_in)
    settings.cache_clear()

    answer = await asked("frontend", "POST", path, json={"user": "ada"})

    assert (403, True) == (answer.status_code, f"SIGN_IN is {sign_in}" in answer.json()["detail"])


@pytest.mark.parametrize("user", ["", "..", "a/b", "a|b", "x" * 201])
@pytest.mark.parametrize("path", ["/session", "/token"])
async def test_nobody_signs_in_under_a_name_that_is_none(path: str, user: str) -> None:
    """The same names are refused in paths."""
    answer = await asked("frontend", "POST", path, json={"user": user})

    assert 422 == answer.status_code


@pytest.mark.parametrize("path", ["/session", "/token"])
async def test_a_foreign_page_cannot_sign_anybody_in(path: str) -> None:
    """Its user would otherwise add tasks for somebody else."""
    foreign, simple = {"origin": "https://evil.example"}, {"content-type": "text/plain"}
    transport = httpx.ASGITransport(app_of("frontend"))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answers = [
            await client.post(path, json={"user": "ada"}, headers=foreign),
            await client.post(path, content='{"user": "ada"}', headers=simple),
        ]

    assert [403, 403] == [each.status_code for each in answers]


@pytest.mark.parametrize(
    ("service", "method", "path"), [each for each in OWNED if "/live/" not in each[2]]
)
async def test_without_sign_in_no_token_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, service: str, method: str, path: str
) -> None:
    """Nor a secret."""
    monkeypatch.setenv("SIGN_IN", "off")
    monkeypatch.delenv("BETTER_AUTH_SECRET")
    settings.cache_clear()
    answer = await asked(service, method, path)

    assert reached(service, method, path) == answer.status_code


@pytest.mark.parametrize("secret", ["", "x" * 31])
@pytest.mark.parametrize("service", ["backend_service", "notification_service", "frontend"])
async def test_a_service_does_not_start_with_a_secret_that_protects_nothing(
    monkeypatch: pytest.MonkeyPatch, service: str, secret: str
) -> None:
    """The reason says what to set, and how long it must be."""
    monkeypatch.setenv("BETTER_AUTH_SECRET", secret)
    settings.cache_clear()
    app = app_of(service)

    with pytest.raises(ValueError, match=f"BETTER_AUTH_SECRET has {len(secret)} bytes.*32") as said:
        async with app.router.lifespan_context(app):
            pass

    assert "openssl rand -base64 32" in str(said.value)
    assert "SIGN_IN=off" in str(said.value)


def test_a_secret_that_is_too_short_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if a service runs with one: no token is made or accepted."""
    monkeypatch.setenv("BETTER_AUTH_SECRET", "short")
    settings.cache_clear()

    with pytest.raises(ValueError, match="BETTER_AUTH_SECRET"):
        identity.issue("ada")
    with pytest.raises(ValueError, match="BETTER_AUTH_SECRET"):
        identity.verified(token("short" * 8, "ada"))


def test_an_unknown_setting_is_refused_without_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the name of its variable; the message does not contain other settings."""
    monkeypatch.setenv("SIGN_IN", "no")
    settings.cache_clear()

    with pytest.raises(ValueError, match=r"sign_in\n.*'development', 'external' or 'off'") as said:
        settings()

    assert KEY not in str(said.value)


def test_the_secret_is_not_told_by_the_settings() -> None:
    """Logs may contain them."""
    assert KEY not in repr(settings())
    assert KEY == settings().better_auth_secret.get_secret_value()


async def test_a_stream_ends_at_its_time() -> None:
    """After what was sent before; without a time it would go on."""
    live, user = Live(), "ada"
    until = datetime.now(UTC) + timedelta(milliseconds=100)
    kinds = []
    async with asyncio.timeout(20):
        async for message in live.listen(user, "page", until):
            kinds.append(message["event"])
            if len(kinds) == 1:
                live.enqueue(user, "notification", {})

    assert ["open", "notification"] == kinds


def test_a_clock_that_is_a_little_slow_rejects_no_token() -> None:
    """Those of two machines always differ."""
    now = datetime.now(UTC)

    found = identity.verified(token(KEY, "ada", nbf=now + timedelta(seconds=3)))

    assert "ada" == found.user
    with pytest.raises(HTTPException):
        identity.verified(token(KEY, "ada", exp=now - timedelta(seconds=30)))


def test_a_token_for_operators_is_printed_for_whoever_has_the_secret() -> None:
    """By a command, because no provider gives one to a user."""
    command = [sys.executable, "-m", "services.common.identity", "olga", "operator"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    found = identity.verified(printed.stdout.strip())

    assert ("olga", True) == (found.user, found.operator)
