"""Pages that are open, and what they are told."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

WAITING = 100
"""Messages that a page may be behind; one that is further behind is let go and comes again."""

Message = dict[str, str]


class Live:
    """Hands messages to the open pages of a user; keeps nothing for those that are not there."""

    def __init__(self) -> None:
        self._pages: dict[str, dict[str, asyncio.Queue[Message | None]]] = {}

    @staticmethod
    def name() -> str:
        """A name for one page."""
        return uuid.uuid4().hex

    def tell(self, user_id: str, data: dict[str, Any]) -> None:
        """Tell every page of a user."""
        for queue in self._pages.get(user_id, {}).values():
            try:
                queue.put_nowait({"event": "notification", "data": json.dumps(data)})
            except asyncio.QueueFull:
                self._end(queue)

    async def listen(self, user_id: str, page: str) -> AsyncIterator[Message]:
        """What a page is told, from now on until it goes."""
        queue: asyncio.Queue[Message | None] = asyncio.Queue(WAITING)
        self._pages.setdefault(user_id, {})[page] = queue
        try:
            # At once: the page knows that nothing is missed from here on.
            yield {"event": "open", "data": "{}"}
            while (message := await queue.get()) is not None:
                yield message
        finally:
            del self._pages[user_id][page]
            if not self._pages[user_id]:
                del self._pages[user_id]

    def close(self) -> None:
        """Let every page go."""
        for pages in self._pages.values():
            for queue in pages.values():
                self._end(queue)

    @staticmethod
    def _end(queue: asyncio.Queue[Message | None]) -> None:
        while not queue.empty():
            queue.get_nowait()
        queue.put_nowait(None)
