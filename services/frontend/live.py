"""The open pages, and the messages pushed to them."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from services.common.database import now

WAITING = 100
"""The maximum number of messages waiting for a page; a slower page is dropped and reconnects."""

Message = dict[str, str]


class Live:
    """Pushes messages to the open pages of a user; stores nothing for other pages."""

    def __init__(self) -> None:
        self._pages: dict[str, dict[str, asyncio.Queue[Message | None]]] = {}

    @staticmethod
    def name() -> str:
        """A name for one page."""
        return uuid.uuid4().hex

    def enqueue(self, user_id: str, kind: str, data: dict[str, Any]) -> None:
        """Push a message of a kind to every page of a user."""
        for queue in self._pages.get(user_id, {}).values():
            try:
                queue.put_nowait({"event": kind, "data": json.dumps(data)})
            except asyncio.QueueFull:
                self._end(queue)

    async def listen(
        self, user_id: str, page: str, until: datetime | None = None
    ) -> AsyncIterator[Message]:
        """The messages for a page, from now on until it leaves, or until a time."""
        end = None if until is None else (until - now()).total_seconds() + _clock()
        queue: asyncio.Queue[Message | None] = asyncio.Queue(WAITING)
        self._pages.setdefault(user_id, {})[page] = queue
        try:
            # Sent at once: the page then knows that it misses nothing from now on.
            yield {"event": "open", "data": "{}"}
            while (message := await _next(queue, end)) is not None:
                yield message
        finally:
            del self._pages[user_id][page]
            if not self._pages[user_id]:
                del self._pages[user_id]

    def close(self) -> None:
        """Disconnect every page."""
        for pages in self._pages.values():
            for queue in pages.values():
                self._end(queue)

    @staticmethod
    def _end(queue: asyncio.Queue[Message | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)


async def _next(queue: asyncio.Queue[Message | None], end: float | None) -> Message | None:
    """The next message; None if there will be none."""
    try:
        async with asyncio.timeout_at(end):
            return await queue.get()
    except TimeoutError:
        return None


def _clock() -> float:
    return asyncio.get_running_loop().time()
