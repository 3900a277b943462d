"""Makes observations as the recorders and the broker's reader do, for tests of the ledger."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from harness.core.observation import Occurrence
from harness.probe.api_calls import read_call
from harness.probe.deliveries import read_delivery
from harness.probe.events import event_of
from harness.probe.inbox_server import BODY_LIMIT, row_of

BEGAN = datetime(2030, 1, 1, tzinfo=UTC)
"""When everything in these tests begins: second 0."""


def at(seconds: float) -> int:
    """A time in nanoseconds since the epoch."""
    return round(BEGAN.timestamp()) * 10**9 + round(seconds * 1e9)


def cloud_event(event_id: str, data: Any = None, **more: Any) -> dict[str, Any]:
    """A CloudEvent as daprd makes it; bytes become ``data_base64``."""
    body = (
        {"data_base64": base64.b64encode(data).decode()}
        if isinstance(data, bytes)
        else {"data": data}
    )
    known = {"specversion": "1.0", "id": event_id, "source": "shop", "type": "made"}
    return {**known, **body, **more}


@dataclass(frozen=True)
class Place:
    """A record of the broker, as headers of Dapr's Kafka component name it."""

    topic: str
    partition: int = 0
    offset: int = 0

    @property
    def headers(self) -> dict[str, str]:
        """What deliveries and dead letters carry."""
        known = {"topic": self.topic, "partition": self.partition, "offset": self.offset}
        return {f"__{key}": str(value) for key, value in known.items()}


def stored(place: Place, body: Any, seconds: float = 1.0, *, of: Place | None = None) -> Occurrence:
    """A record; ``of`` is the original of a dead letter."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    event = event_of(
        raw,
        place.topic,
        place.partition,
        place.offset,
        # Brokers have milliseconds.
        BEGAN + timedelta(milliseconds=int(seconds * 1000)),
        headers=of.headers if of else {},
    )
    return event.occurrence("kafka")


def handled(
    app: str,
    body: Any,
    seconds: float = 2.0,
    *,
    place: Place | None = None,
    path: str = "/made",
    status: int = 200,
    answer: str = "",
    took: float = 0.1,
    kind: str = "application/cloudevents+json",
    clock: float | None = None,
    trace: str = "",
) -> Occurrence:
    """A delivery; ``clock`` is what the machine's clock shows instead of ``seconds``.

    ``trace`` is the ``traceparent`` in its headers.
    """
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": kind, "traceparent": trace, **(place.headers if place else {})}
    row = {
        **row_of("POST", path, raw),
        "at": seconds,
        "time": at(seconds if clock is None else clock),
        "took": took,
        "status": status,
        "app_status": status,
        "answer": answer,
        "headers": headers,
    }
    return read_delivery(row).occurrence(app)


def called(
    app: str,
    path: str,
    body: Any,
    seconds: float = 0.9,
    *,
    method: str = "POST",
    status: int | None = 204,
    took: float = 0.2,
    kind: str = "application/json",
    answer: str = "",
    etag: str = "",
) -> Occurrence:
    """A call of an app; ``etag`` is the version that it requires by a header."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    row = {
        "at": seconds,
        "time": at(seconds),
        "took": took,
        "method": method,
        "path": path,
        "headers": {"content-type": kind, **({"If-Match": etag} if etag else {})},
        "body": raw[:BODY_LIMIT].decode("utf-8", "replace"),
        "status": status,
        "answer": answer,
    }
    return read_call(row).occurrence(app)


def publishes(
    app: str, topic: str, body: Any, seconds: float = 0.9, query: str = "", **more: Any
) -> Occurrence:
    """A request to publish."""
    return called(app, f"/v1.0/publish/bus/{topic}{query}", body, seconds, **more)
