"""What the page asks of a stack: the part of `harness.inspection` that it uses."""

from __future__ import annotations

from typing import Any, Protocol


class Browsed(Protocol):
    """What the page asks of the databases of a stack."""

    def keys(
        self,
        *,
        store: str | None = None,
        app: str | None = None,
        text: str | None = None,
        after: str = "",
        limit: int = 200,
    ) -> Any:
        """Keys of the state stores."""
        ...

    def stored_value(self, raw: str, *, store: str | None = None, app: str | None = None) -> Any:
        """The value of a key as the store has it."""
        ...

    def tables(self) -> Any:
        """The tables of all databases."""
        ...

    def rows(
        self,
        table: str,
        *,
        node: str | None = None,
        database: str | None = None,
        text: str | None = None,
        offset: int = 0,
        limit: int = 50,
        newest_first: bool = True,
    ) -> Any:
        """Rows of a table."""
        ...


class Source(Browsed, Protocol):
    """A stack that can be looked at. Each call blocks, and returns a value that becomes JSON."""

    def overview(self) -> Any:
        """Nodes, topics, stores, components and jobs."""
        ...

    def events(self, *, after: int = 0, limit: int = 200) -> Any:
        """The events after a cursor, the newest last."""
        ...

    def event(self, event: str) -> Any:
        """One event with its path."""
        ...

    def traces(self, *, after: int = 0, limit: int = 200) -> Any:
        """The traces after a cursor, the newest last."""
        ...

    def trace(self, trace: str) -> Any:
        """One trace with its spans."""
        ...

    def metrics(self) -> Any:
        """Rates of events and calls, and samples of the nodes."""
        ...

    def node(self, name: str) -> Any:
        """One node with its command and variables."""
        ...

    def logs(self, *, after: int = 0, limit: int = 500) -> Any:
        """The log lines of all nodes after a cursor, in order."""
        ...

    def state(self, key: str, *, app: str | None = None, store: str | None = None) -> Any:
        """The value of a key of a state store."""
        ...

    def act(self, action: Any, node: str) -> None:
        """Restart, kill, pause or resume a node."""
        ...

    def publish(
        self,
        topic: str,
        data: Any,
        *,
        app: str | None = None,
        pubsub: str | None = None,
        event_type: str | None = None,
        key: str | None = None,
    ) -> Any:
        """Publish an event through the sidecar of an app."""
        ...

    def invoke(self, app: str, path: str, *, verb: str | None = None, data: Any = None) -> Any:
        """Call a method of an app through its sidecar."""
        ...

    def redeliver(self, event: str) -> Any:
        """Publish the data of an event again."""
        ...


def plain(value: Any) -> Any:
    """A result as JSON values, which it may be already."""
    return value.as_json() if hasattr(value, "as_json") else value
