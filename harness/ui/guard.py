"""Who is answered: only the page that was opened with the token, on the host it was opened on."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from importlib.resources import files
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

HEADER = "x-dapr-harness-token"
"""Repeats the token in requests that change something: no form and no image can send it."""


def inline_script() -> str:
    """The text of the only script that is in the page itself: no request for it can fail."""
    page = (files(__package__) / "page" / "page.html").read_text()
    (found,) = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    return str(found)


def hashed(script: str) -> str:
    """A script as a policy allows it: no other text in its place is run."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' {hashed(inline_script())}",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
"""Nothing from elsewhere, no other script inline, and no text that becomes HTML or a script."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of every response."""


class Guard:
    """Answers requests that are not for the page itself with an error; passes on the others.

    The path reaches the application without the token.

    Args:
        app: the application.
        token: what the path of each request begins with.
        port: the port on which the page is served.
    """

    def __init__(self, app: Asgi, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, as ASGI describes."""
        if scope["type"] != "http":
            raise RuntimeError(f"the page has no {scope['type']}")

        async def guarded(event: MutableMapping[str, Any]) -> None:
            if event["type"] == "http.response.start":
                more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                event = {**event, "headers": [*event.get("headers", ()), *more]}
            await send(event)

        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refused = refusal(scope["method"], scope["path"], headers, self._token, self._hosts)
        if refused:
            await _answer(guarded, *refused)
        else:
            rest = scope["path"][len(self._token) + 1 :]
            await self._app({**scope, "path": rest, "raw_path": rest.encode()}, receive, guarded)


def refusal(
    method: str, path: str, headers: Mapping[str, str], token: str, hosts: tuple[str, ...]
) -> tuple[int, str] | None:
    """Why a request is refused: a status and a sentence; None if it is not.

    Args:
        headers: by names in lower case.
        hosts: the names under which the page may be asked for, with the port.
    """
    if headers.get("host", "") not in hosts:
        # A name of somebody else that resolves to this machine: DNS rebinding.
        return 403, "this host name is not the page's"
    if headers.get("origin", f"http://{hosts[0]}") not in [f"http://{host}" for host in hosts]:
        return 403, "a page of another origin has sent this request"
    given, slash, _ = path.removeprefix("/").partition("/")
    if not (slash and _same(given, token)):
        return 404, "nothing is here; use the address that `dapr-harness ui` has printed"
    if method not in ("GET", "HEAD") and not _same(headers.get(HEADER, ""), token):
        return 403, f"a request that changes something needs the token in {HEADER}"
    return None


def _same(given: str, token: str) -> bool:
    """Whether two texts are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(given.encode(errors="replace"), token.encode())


async def _answer(send: Send, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
