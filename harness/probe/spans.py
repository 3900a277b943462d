"""Traces in Zipkin's format, as sent by sidecars."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from harness.core.observation import Occurrence, correlation_of
from harness.probe.deliveries import Delivery

PATH = "/api/v2/spans"
"""A Zipkin collector's path for them; https://zipkin.io/zipkin-api/ documents the format."""


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
    """The spans of one delivery to their path."""
    rows: list[dict[str, Any]] = (
        json.loads(delivery.data) if isinstance(delivery.data, str) else delivery.data
    )
    for row in rows:
        yield Span(
            trace=row["traceId"],
            id=row["id"],
            parent=row.get("parentId", ""),
            name=row.get("name", ""),
            service=(row.get("localEndpoint") or {}).get("serviceName", ""),
            kind=row.get("kind", ""),
            began=row.get("timestamp", 0) / 1e6,
            took=row.get("duration", 0) / 1e6,
            tags=row.get("tags") or {},
        )
