"""The ways to a collector: OTLP by HTTP, and by gRPC."""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

import httpx

from harness.otlp.destination import GRPC, GRPCS
from harness.otlp.signals import JSON, rejected, request_of, service_of
from harness.ready import loopback

PATIENCE = 5.0
"""Seconds in which a collector must respond."""

AGAIN = (408, 429, 502, 503, 504)
"""Statuses after which a request is sent again, as OTLP says."""

AGAIN_BY_GRPC = (
    "CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS",
)  # fmt: skip
"""The same of gRPC."""

LOCAL = ("127.0.0.1", "localhost", "::1")

IDS = ("traceId", "spanId", "parentSpanId")
"""What OTLP writes in hexadecimal digits, where protobuf's JSON has base64."""


class Parcel(NamedTuple):
    """One request.

    Attributes:
        signal: ``traces``, ``metrics`` or ``logs``.
        body: what is sent.
        headers: which describe the body.
    """

    signal: str
    body: bytes
    headers: Mapping[str, str]


class Answer(NamedTuple):
    """What became of a request.

    Attributes:
        again: why it is sent again; "" if it is not.
        lost: why the collector never accepts it; "" if it has accepted it.
        refused: how much of what it contains was not accepted.
        why: why not, in the words of the collector.
    """

    again: str = ""
    lost: str = ""
    refused: int = 0
    why: str = ""


class Transport(Protocol):
    """A connection to a collector."""

    def send(self, parcel: Parcel) -> Answer:
        """Send a request, and wait for the response."""
        ...

    def close(self) -> None:
        """Disconnect."""
        ...


def transport_to(url: str, headers: Mapping[str, str]) -> Transport:
    """A connection to a collector.

    Args:
        url: with the scheme ``http``, ``https``, ``grpc`` or ``grpcs``.
        headers: sent with each request.
    """
    return ByGrpc(url, headers) if urlsplit(url).scheme in (GRPC, GRPCS) else ByHttp(url, headers)


class ByHttp:
    """OTLP by HTTP; a body is passed on as it is."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        if urlsplit(url).hostname in LOCAL and url.startswith("http:"):
            self._client = loopback.client(url, timeout=PATIENCE)
            self._client.headers.update(headers)
            return
        # Elsewhere, proxies and authorities count, as the environment names them.
        self._client = httpx.Client(base_url=url, headers=dict(headers), timeout=PATIENCE)

    def send(self, parcel: Parcel) -> Answer:
        """Send a request, and wait for the response."""
        try:
            answer = self._client.post(
                f"/v1/{parcel.signal}", content=parcel.body, headers=dict(parcel.headers)
            )
        except httpx.HTTPError as error:
            return Answer(again=f"{type(error).__name__}: {error}".rstrip(": "))
        if answer.status_code in AGAIN:
            return Answer(again=f"it responded {answer.status_code}")
        if not answer.is_success:
            return Answer(lost=f"it responded {answer.status_code}")
        refused, why = rejected(parcel.signal, answer.content)
        return Answer(refused=refused, why=why)

    def close(self) -> None:
        """Disconnect."""
        self._client.close()


class ByGrpc:
    """OTLP by gRPC; a body is unpacked, and made protobuf if it is JSON."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        import grpc

        parts = urlsplit(url)
        proxied = parts.hostname not in LOCAL
        options = [("grpc.enable_http_proxy", int(proxied))]
        self._metadata = [(name.lower(), value) for name, value in headers.items()]
        self._channel = (
            grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), options)
            if parts.scheme == GRPCS
            else grpc.insecure_channel(parts.netloc, options)
        )

    def send(self, parcel: Parcel) -> Answer:
        """Send a request, and wait for the response."""
        import grpc

        try:
            body = protobuf_of(parcel)
        except (OSError, ValueError, TypeError, zlib.error, EOFError, _parse_error()) as error:
            return Answer(lost=f"it is not OTLP: {error}")
        # Bytes go as they are: the collector reads them.
        call = self._channel.unary_unary(f"/{service_of(parcel.signal)}/Export")
        try:
            answer = call(body, timeout=PATIENCE, metadata=self._metadata)
        except grpc.RpcError as error:
            name, details = error.code().name, " ".join(str(error.details()).split())
            said = f"it responded {name}: {details}".rstrip(": ")
            return Answer(again=said) if name in AGAIN_BY_GRPC else Answer(lost=said)
        refused, why = rejected(parcel.signal, answer)
        return Answer(refused=refused, why=why)

    def close(self) -> None:
        """Disconnect."""
        self._channel.close()


def protobuf_of(parcel: Parcel) -> bytes:
    """The body of a request in protobuf.

    Raises:
        OSError, EOFError, zlib.error: it is not in the encoding that its headers name.
        ValueError, TypeError, ParseError: it is not OTLP.
    """
    packed = parcel.headers.get("content-encoding") == "gzip"
    plain = gzip.decompress(parcel.body) if packed else parcel.body
    if not parcel.headers.get("content-type", "").startswith(JSON):
        return plain
    from google.protobuf.json_format import ParseDict

    request = request_of(parcel.signal)
    ParseDict(_with_ids(json.loads(plain)), request, ignore_unknown_fields=True)
    found: bytes = request.SerializeToString()
    return found


def _with_ids(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_ids(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: base64.b64encode(bytes.fromhex(each)).decode()
        if name in IDS and isinstance(each, str)
        else _with_ids(each)
        for name, each in value.items()
    }


def _parse_error() -> type[Exception]:
    from google.protobuf.json_format import ParseError

    found: type[Exception] = ParseError
    return found
