"""HTTP clients for addresses of this machine."""

from __future__ import annotations

import ssl
from collections.abc import Mapping

import httpx

_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Loading the CA bundle costs 17 ms per client, and nothing here uses TLS. This context trusts no
authority, so a TLS address is rejected rather than trusted."""


def client(base_url: str = "", *, timeout: float = 15.0, token: str = "") -> httpx.Client:
    """A synchronous client that ignores proxy variables.

    Args:
        token: sent as ``dapr-api-token`` if not empty.
    """
    return httpx.Client(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False, verify=_NO_TLS
    )


def aclient(base_url: str = "", *, timeout: float = 15.0, token: str = "") -> httpx.AsyncClient:
    """The asynchronous counterpart of `client`."""
    return httpx.AsyncClient(
        base_url=base_url, headers=_headers(token), timeout=timeout, trust_env=False, verify=_NO_TLS
    )


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


def _headers(token: str) -> dict[str, str]:
    return {"dapr-api-token": token} if token else {}
