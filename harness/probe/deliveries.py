"""What daprd delivered to an app, as a recording proxy keeps it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from harness.core.endpoint import Endpoint
from harness.core.errors import ProbeError
from harness.probe.inbox_server import CHUNK, CONTROL, OPEN, RECORD, SIZE, Rule
from harness.ready.loopback import ask


@dataclass(frozen=True)
class Delivery:
    """One request from daprd to an app.

    Attributes:
        at: when daprd sent it, on ``time.monotonic``.
        took: seconds until the response.
        headers: the request's headers, names in lower case.
        event: the CloudEvent's attributes if the body is one, otherwise empty.
        data: the event's data, or the decoded body.
        status: the status that daprd received.
        app_status: the status that the app returned; None if the app was not called.
        failed: ``before`` or ``after`` the app did its work; "" if the inbox did not intervene.
    """

    at: float
    took: float
    method: str
    path: str
    id: str
    type: str
    subject: str
    data: Any
    status: int
    app_status: int | None
    failed: str
    headers: dict[str, str]
    event: dict[str, Any]
    answer: str


class DeliveryRecord:
    """The record of one proxy, read from a position on. Every method blocks.

    Args:
        proxy: the proxy's address.
        start: the byte at which to start reading.

    Raises (in every method):
        ProbeError: the proxy does not respond.
    """

    def __init__(self, proxy: Endpoint, start: int) -> None:
        self._proxy = proxy
        self._position = start

    def read(self) -> Iterator[Delivery]:
        """The deliveries since the last call."""
        size = CHUNK
        while size == CHUNK:
            content = _recorded(self._proxy, self._position).content
            size = len(content)
            for line in content.splitlines(keepends=True):
                # A line without its end is still being written, or continues in the next chunk.
                if line.endswith(b"\n"):
                    self._position += len(line)
                    yield read_delivery(json.loads(line))

    def oldest_open(self) -> float:
        """When daprd sent the oldest delivery that has no response yet; infinite if none."""
        return float(_recorded(self._proxy, sys.maxsize).headers[OPEN])

    def add(self, rule: Rule) -> None:
        """Have the proxy respond in place of the app."""
        _ask(self._proxy, "POST", CONTROL, asdict(rule))

    def clear(self) -> None:
        """Remove every rule."""
        _ask(self._proxy, "DELETE", CONTROL)


def size_of_record(proxy: Endpoint) -> int:
    """The number of bytes that a proxy has recorded so far."""
    return int(_recorded(proxy, sys.maxsize).headers[SIZE])


def _recorded(proxy: Endpoint, start: int) -> httpx.Response:
    return _ask(proxy, "GET", f"{RECORD}?from={start}")


def _ask(proxy: Endpoint, method: str, path: str, json: object = None) -> httpx.Response:
    """Send a request to the proxy itself.

    Raises:
        ProbeError: it does not respond.
    """
    try:
        return ask(method, f"{proxy.http}{path}", json=json).raise_for_status()
    except httpx.HTTPError as error:
        raise ProbeError(
            f"the inbox at {proxy} does not answer {method} {path}",
            last=f"{type(error).__name__}: {error}",
            hint="was its node stopped? look at its log",
        ) from error


def read_delivery(row: dict[str, Any]) -> Delivery:
    """Read one line of the record."""
    try:
        body: Any = json.loads(row["body"]) if row["body"] else None
    except ValueError:
        body = row["body"]
    event = body if isinstance(body, dict) and "specversion" in body else {}
    return Delivery(
        at=row["at"],
        took=row["took"],
        method=row["method"],
        path=row["path"],
        id=str(event.get("id", "")),
        type=str(event.get("type", "")),
        subject=str(event.get("subject", "")),
        data=event.get("data") if event else body,
        status=row["status"],
        app_status=row["app_status"],
        failed=row["failed"],
        headers={name.lower(): value for name, value in row["headers"].items()},
        event=event,
        answer=row["answer"],
    )
