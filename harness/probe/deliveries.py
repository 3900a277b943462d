"""What daprd delivered to an app, as a recording proxy keeps it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from harness.core.endpoint import Endpoint
from harness.core.observation import (
    Occurrence,
    correlation_of,
    event_in,
    origin_in,
    trace_in,
)
from harness.probe.inbox_server import CONTROL, Rule
from harness.probe.records import RecordReader, ask_recorder, decoded

JOB = "/job/"
"""The path under which daprd delivers a job, before its name."""


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
        time: when daprd sent it, in nanoseconds since the epoch.
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
    time: int = 0

    def occurrence(self, node: str) -> Occurrence:
        """The same as one record of a timeline.

        Args:
            node: the app or receiver that it was delivered to.
        """
        failed = f" (failed {self.failed} the app)" if self.failed else ""
        words = f"{self.method} {self.path} {self.type}".strip()
        return Occurrence(
            self.time,
            "delivery",
            node,
            f"{words} -> {self.status}{failed}",
            correlation_of(
                trace=trace_in(self.headers) or trace_in(self.event),
                event=self.id,
                job=self.path.removeprefix(JOB) if self.path.startswith(JOB) else "",
                subject=self.subject,
            ),
            self.data,
            self.took,
            facts=self._facts(),
        )

    def _facts(self) -> dict[str, Any]:
        return {
            "at": self.at,
            "trace": trace_in(self.headers),
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "answer": self.answer,
            "failed": self.failed,
            "event": self.event,
            "origin": origin_in(self.headers),
            "content_type": self.headers.get("content-type", ""),
            "headers": self.headers,
        }


class DeliveryRecord(RecordReader[Delivery]):
    """The record of one inbox, and the rules by which it responds in place of the app.

    Args:
        proxy: the proxy's address.
        start: the byte at which to start reading.
    """

    def __init__(self, proxy: Endpoint, start: int) -> None:
        super().__init__(proxy, start, read_delivery)

    def add(self, rule: Rule) -> None:
        """Have the proxy respond in place of the app."""
        ask_recorder(self.recorder, "POST", CONTROL, asdict(rule))

    def clear(self) -> None:
        """Remove every rule."""
        ask_recorder(self.recorder, "DELETE", CONTROL)


def read_delivery(row: dict[str, Any]) -> Delivery:
    """Read one line of the record."""
    body = decoded(row["body"])
    event = event_in(body)
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
        time=row["time"],
    )
