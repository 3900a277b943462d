"""Rejects requests that a browser sends for pages other than the service's own.

A browser on this machine can reach every port, and sends whatever a page requests. Headers that
scripts can neither set nor remove show the origin of such a request. Programs send none of them.
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
"""Values of Sec-Fetch-Site: from a program or an old browser, from this page, from the user."""

PREFLIGHTED = "x-requested-with"
"""Other origins cannot send this header without a preflight, and no preflight is accepted."""

READING = ("GET", "HEAD")


class OwnPagesOnly:
    """ASGI middleware: responds with 403 to requests of foreign pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            request = Request(scope)
            if foreign := _foreign(request):
                await problems.answer(request, 403, foreign)(scope, receive, send)
                return
        await self._app(scope, receive, send)


async def change(request: Request) -> None:
    """Reject a change that a foreign page could also request. For `fastapi.Depends`.

    Raises:
        Refused: 403; the request has neither an Origin, which has already been checked, nor a
            header that requires a preflight.
    """
    asks = request.method not in READING and "origin" not in request.headers
    if asks and not _preflighted(request):
        raise Refused(403, f"a change needs an Origin, a JSON body, or a header {PREFLIGHTED}")


def _foreign(request: Request) -> str:
    """Why a request is foreign; "" if it is not. No browser has the sidecar's token."""
    if has_token(request):
        return ""
    host = request.headers.get("host", "")
    if not _is_ours(_name(host)):
        # A foreign name that resolves to here would make a foreign page the service's own origin.
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
    """The scheme may differ: a proxy may terminate TLS for this service, and rename the host."""
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
    """Whether it is an address: only a name can be made to point here."""
    try:
        return bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _allowed() -> set[str]:
    return {name for each in settings().allowed_hosts.split(",") if (name := each.strip().lower())}
