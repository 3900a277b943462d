"""An event of the ledger, published again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.core.as_json import AsJson
from harness.core.errors import ConfigError
from harness.inspection.calling import publish
from harness.ledger.model import EventPath
from harness.stack.registry import UpStack


@dataclass(frozen=True)
class RedeliveredRow(AsJson):
    """A new publication with the data of an event.

    Attributes:
        of: the id of the event; the new one has an id of its own.
        app: the app whose sidecar has published it.
        note: what this is, for a person.
    """

    of: str
    topic: str
    pubsub: str
    app: str
    type: str
    note: str


def redeliver(
    stack: UpStack, path: EventPath, pubsubs: Mapping[str, str], *, app: str | None = None
) -> RedeliveredRow:
    """Publish the data of an event again, to its own topic and with its own type.

    Every subscriber of the topic receives it, as an event with a new id.

    Args:
        stack: the stack.
        path: the event.
        pubsubs: the pub/sub component of each topic, as far as it is known.
        app: the app whose sidecar publishes; if None, one that can.

    Raises:
        ConfigError: the event has no topic, or its data is not known.
        SystemFailure, ProbeError: the sidecar refused, or did not answer.
    """
    if not path.topics:
        raise ConfigError("the event cannot be published again", last="its topic is not known")
    topic = path.topics[0]
    raw = bool(path.records) and not path.id
    content, kind = _raw(path.data) if raw else _encoded(path.data)
    metadata = {
        "cloudevent.type": path.type or None,
        "cloudevent.subject": path.subject or None,
        "rawPayload": "true" if raw else None,
    }
    done = publish(
        stack,
        topic,
        content,
        app=app,
        pubsub=next((each.pubsub for each in path.publications), None) or pubsubs.get(topic),
        content_type=kind,
        metadata=metadata,
    )
    note = (
        f"a new publication to {topic!r} with the same data"
        f"{' and type' if path.type else ''}; every subscriber receives it, under a new id"
    )
    return RedeliveredRow(path.id, topic, done.pubsub, done.app, path.type, note)


def _raw(data: Any) -> tuple[bytes, str]:
    """The bytes of a record that is not a CloudEvent."""
    if isinstance(data, str) and "\N{REPLACEMENT CHARACTER}" in data:
        raise ConfigError(
            "the record cannot be published again",
            expected="JSON or text",
            last="it is binary, and the ledger has text only",
        )
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return text.encode(), "application/octet-stream"


def _encoded(data: Any) -> tuple[bytes, str]:
    if isinstance(data, bytes):
        return data, "application/octet-stream"
    return json.dumps(data, ensure_ascii=False).encode("utf-8", "replace"), "application/json"
