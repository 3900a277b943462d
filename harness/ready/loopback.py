"""HTTP clients for addresses of this machine."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the CA bundle costs 17 ms per client, and nothing here uses TLS. This context trusts no
authority, so a TLS address is rejected rather than trusted."""


_LIMITS = httpx.Limits(keepalive_expiry=2.0)
"""A connection is not used again when its server may be closing it: uvicorn does so after 5 s."""

Sign = Callable[[str], Mapping[str, str]]
"""Returns the headers of a request for a path, which is still encoded."""

SIGNED = "dapr-harness.signed"
"""The extension of a request that has the names of the headers by which it was signed."""

Tell = Callable[[httpx.Request, httpx.Response | None, float, float], None]
"""Told of a request, its response if there was one, when it was sent, on ``time.monotonic``, and
the seconds that it took. The response's body is not read yet."""


def _silent(*_: object) -> None:
    """Tell nobody."""


class Connections(httpx.BaseTransport):
    """Connections that several clients share; a client that is closed leaves them open.

    Args:
        tell: told of each request.
    """

    def __init__(self, tell: Tell = _silent) -> None:
        self._tell = tell
        self._pool: httpx.HTTPTransport | None = httpx.HTTPTransport(
            verify=_NO_TLS, trust_env=False, limits=_LIMITS
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, on a connection that is open if there is one."""
        at, answer = time.monotonic(), None
        try:
            answer = _require(self._pool).handle_request(request)
        finally:
            self._tell(request, answer, at, time.monotonic() - at)
        return answer

    def end(self) -> None:
        """Close the connections; requests of clients are refused from now on."""
        pool, self._pool = self._pool, None
        if pool:
            pool.close()


class AsyncConnections(httpx.AsyncBaseTransport):
    """The asynchronous counterpart of `Connections`."""

    def __init__(self, tell: Tell = _silent) -> None:
        self._tell = tell
        self._pool: httpx.AsyncHTTPTransport | None = httpx.AsyncHTTPTransport(
            verify=_NO_TLS, trust_env=False, limits=_LIMITS
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, on a connection that is open if there is one."""
        at, answer = time.monotonic(), None
        try:
            answer = await _require(self._pool).handle_async_request(request)
        finally:
            self._tell(request, answer, at, time.monotonic() - at)
        return answer

    async def end(self) -> None:
        """Close the connections; requests of clients are refused from now on."""
        pool, self._pool = self._pool, None
        if pool:
            await pool.aclose()


def client(
    base_url: str = "", *, timeout: float = 15.0, token: str = "", sign: Sign | None = None,
    connections: Connections | None = None,
    made_by: Callable[..., httpx.Client] = httpx.Client,
) -> httpx.Client:  # fmt: skip
    """A synchronous client that ignores proxy variables.

    Args:
        token: sent as ``dapr-api-token`` if not empty.
        sign: adds headers to each request; those that the request has take precedence.
        connections: what it shares with other clients; its own if None.
        made_by: makes it of the arguments of `httpx.Client`.
    """

    def signed(request: httpx.Request) -> None:
        _sign(request, sign)

    return made_by(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False,
        verify=_NO_TLS, event_hooks={"request": [signed]}, transport=connections,
    )  # fmt: skip


def aclient(
    base_url: str = "", *, timeout: float = 15.0, token: str = "", sign: Sign | None = None,
    connections: AsyncConnections | None = None,
    made_by: Callable[..., httpx.AsyncClient] = httpx.AsyncClient,
) -> httpx.AsyncClient:  # fmt: skip
    """The asynchronous counterpart of `client`."""

    async def signed(request: httpx.Request) -> None:
        _sign(request, sign)

    return made_by(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False,
        verify=_NO_TLS, event_hooks={"request": [signed]}, transport=connections,
    )  # fmt: skip


def ask(
    method: str, url: str, *, json: object = None, headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> httpx.Response:  # fmt: skip
    """Send one request on a separate connection.

    Raises:
        httpx.HTTPError: there was no response.
    """
    with client(timeout=timeout) as once:
        return once.request(method, url, json=json, headers=dict(headers or {}))


_Pool = TypeVar("_Pool", httpx.HTTPTransport, httpx.AsyncHTTPTransport)


def _require(pool: _Pool | None) -> _Pool:
    if pool is None:
        raise RuntimeError("the world of this client has been closed, and its connections with it")
    return pool


def _sign(request: httpx.Request, sign: Sign | None) -> None:
    made = sign(request.url.raw_path.decode()) if sign else {}
    own = {name: value for name, value in made.items() if name not in request.headers}
    request.headers.update(own)
    request.extensions[SIGNED] = [name.lower() for name in own]


def _headers(token: str) -> dict[str, str]:
    return {"dapr-api-token": token} if token else {}
