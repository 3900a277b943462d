"""The inbox: what daprd delivered to an app, and what the app answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from harness.endpoint import Endpoint
from harness.loopback import ask
from harness.probe.inbox_server import CONTROL, RECORD, SIZE, Rule
from harness.probe.stream import Stream


@dataclass(frozen=True)
class Delivery:
    """One request of daprd to an app.

    Attributes:
        at: when daprd asked, on ``time.monotonic``.
        took: seconds until it had its answer.
        headers: of the request, names in lower case.
        event: the CloudEvent's attributes when the body is one, else empty.
        data: the event's data, or the decoded body.
        status: what daprd was told.
        app_status: what the app said; None when it was not asked.
        spoiled: ``before`` or ``after`` the app did its work, "" when the inbox kept out.
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
    spoiled: str
    headers: dict[str, str]
    event: dict[str, Any]
    answer: str


class Inbox(Stream[Delivery]):
    """Deliveries to one app in the order in which they were answered.

    Args:
        app: the app's name, for messages.
        proxy: the recording proxy's address.
        start: the byte of the record from which on to read.
    """

    def __init__(self, app: str, proxy: Endpoint, start: int = 0) -> None:
        super().__init__(f"inbox of {app}", self._read)
        self._proxy = proxy
        self._control = f"{proxy.http}{CONTROL}"
        self._position = start
        self.spoilt = False

    def spoil(
        self,
        path: str,
        *,
        contains: str = "",
        times: int = 1,
        status: int = 500,
        after: bool = False,
        answer: str = "spoiled by the inbox",
    ) -> None:
        """Answer the next deliveries in the app's place, with an error by default.

        Args:
            path: what the request's path begins with, such as ``/events/task``.
            contains: text that the body must contain, such as a task's id.
            times: how many deliveries.
            status: the answer daprd gets.
            after: let the app do its work first: a lost acknowledgement.
            answer: the body daprd gets; one that begins with a brace is JSON.
        """
        rule = Rule(path, contains, times, status, after, answer)
        self.spoilt = True
        ask("POST", self._control, json=asdict(rule)).raise_for_status()

    def heal(self) -> None:
        """Forget every rule."""
        ask("DELETE", self._control).raise_for_status()
        self.spoilt = False

    def _read(self) -> Iterator[Delivery]:
        for line in _recorded(self._proxy, self._position).content.splitlines(keepends=True):
            # A line without its end is still being written.
            if line.endswith(b"\n"):
                self._position += len(line)
                yield read_delivery(json.loads(line))


def size_of_record(proxy: Endpoint) -> int:
    """The bytes that a proxy has recorded so far."""
    return int(_recorded(proxy, sys.maxsize).headers[SIZE])


def _recorded(proxy: Endpoint, start: int) -> httpx.Response:
    answer = ask("GET", f"{proxy.http}{RECORD}?from={start}")
    return answer.raise_for_status()


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
        spoiled=row["spoiled"],
        headers={name.lower(): value for name, value in row["headers"].items()},
        event=event,
        answer=row["answer"],
    )
