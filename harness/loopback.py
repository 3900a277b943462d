"""HTTP clients for addresses of this machine."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the CA bundle costs 17 ms per client, and nothing here speaks TLS. This context trusts
no authority, so a TLS address is refused and not believed."""


def client(base_url: str = "", *, timeout: float = 15.0, token: str = "") -> httpx.Client:
    """A synchronous client that no proxy variable leads astray.

    Args:
        token: sent as ``dapr-api-token`` when not empty.
    """
    return httpx.Client(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False, verify=_NO_TLS
    )


def aclient(base_url: str = "", *, timeout: float = 15.0, token: str = "") -> httpx.AsyncClient:
    """The asynchronous twin of `client`."""
    return httpx.AsyncClient(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False, verify=_NO_TLS
    )


def ask(
    method: str, url: str, *, json: object = None, headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> httpx.Response:  # fmt: skip
    """One request on a connection of its own.

    Raises:
        httpx.HTTPError: no answer came.
    """
    with client(timeout=timeout) as once:
        return once.request(method, url, json=json, headers=dict(headers or {}))


def _headers(token: str) -> dict[str, str]:
    return {"dapr-api-token": token} if token else {}
