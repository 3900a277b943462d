"""HTTP clients for addresses of this machine."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the CA bundle costs 17 ms per client, and nothing here uses TLS. This context trusts no
authority, so a TLS address is rejected rather than trusted."""


Sign = Callable[[str], Mapping[str, str]]
"""Returns the headers of a request for a path, which is still encoded."""


def client(
    base_url: str = "", *, timeout: float = 15.0, token: str = "", sign: Sign | None = None
) -> httpx.Client:
    """A synchronous client that ignores proxy variables.

    Args:
        token: sent as ``dapr-api-token`` if not empty.
        sign: adds headers to each request; those that the request has take precedence.
    """

    def signed(request: httpx.Request) -> None:
        _sign(request, sign)

    return httpx.Client(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False,
        verify=_NO_TLS, event_hooks={"request": [signed]},
    )  # fmt: skip


def aclient(
    base_url: str = "", *, timeout: float = 15.0, token: str = "", sign: Sign | None = None
) -> httpx.AsyncClient:
    """The asynchronous counterpart of `client`."""

    async def signed(request: httpx.Request) -> None:
        _sign(request, sign)

    return httpx.AsyncClient(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False,
        verify=_NO_TLS, event_hooks={"request": [signed]},
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


def _sign(request: httpx.Request, sign: Sign | None) -> None:
    for name, value in (sign(request.url.raw_path.decode()) if sign else {}).items():
        request.headers.setdefault(name, value)


def _headers(token: str) -> dict[str, str]:
    return {"dapr-api-token": token} if token else {}
