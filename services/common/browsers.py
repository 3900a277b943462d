"""What a browser sends for a page: a service listens to its own pages only.

A browser on this machine reaches every port of it, and sends what any page asks for. What such a
request is for is told by headers that no script can set or leave out. Programs have none of them.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common import problems
from services.common.problems import Refused
from services.common.settings import settings
from services.common.sidecar import has_token

FROM_HERE = ("", "same-origin", "none")
"""Values of Sec-Fetch-Site: from a program or an old browser, this page, the person themselves."""

PREFLIGHTED = "x-requested-with"
"""No page of another origin can send this header before a preflight, and none is answered."""

READING = ("GET", "HEAD")


class OwnPagesOnly:
    """ASGI middleware: requests of foreign pages are answered with 403."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            request = Request(scope)
            if foreign := _foreign(request):
                await problems.answer(request, 403, foreign)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def change(request: Request) -> None:
    """Refuse a change that a foreign page could ask for too. For `fastapi.Depends`.

    Raises:
        Refused: 403; the request has neither an Origin, which was looked at, nor a header that
            needs a preflight.
    """
    asks = request.method not in READING and "origin" not in request.headers
    if asks and not _preflighted(request):
        raise Refused(403, f"a change needs an Origin, a JSON body, or a header {PREFLIGHTED}")


def _foreign(request: Request) -> str:
    """What is foreign about a request, "" for nothing. No browser has the sidecar's token."""
    if has_token(request):
        return ""
    host = request.headers.get("host", "")
    if not _is_ours(_name(host)):
        # A name of somebody else's that leads here makes a foreign page this service's own origin.
        return f"this host is not among those of ALLOWED_HOSTS: {host[:100]!r}"
    origin = request.headers.get("origin")
    if origin is not None and not _same(origin, host):
        return "pages of other origins may not ask this"
    if request.headers.get("sec-fetch-site", "") not in FROM_HERE:
        return "pages of other sites may not ask this"
    return ""


def _is_ours(name: str) -> bool:
    return name == "localhost" or _is_address(name) or name in _allowed()


def _same(origin: str, host: str) -> bool:
    """The scheme may differ: a proxy may speak TLS for this service, and may rename the host."""
    address = urlsplit(origin).netloc.lower()
    return bool(address) and (address == host.lower() or _name(address) in _allowed())


def _preflighted(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or PREFLIGHTED in request.headers


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    """Whether it is no name: only a name can be made to lead here."""
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _allowed() -> set[str]:
    return {name for each in settings().allowed_hosts.split(",") if (name := each.strip().lower())}
