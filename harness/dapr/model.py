"""daprd's typed responses. Shapes from Dapr's HTTP API (pkg/api/http of dapr/dapr)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

Concurrency = Literal["first-write", "last-write"]
Consistency = Literal["strong", "eventual"]


@dataclass(frozen=True)
class StateItem:
    """One value of a state store.

    Attributes:
        key: without the store's prefix.
        value: the JSON value; None if the key does not exist.
        etag: "" if the key does not exist.
        metadata: the store's metadata for it, such as ``ttlExpireTime``.
    """

    key: str
    value: Any
    etag: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        """Whether the store has the key."""
        return bool(self.etag)


@dataclass(frozen=True)
class StatePage:
    """One page of a query's results.

    Attributes:
        items: in the order that the query requested.
        token: the token of the next page; "" if there is none.
    """

    items: Sequence[StateItem]
    token: str = ""


@dataclass(frozen=True)
class StateOperation:
    """One step of a state transaction.

    Attributes:
        operation: ``upsert`` or ``delete``.
        etag: the version that must be current; None for any.
        ttl: seconds until an upserted value expires; None for never.
        consistency: ``strong`` or ``eventual``; None for the store's default.
    """

    operation: Literal["upsert", "delete"]
    key: str
    value: Any = None
    etag: str | None = None
    ttl: int | None = None
    consistency: Consistency | None = None


@dataclass(frozen=True)
class BulkEntry:
    """One event of a bulk publish; the id is unique within the request."""

    entry_id: str
    event: Any
    content_type: str = "application/json"
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class BindingAnswer:
    """What an output binding returned: decoded JSON, text, or None, and its metadata."""

    data: Any
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Component:
    """A component that the sidecar has loaded."""

    name: str
    type: str
    version: str
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True)
class Subscription:
    """An active subscription of the sidecar.

    Attributes:
        kind: DECLARATIVE, PROGRAMMATIC or STREAMING.
        routes: the paths to which its rules route.
    """

    pubsub: str
    topic: str
    kind: str
    routes: tuple[str, ...]
    dead_letter_topic: str = ""


@dataclass(frozen=True)
class Metadata:
    """A sidecar's own metadata.

    Attributes:
        placement: ``placement: connected`` if it is connected, in daprd's wording.
        schedulers: addresses of the scheduler hosts it is connected to.
        actor_types: the types that its app hosts; complete once ``placement`` is connected.
        raw: the whole response.
    """

    app_id: str
    runtime_version: str
    components: tuple[Component, ...]
    subscriptions: tuple[Subscription, ...]
    placement: str
    schedulers: tuple[str, ...]
    actor_types: tuple[str, ...]
    raw: Mapping[str, Any]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Metadata:
        """Read the JSON of ``GET /v1.0/metadata``."""
        return cls(
            app_id=raw.get("id", ""),
            runtime_version=raw.get("runtimeVersion", ""),
            components=tuple(
                Component(
                    each["name"],
                    each["type"],
                    each.get("version", ""),
                    tuple(each.get("capabilities") or ()),
                )
                for each in raw.get("components") or ()
            ),
            subscriptions=tuple(_subscription(each) for each in raw.get("subscriptions") or ()),
            placement=(raw.get("actorRuntime") or {}).get("placement", ""),
            schedulers=tuple((raw.get("scheduler") or {}).get("connected_addresses") or ()),
            actor_types=tuple(each["type"] for each in raw.get("actors") or ()),
            raw=raw,
        )


def _subscription(raw: Mapping[str, Any]) -> Subscription:
    rules: Sequence[Mapping[str, Any]] = raw.get("rules") or ()
    return Subscription(
        pubsub=raw.get("pubsubname", ""),
        topic=raw.get("topic", ""),
        kind=raw.get("type", ""),
        routes=tuple(rule.get("path", "") for rule in rules),
        dead_letter_topic=raw.get("deadLetterTopic", ""),
    )
