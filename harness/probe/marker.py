"""Markers: events from the harness that show where in a topic a tap was opened."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import Any

TYPE = "dapr-harness.tap-opened"
CONTENT_TYPE = "application/cloudevents+json"


def new_id() -> str:
    """A unique id for a marker."""
    return f"tap-opened-{secrets.token_hex(8)}"


def marker(identity: str) -> bytes:
    """A CloudEvent that every daprd drops, because it expired long ago.

    daprd 1.18.2 checks `expiration` before it chooses a route (`HasExpired`, in
    `pkg/runtime/subscription`), so no app receives one unless it requests raw payloads.
    """
    body = {
        "specversion": "1.0",
        "id": identity,
        "source": "dapr-harness",
        "type": TYPE,
        "expiration": "1970-01-01T00:00:00Z",
        "datacontenttype": "text/plain",
        "data": "A test of dapr-harness began to watch this topic here.",
    }
    return json.dumps(body).encode()


def is_marker(envelope: Mapping[str, Any]) -> bool:
    """Whether a CloudEvent is a marker, from any tap."""
    return envelope.get("type") == TYPE
