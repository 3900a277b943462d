"""Which events were handled, in Dapr state: at least once instead of exactly once.

Check, effect and mark are three steps: of two deliveries at the same moment, both may find that
nothing was handled yet, and a handler that dies before the mark does its work again. The services
keep a unique row instead, which is all three in one statement. This component is for effects
outside of a database whose repetition does no harm; ``scenarios/test_idempotency.py`` shows both.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx

from services.common.keys import key
from services.common.settings import settings
from services.common.sidecar import api_path, sidecar

REMEMBERED = timedelta(days=1)
"""Longer than an event can be delivered again."""


class Idempotency:
    """The events that were handled, with their results.

    Args:
        store: a state store that supports TTL; the service's own by default.
        client: calls the sidecar; that of the service by default.
    """

    def __init__(self, store: str | None = None, client: httpx.AsyncClient | None = None) -> None:
        self._store = store or settings().state_store
        self._client = client or sidecar()

    async def is_processed(self, event_id: str) -> bool:
        """Whether an event was marked, not long ago.

        Raises:
            ValueError: the id is empty: all events without an id would be one.
            httpx.HTTPError: the sidecar failed.
        """
        return await self._marked(event_id) is not None

    async def get_result(self, event_id: str) -> Any:
        """The result with which an event was marked; None if it was not, or not any more.

        Raises:
            ValueError, httpx.HTTPError: see `is_processed`.
        """
        marked = await self._marked(event_id)
        return marked["result"] if marked else None

    async def mark_processed(
        self, event_id: str, result: Any = None, ttl: timedelta = REMEMBERED
    ) -> None:
        """Mark an event as handled.

        Args:
            event_id: the ``id`` of a CloudEvent.
            result: any JSON, returned by `get_result`.
            ttl: for how long, at least a second.

        Raises:
            ValueError: the id is empty, or the time is too short: with a TTL of 0, PostgreSQL's
                store would keep the mark for ever.
            httpx.HTTPError: the sidecar failed.
        """
        seconds = int(ttl.total_seconds())
        if seconds < 1:
            raise ValueError(f"a mark needs a time of at least a second, not {ttl}")
        item = {
            "key": _key(event_id),
            "value": {"processed": True, "result": result},
            "metadata": {"ttlInSeconds": str(seconds)},
        }
        answer = await self._client.post(api_path("state", self._store), json=[item])
        answer.raise_for_status()

    async def _marked(self, event_id: str) -> dict[str, Any] | None:
        answer = await self._client.get(api_path("state", self._store, _key(event_id)))
        answer.raise_for_status()
        # 204 without a body: there is no such key.
        found: dict[str, Any] | None = answer.json() if answer.content else None
        return found


def _key(event_id: str) -> str:
    return key("idempotency", event_id)
