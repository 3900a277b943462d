"""Traces in Zipkin's format, as sent by sidecars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from harness.core.observation import Occurrence, correlation_of
from harness.probe.deliveries import Delivery
from harness.probe.inbox_server import SPANS

PATH = SPANS
"""A Zipkin collector's path for them; https://zipkin.io/zipkin-api/ documents the format."""

LATEST = 2**53
"""The largest number of microseconds that is taken for a time: in the year 2255."""


@dataclass(frozen=True)
class Span:
    """One step of a trace.

    Attributes:
        service: the app-id whose sidecar reported it.
        kind: ``SERVER``, ``CLIENT``, ``PRODUCER``, ``CONSUMER`` or "".
        parent: the id of the span it is part of; "" for the first.
        began: seconds since the epoch.
        took: seconds.
    """

    trace: str
    id: str
    parent: str
    name: str
    service: str
    kind: str
    began: float
    took: float
    tags: dict[str, str]

    def occurrence(self) -> Occurrence:
        """The same as one record of a timeline; its node is the app-id."""
        words = f"{self.kind} {self.name}".strip()
        began = round(self.began * 1e9)
        ids = correlation_of(trace=self.trace)
        return Occurrence(began, "span", self.service, words, ids, self.tags, self.took)


def spans_of(deliveries: Iterable[Delivery], trace: str) -> list[Span]:
    """Every span of a trace that a collector received, the earliest first."""
    found = [span for each in deliveries if each.path == PATH for span in read_spans(each)]
    return sorted((span for span in found if span.trace == trace), key=lambda span: span.began)


def read_spans(delivery: Delivery) -> Iterator[Span]:
    """The spans of one delivery to their path; what is no span is left out."""
    for row in rows_of(delivery):
        if (span := _span(row, delivery.time / 1e9)) is not None:
            yield span


def rows_of(delivery: Delivery) -> Sequence[Any]:
    """What a delivery to the path of spans has as its batch; empty if it is none."""
    data = delivery.data
    return data if isinstance(data, list) else ()


def _span(row: Any, came: float) -> Span | None:
    """A span, if it has the ids that each must have.

    Args:
        row: anything: whoever reaches the receiver can send it.
        came: when it was received; it began then if it does not say when it did.
    """
    if not isinstance(row, dict) or not (row.get("traceId") and row.get("id")):
        return None
    where, tags = row.get("localEndpoint"), row.get("tags")
    return Span(
        trace=str(row["traceId"]),
        id=str(row["id"]),
        parent=str(row.get("parentId") or ""),
        name=str(row.get("name") or ""),
        service=str(where.get("serviceName") or "") if isinstance(where, dict) else "",
        kind=str(row.get("kind") or ""),
        began=_seconds(row.get("timestamp")) or came,
        took=_seconds(row.get("duration")),
        tags={str(name): str(value) for name, value in tags.items()}
        if isinstance(tags, dict)
        else {},
    )


def _seconds(microseconds: Any) -> float:
    """A time or a duration; 0 if it is none."""
    is_number = isinstance(microseconds, int | float) and not isinstance(microseconds, bool)
    return microseconds / 1e6 if is_number and 0 <= microseconds <= LATEST else 0.0
