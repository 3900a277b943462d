"""The typed, asynchronous client of a sidecar, based on httpx."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import httpx

from harness.core.closing import AsyncClosing
from harness.core.endpoint import Endpoint
from harness.core.tracing import traced
from harness.dapr import calls
from harness.dapr.model import (
    BindingAnswer,
    BulkEntry,
    Concurrency,
    Consistency,
    Metadata,
    StateItem,
    StateOperation,
    StatePage,
)
from harness.ready import loopback

T = TypeVar("T")


class Note(Protocol):
    """Is told of every call."""

    def __call__(
        self, request: httpx.Request, answer: httpx.Response | None, at: float, *,
        took: float, time: int,
    ) -> None:  # fmt: skip
        """A request, its response if there was one, and when it was sent, as `Call` has it."""
        ...


class _NotingClient(httpx.AsyncClient):
    """Tells others of its requests."""

    def __init__(self, notes: Sequence[Note], **options: Any) -> None:
        super().__init__(**options)
        self._notes = notes

    async def send(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send a request."""
        begun, moment = time.monotonic(), time.time_ns()
        answer: httpx.Response | None = None
        try:
            answer = await super().send(request, **options)
        finally:
            took = time.monotonic() - begun
            for note in self._notes:
                note(request, answer, begun, took=took, time=moment)
        return answer


class AsyncDaprClient(AsyncClosing):
    """A sidecar's HTTP API, asynchronous.

    Args:
        endpoint: the sidecar's HTTP address.
        token: sent as ``dapr-api-token`` if not empty.
        timeout: seconds for each call; if no scheduler is available, its API blocks for 30 s.
        notes: called with each call.

    Attributes:
        http: what it sends requests with, for code that takes a client of httpx.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        token: str = "",
        *,
        timeout: float = 15.0,
        notes: Sequence[Note] = (),
    ) -> None:
        self.endpoint = endpoint
        made = partial(_NotingClient, notes)
        self.http: httpx.AsyncClient = loopback.aclient(
            endpoint.http, timeout=timeout, token=token, sign=traced(lambda _: {}), made_by=made
        )

    async def aclose(self) -> None:
        """Close the connections. Closing twice is allowed."""
        await self.http.aclose()

    async def run(self, call: calls.Call[T]) -> T:
        """Send one call.

        Raises:
            DaprError: daprd responded with an error status.
        """
        answer = await self.http.send(call.request(self.http))
        older = call.instead(answer)
        if older is not None:
            second = await self.http.send(older.request(self.http))
            # Neither path: the error names the one of today.
            answer = answer if second.status_code == HTTPStatus.NOT_FOUND else second
        return call.parse(answer)

    async def publish(
        self,
        pubsub: str,
        topic: str,
        data: Any,
        *,
        content_type: str = "application/json",
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Publish data; daprd wraps it in a CloudEvent unless it is one already."""
        return await self.run(
            calls.publish(pubsub, topic, data, content_type=content_type, metadata=metadata or {})
        )

    async def publish_event(
        self,
        pubsub: str,
        topic: str,
        event: Mapping[str, Any],
        *,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Publish a CloudEvent unchanged (structured mode)."""
        return await self.run(
            calls.publish(
                pubsub, topic, dict(event), content_type=calls.CLOUD_EVENT, metadata=metadata or {}
            )
        )

    async def publish_bulk(self, pubsub: str, topic: str, entries: Sequence[BulkEntry]) -> None:
        """Publish several events in one request."""
        return await self.run(calls.publish_bulk(pubsub, topic, entries))

    async def get_state(
        self,
        store: str,
        key: str,
        metadata: Mapping[str, str] | None = None,
        *,
        consistency: Consistency | None = None,
    ) -> StateItem:
        """Read one key; a missing key returns an item that does not exist."""
        return await self.run(calls.get_state(store, key, metadata or {}, consistency=consistency))

    async def save_state(
        self,
        store: str,
        key: str,
        value: Any,
        *,
        etag: str | None = None,
        concurrency: Concurrency | None = None,
        ttl: int | None = None,
        consistency: Consistency | None = None,
    ) -> None:
        """Write one key; with an etag, only if it is still current (otherwise status 409).

        ``consistency`` is a wish: a store that has only one kind ignores it (docs/probes.md).
        """
        return await self.run(
            calls.save_state(
                store,
                key,
                value,
                etag=etag,
                concurrency=concurrency,
                ttl=ttl,
                consistency=consistency,
            )
        )

    async def delete_state(
        self,
        store: str,
        key: str,
        *,
        etag: str | None = None,
        consistency: Consistency | None = None,
    ) -> None:
        """Delete one key; with an etag, only if it is still current (otherwise status 409)."""
        return await self.run(calls.delete_state(store, key, etag=etag, consistency=consistency))

    async def get_bulk_state(self, store: str, keys: Sequence[str]) -> list[StateItem]:
        """Read several keys; returns one item per key, in the requested order."""
        return await self.run(calls.get_bulk_state(store, keys))

    async def transact_state(self, store: str, operations: Sequence[StateOperation]) -> None:
        """Execute all of the operations or none; a stale etag returns status 500 here."""
        return await self.run(calls.transact_state(store, operations))

    async def query_state(
        self, store: str, query: Mapping[str, Any], metadata: Mapping[str, str] | None = None
    ) -> StatePage:
        """Query by a filter (alpha); a store that does not support queries returns status 500."""
        return await self.run(calls.query_state(store, query, metadata or {}))

    async def invoke(
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
        return await self.run(
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

    async def schedule_job(
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
        return await self.run(
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

    async def get_job(self, name: str) -> dict[str, Any]:
        """A job as the scheduler stores it; an unknown one returns status 500."""
        return await self.run(calls.get_job(name))

    async def delete_job(self, name: str) -> None:
        """Cancel a job; an unknown one is not an error."""
        return await self.run(calls.delete_job(name))

    async def get_secret(
        self, store: str, name: str, metadata: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """A secret's keys and values."""
        return await self.run(calls.get_secret(store, name, metadata or {}))

    async def get_bulk_secret(self, store: str) -> dict[str, dict[str, str]]:
        """All secrets that the sidecar may read."""
        return await self.run(calls.get_bulk_secret(store))

    async def invoke_binding(
        self,
        name: str,
        operation: str,
        data: Any = None,
        metadata: Mapping[str, str] | None = None,
    ) -> BindingAnswer:
        """Run one operation of an output binding."""
        return await self.run(calls.invoke_binding(name, operation, data, metadata or {}))

    async def metadata(self) -> Metadata:
        """The sidecar's own metadata."""
        return await self.run(calls.metadata())

    async def health(self, *, outbound: bool = False) -> None:
        """Return if the sidecar reports that it is ready, otherwise raise its error."""
        return await self.run(calls.health(outbound=outbound))
