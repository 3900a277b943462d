"""What the page asks of a stack: the part of `harness.inspection` that it uses."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol


class Source(Protocol):
    """A stack that can be looked at. Each call blocks, and returns a value that becomes JSON."""

    def overview(self) -> Any:
        """Nodes, topics, stores, components and jobs."""
        ...

    def events(self, *, after: int = 0, limit: int = 200) -> Any:
        """The events after a cursor, the newest last."""
        ...

    def event(self, event_id: str) -> Any:
        """One event with its path."""
        ...

    def logs(self, *, after: int = 0, limit: int = 500) -> Any:
        """The log lines of all nodes after a cursor, in order."""
        ...

    def state(self, store: str, prefix: str = "") -> Any:
        """The keys of a state store."""
        ...

    def act(self, action: str, node: str) -> None:
        """Restart, kill, pause or resume a node."""
        ...

    def publish(self, app: str, pubsub: str, topic: str, data: Any) -> Any:
        """Publish an event through the sidecar of an app."""
        ...

    def invoke(self, app: str, method: str, data: Any, *, verb: str = "POST") -> Any:
        """Call a method of an app through its sidecar."""
        ...

    def redeliver(self, event_id: str) -> Any:
        """Publish an event again, to the topic on which it was."""
        ...


def plain(value: Any) -> Any:
    """A result as JSON values, whether it is a model, a dataclass or a dictionary already."""
    if hasattr(value, "as_json"):
        return value.as_json()
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    return value
