"""The inbox: what daprd delivered to an app, and how the app responded."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import httpx

from harness.deadline import Deadline, Observation, poll
from harness.endpoint import Endpoint
from harness.errors import ProbeError, ProbeTimeout
from harness.loopback import ask
from harness.probe.inbox_server import CHUNK, CONTROL, OPEN, RECORD, SIZE, Rule
from harness.probe.stream import Stream
from harness.probe.waiting import Guard, unguarded


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
        spoiled: ``before`` or ``after`` the app did its work; "" if the inbox did not intervene.
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
    """Deliveries to one app, in the order of their responses.

    daprd may deliver events of two partitions or two topics in any order. `nothing_before` is
    therefore reliable for events that one producer sent with the same partition key.

    Args:
        app: the app's name, for messages.
        proxy: the recording proxy's address.
        start: the byte of the record at which to start reading.
        guard: ends a wait by raising.
    """

    def __init__(self, app: str, proxy: Endpoint, start: int = 0, guard: Guard = unguarded) -> None:
        super().__init__(f"inbox of {app}", self._read, guard=guard)
        self._proxy = proxy
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
        """Respond to the next deliveries in place of the app, with an error by default.

        Args:
            path: the prefix of the request's path, such as ``/events/task``.
            contains: text that the body must contain, such as a task's id.
            times: how many deliveries.
            status: the status that daprd receives.
            after: let the app do its work first, which simulates a lost acknowledgement.
            answer: the body that daprd receives; a body that begins with a brace is JSON.
        """
        rule = Rule(path, contains, times, status, after, answer)
        self.spoilt = True
        _ask(self._proxy, "POST", CONTROL, asdict(rule))

    def heal(self) -> None:
        """Remove every rule.

        Raises:
            ProbeError: the proxy does not respond.
        """
        _ask(self._proxy, "DELETE", CONTROL)
        self.spoilt = False

    def _earlier(self, barrier: int, deadline: Deadline) -> list[Delivery]:
        """Deliveries that daprd sent before the barrier; waits for those without a response."""
        asked = self._seen[barrier].at

        def look() -> Observation:
            oldest = float(_recorded(self._proxy, sys.maxsize).headers[OPEN])
            return Observation(oldest > asked, "a delivery before it has not been answered yet")

        seen = poll(look, deadline, guard=self.guard)
        if not seen.ok:
            raise ProbeTimeout(
                f"{self.subject}: the barrier came, but what came before it is not known",
                last=seen.fact,
                budget=deadline.budget,
                hint="does the app hang in a delivery? its log is attached",
            )
        self._refresh()
        return [each for each in self._seen if each.at < asked]

    def _read(self) -> Iterator[Delivery]:
        size = CHUNK
        while size == CHUNK:
            content = _recorded(self._proxy, self._position).content
            size = len(content)
            for line in content.splitlines(keepends=True):
                # A line without its end is still being written, or continues in the next chunk.
                if line.endswith(b"\n"):
                    self._position += len(line)
                    yield read_delivery(json.loads(line))


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
        spoiled=row["spoiled"],
        headers={name.lower(): value for name, value in row["headers"].items()},
        event=event,
        answer=row["answer"],
    )
