"""One record of what happened, whoever observed it: the unit of a test's timeline."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Source = Literal["journal", "event", "delivery", "span", "call", "firing"]


@dataclass(frozen=True)
class Occurrence:
    """Something that happened in a stack.

    Attributes:
        time: nanoseconds since the epoch. A broker's record times have milliseconds.
        source: who observed it: the journal of the run, a tap (``event``), an inbox or a receiver
            (``delivery``), a receiver of traces (``span``), the recorder of an app's calls
            (``call``), or a scheduler with virtual time (``firing``).
        node: the node it happened to, or that did it; "" if that is not known.
        what: a line of text.
        correlation: what connects it with others, as far as known: ``trace``, ``event``, ``job``,
            ``key``, ``subject``.
        payload: what was sent, or the details of an entry of the journal.
        facts: the details that its line of text contains, and more, by name; see what makes it.
        took: seconds until it was complete; None if it has no duration.
        world: the id of the test's world that it mentions; "" if none is known.
    """

    time: int
    source: Source
    node: str
    what: str
    correlation: Mapping[str, str] = field(default_factory=dict)
    payload: Any = None
    took: float | None = None
    world: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def mentions(self, text: str) -> bool:
        """Whether a text occurs in what is known of it."""
        known = (self.what, *self.correlation.values(), str(self.payload))
        return any(text in each for each in known)


def epoch_ns(at: float) -> int:
    """A time of ``time.monotonic``, which all processes of a machine share, as epoch nanoseconds.

    If the machine's clock was set since then, the result is the time on the new clock.
    """
    return time.time_ns() - round((time.monotonic() - at) * 1e9)


def correlation_of(**known: object) -> dict[str, str]:
    """The ids that are known, as text; without those that are empty."""
    return {name: str(value) for name, value in known.items() if value}


def event_in(body: object) -> dict[str, Any]:
    """The attributes of the CloudEvent that a decoded body is; empty if it is none."""
    return body if isinstance(body, dict) and "specversion" in body else {}


def trace_in(fields: Mapping[str, Any]) -> str:
    """The trace id in the ``traceparent`` of headers, or of a CloudEvent; "" if there is none."""
    parts = str(fields.get("traceparent", "")).split("-")
    # daprd sends zeros where it does not trace.
    return parts[1] if len(parts) == 4 and parts[1].strip("0") else ""


def origin_in(headers: Mapping[str, Any]) -> tuple[str, int, int] | None:
    """Topic, partition and offset of a record in what Dapr's Kafka component says of it.

    It is in the headers of each delivery, and in those of the record of a dead letter, because the
    sidecar publishes it with what it knows of the original (components-contrib 1.18.3,
    ``common/component/kafka/metadata.go``).
    """
    topic = str(headers.get("__topic", ""))
    place = [str(headers.get(name, "")) for name in ("__partition", "__offset")]
    return (topic, int(place[0]), int(place[1])) if topic and all(map(_is_number, place)) else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
