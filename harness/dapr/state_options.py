"""Options of state calls, as values for their JSON or their query."""

from __future__ import annotations

from typing import Any

from harness.dapr.model import Concurrency, Consistency, StateOperation


def operation_json(each: StateOperation) -> dict[str, Any]:
    """One step of a transaction, as Dapr has it."""
    request: dict[str, Any] = {"key": each.key}
    if each.operation == "upsert":
        request["value"] = each.value
    if each.etag is not None:
        request["etag"] = each.etag
    if chosen := options(each.etag, None, each.consistency):
        request["options"] = chosen
    if each.ttl is not None:
        request["metadata"] = {"ttlInSeconds": str(each.ttl)}
    return {"operation": each.operation, "request": request}


def options(
    etag: str | None, concurrency: Concurrency | None, consistency: Consistency | None
) -> dict[str, str]:
    """The options of a change: those that were chosen; with an etag, the first write wins."""
    # Set explicitly: how last-write treats a stale etag differs between stores.
    implied = "first-write" if etag is not None else None
    return present(concurrency=concurrency or implied, consistency=consistency)


def present(**words: str | None) -> dict[str, str]:
    """Those that are not None."""
    return {name: word for name, word in words.items() if word is not None}
