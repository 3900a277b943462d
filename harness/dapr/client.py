"""The sidecar's typed clients, based on httpx; the asynchronous one is in `aclient`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

import httpx

from harness import loopback
from harness.closing import Closing
from harness.dapr import calls
from harness.dapr.model import (
    BindingAnswer,
    BulkEntry,
    Concurrency,
    Metadata,
    StateItem,
    StateOperation,
    StatePage,
)
from harness.endpoint import Endpoint

T = TypeVar("T")


class DaprClient(Closing):
    """A sidecar's HTTP API, synchronous.

    Args:
        endpoint: the sidecar's HTTP address.
        token: sent as ``dapr-api-token`` if not empty.
        timeout: seconds for each call; if no scheduler is available, its API blocks for 30 s.
    """

    def __init__(self, endpoint: Endpoint, token: str = "", *, timeout: float = 15.0) -> None:
        self.endpoint = endpoint
        self._client = loopback.client(endpoint.http, timeout=timeout, token=token)

    def close(self) -> None:
        """Close the connections. Closing twice is allowed."""
        self._client.close()

    def run(self, call: calls.Call[T]) -> T:
        """Send one call.

        Raises:
            DaprError: daprd responded with an error status.
        """
        answer = self._client.send(call.request(self._client))
        older = call.instead(answer)
        if older is not None:
            second = self._client.send(older.request(self._client))
            # Neither path: the error names the one of today.
            answer = answer if second.status_code == HTTPStatus.NOT_FOUND else second
        return call.parse(answer)

    def publish(
        self,
        pubsub: str,
        topic: str,
        data: Any,
        *,
        content_type: str = "application/json",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Publish data; daprd wraps it in a CloudEvent unless it is one already."""
        return self.run(
            calls.publish(pubsub, topic, data, content_type=content_type, metadata=metadata or {})
        )

    def publish_event(
        self,
        pubsub: str,
        topic: str,
        event: Mapping[str, Any],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Publish a CloudEvent unchanged (structured mode)."""
        return self.run(
            calls.publish(
                pubsub, topic, dict(event), content_type=calls.CLOUD_EVENT, metadata=metadata or {}
            )
        )

    def publish_bulk(self, pubsub: str, topic: str, entries: Sequence[BulkEntry]) -> None:
        """Publish several events in one request."""
        return self.run(calls.publish_bulk(pubsub, topic, entries))

    def get_state(
        self, store: str, key: str, metadata: Mapping[str, str] | None = None
    ) -> StateItem:
        """Read one key; a missing key returns an item that does not exist."""
        return self.run(calls.get_state(store, key, metadata or {}))

    def save_state(
        self,
        store: str,
        key: str,
        value: Any,
        *,
        etag: str | None = None,
        concurrency: Concurrency | None = None,
        ttl: int | None = None,
    ) -> None:
        """Write one key; with an etag, only if it is still current (otherwise status 409)."""
        return self.run(
            calls.save_state(store, key, value, etag=etag, concurrency=concurrency, ttl=ttl)
        )

    def delete_state(self, store: str, key: str, *, etag: str | None = None) -> None:
        """Delete one key; with an etag, only if it is still current (otherwise status 409)."""
        return self.run(calls.delete_state(store, key, etag=etag))

    def get_bulk_state(self, store: str, keys: Sequence[str]) -> list[StateItem]:
        """Read several keys; returns one item per key, in the requested order."""
        return self.run(calls.get_bulk_state(store, keys))

    def transact_state(self, store: str, operations: Sequence[StateOperation]) -> None:
        """Execute all of the operations or none; a stale etag returns status 500 here."""
        return self.run(calls.transact_state(store, operations))

    def query_state(
        self, store: str, query: Mapping[str, Any], metadata: Mapping[str, str] | None = None
    ) -> StatePage:
        """Query by a filter (alpha); a store that does not support queries returns status 500."""
        return self.run(calls.query_state(store, query, metadata or {}))

    def invoke(
        self,
        app_id: str,
        method: str,
        *,
        verb: str = "POST",
        json: Any = None,
        content: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        """Call another app; its response is passed through, whatever its status."""
        return self.run(
            calls.invoke(
                app_id,
                method,
                verb=verb,
                json=json,
                content=content,
                params=params or {},
                headers=headers or {},
            )
        )

    def schedule_job(
        self,
        name: str,
        *,
        due: str | None = None,
        schedule: str | None = None,
        repeats: int | None = None,
        data: Any = None,
        overwrite: bool = False,
        failure_policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Schedule a job; ``due``: RFC 3339 or a duration, ``schedule``: six-field cron, @every.

        ``failure_policy`` is Dapr's: ``{"drop": {}}``, or ``{"constant": {"interval": "1s",
        "maxRetries": 3}}``, which is the default for a job.
        """
        return self.run(
            calls.schedule_job(
                name,
                due=due,
                schedule=schedule,
                repeats=repeats,
                data=data,
                overwrite=overwrite,
                failure_policy=failure_policy,
            )
        )

    def get_job(self, name: str) -> dict[str, Any]:
        """A job as the scheduler stores it; an unknown one returns status 500."""
        return self.run(calls.get_job(name))

    def delete_job(self, name: str) -> None:
        """Cancel a job; an unknown one is not an error."""
        return self.run(calls.delete_job(name))

    def get_secret(
        self, store: str, name: str, metadata: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """A secret's keys and values."""
        return self.run(calls.get_secret(store, name, metadata or {}))

    def get_bulk_secret(self, store: str) -> dict[str, dict[str, str]]:
        """All secrets that the sidecar may read."""
        return self.run(calls.get_bulk_secret(store))

    def invoke_binding(
        self,
        name: str,
        operation: str,
        data: Any = None,
        metadata: Mapping[str, str] | None = None,
    ) -> BindingAnswer:
        """Run one operation of an output binding."""
        return self.run(calls.invoke_binding(name, operation, data, metadata or {}))

    def metadata(self) -> Metadata:
        """The sidecar's own metadata."""
        return self.run(calls.metadata())

    def health(self, *, outbound: bool = False) -> None:
        """Return if the sidecar reports that it is ready, otherwise raise its error."""
        return self.run(calls.health(outbound=outbound))
