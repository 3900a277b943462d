"""What apps and tests have asked of the keys of state stores, and what they were answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from harness.core.observation import Occurrence
from harness.ledger.effects import moment

Kind = Literal["read", "write", "delete"]

TTL = "ttlinseconds"
"""The metadata that says when a key expires, in lower case."""

META = "metadata."
"""How a parameter of the query begins that is metadata."""

KINDS: Mapping[str, Kind] = {"upsert": "write", "delete": "delete"}
"""By the name of an operation in a transaction."""


@dataclass(frozen=True)
class KeyOperation:
    """One operation on a key, as a sidecar was asked for it.

    Attributes:
        app: the app that asked, or ``test``.
        node: the node of the app whose sidecar was asked: one of the replicas.
        time: when it was asked, in nanoseconds since the epoch.
        at: the same in seconds, on a clock that nobody sets.
        took: seconds until the response.
        status: of the response; None if there was none.
        value: what was written, or has been read.
        etag: the version that it requires; "" if it requires none.
        ttl: the seconds after which the store removes the key; None if it keeps it.
        found: whether a read has found the key; None of others, and of one that failed.
    """

    kind: Kind
    app: str
    node: str
    time: int
    at: float
    took: float
    status: int | None
    value: Any = None
    etag: str = ""
    ttl: int | None = None
    found: bool | None = None

    @property
    def accepted(self) -> bool:
        """Whether the sidecar has acknowledged it."""
        return self.status is not None and 200 <= self.status <= 299


@dataclass(frozen=True)
class KeyPath:
    """What is known of one key of a state store.

    Attributes:
        store: the component.
        key: as apps call it.
        app: the app whose key it is; "" if all apps that use the store share it.
        operations: in the order in which they were asked.
    """

    store: str
    key: str
    app: str
    operations: tuple[KeyOperation, ...]

    @property
    def changes(self) -> tuple[KeyOperation, ...]:
        """The writes and deletions that were acknowledged."""
        return tuple(each for each in self.operations if each.kind != "read" and each.accepted)

    @property
    def writes(self) -> tuple[KeyOperation, ...]:
        """The writes that were acknowledged."""
        return tuple(each for each in self.changes if each.kind == "write")

    @property
    def last(self) -> KeyOperation | None:
        """The last change."""
        return self.changes[-1] if self.changes else None

    def lost_early(self) -> KeyOperation | None:
        """A read that has not found the last write although its time was not over."""
        last = self.last
        if last is None or last.kind != "write":
            return None
        return next((each for each in self.operations if _is_lost(each, last)), None)


def _is_lost(read: KeyOperation, written: KeyOperation) -> bool:
    after = written.at + written.took <= read.at
    lives = written.ttl is None or read.at + read.took < written.at + written.ttl
    return read.found is False and after and lives


def keys_of(
    calls: Sequence[Occurrence],
    apps: Mapping[str, str],
    shared: Collection[tuple[str, str]] = (),
) -> tuple[KeyPath, ...]:
    """What is known of each key, by store, name and app.

    Args:
        calls: in order.
        apps: the app of each replica, by the replica's node.
        shared: the app and the store of keys that do not belong to this app alone.
    """
    found = defaultdict[tuple[str, str, str], list[KeyOperation]](list)
    for call in calls:
        if call.facts.get("api") == "state":
            node, store = call.facts.get("sidecar") or call.node, call.facts["target"]
            app = apps.get(node, node)
            owner = "" if (app, store) in shared else app
            for key, each in _operations(_Asked(call, apps.get(call.node, call.node), node)):
                found[store, key, owner].append(each)
    return tuple(KeyPath(*place, tuple(each)) for place, each in sorted(found.items()))


@dataclass(frozen=True)
class _Asked:
    """A request to the state API."""

    call: Occurrence
    app: str
    node: str

    def operation(self, kind: Kind, **more: Any) -> KeyOperation:
        """One of its operations."""
        call = self.call
        took, status = call.took or 0.0, call.facts["status"]
        return KeyOperation(
            kind, self.app, self.node, call.time, moment(call), took, status, **more
        )

    def change(self, kind: Kind, row: Mapping[str, Any]) -> tuple[str, KeyOperation]:
        """A write or a deletion, as a row of its body describes it."""
        etag, value = str(row.get("etag") or ""), row.get("value")
        if kind == "delete":
            return str(row["key"]), self.operation(kind, etag=etag)
        ttl = _ttl({**_object(row.get("metadata")), **self._given()})
        return str(row["key"]), self.operation(kind, value=value, etag=etag, ttl=ttl)

    def read(self, key: str, value: Any, *, found: bool) -> tuple[str, KeyOperation]:
        """A read of a key, if the request was a success."""
        known = self.call.facts["status"] in (200, 204)
        return key, self.operation(
            "read", value=value if found else None, found=found if known else None
        )

    def _given(self) -> dict[str, str]:
        """Metadata in the query, which daprd adds to that of each key."""
        given = parse_qsl(urlsplit(self.call.facts["path"]).query)
        return {name.removeprefix(META): value for name, value in given if name.startswith(META)}


def _operations(asked: _Asked) -> Iterator[tuple[str, KeyOperation]]:
    """The operations of a request, with their keys."""
    facts, body = asked.call.facts, asked.call.payload
    place = urlsplit(facts["path"]).path.split("/")[4:]
    if facts["method"] == "GET" and place:
        key = unquote("/".join(place))
        yield asked.read(key, facts.get("answer"), found=facts["status"] == 200)
    elif facts["method"] == "DELETE" and place:
        etag = facts.get("etag", "")
        yield unquote("/".join(place)), asked.operation("delete", etag=etag)
    elif place == ["transaction"]:
        for row in _objects(_object(body).get("operations")):
            kind, change = KINDS.get(str(row.get("operation"))), _object(row.get("request"))
            if kind and "key" in change:
                yield asked.change(kind, change)
    elif place == ["bulk"]:
        yield from _bulk(asked)
    elif not place:
        yield from (asked.change("write", row) for row in _objects(body) if "key" in row)


def _bulk(asked: _Asked) -> Iterator[tuple[str, KeyOperation]]:
    """The reads of a request for several keys; one that failed has an error of its own."""
    answers = {row.get("key"): row for row in _objects(asked.call.facts.get("answer"))}
    wanted = _object(asked.call.payload).get("keys")
    for key in map(str, wanted if isinstance(wanted, list) else ()):
        row = answers.get(key, {"error": "no answer"})
        if "error" in row:
            yield key, asked.operation("read")
        else:
            yield asked.read(key, row.get("data"), found="etag" in row or "data" in row)


def _ttl(metadata: Mapping[str, Any]) -> int | None:
    """Seconds; None if the store is to keep the key."""
    found = [value for name, value in metadata.items() if name.lower() == TTL]
    try:
        return int(found[-1]) if found and int(found[-1]) > 0 else None
    except (ValueError, TypeError):
        return None


def _object(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _objects(rows: Any) -> list[dict[str, Any]]:
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
