"""Asynchronous versions of the probes."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

from harness.probe.inbox import Delivery, Inbox
from harness.probe.stream import Stream

T = TypeVar("T")


class AsyncStream(Generic[T]):
    """Asynchronous version of a tap or an inbox: it waits in a thread, so the loop stays free."""

    def __init__(self, stream: Stream[T]) -> None:
        self._stream = stream

    async def next(self, *, timeout: float | None = None, **wanted: Any) -> T:
        """The first matching item that was not returned before; waits for it."""
        return await asyncio.to_thread(self._stream.next, timeout=timeout, **wanted)

    async def collect(self, count: int, *, timeout: float | None = None, **wanted: Any) -> list[T]:
        """The next ``count`` items that match, in order."""
        collect = self._stream.collect
        return await asyncio.to_thread(collect, count, timeout=timeout, **wanted)

    async def nothing_before(
        self, barrier: dict[str, Any], *, timeout: float | None = None, **unwanted: Any
    ) -> T:
        """Wait for a barrier, and fail if an unwanted item came before it."""
        wait = self._stream.nothing_before
        return await asyncio.to_thread(wait, barrier, timeout=timeout, **unwanted)

    async def all(self, **wanted: Any) -> list[T]:
        """Every matching item so far."""
        return await asyncio.to_thread(self._stream.all, **wanted)


class AsyncInbox(AsyncStream[Delivery]):
    """Asynchronous version of an inbox."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox)
        self._inbox = inbox

    async def spoil(self, path: str, **how: Any) -> None:
        """Respond to the next deliveries with an error, see `Inbox.spoil`."""
        await asyncio.to_thread(self._inbox.spoil, path, **how)

    async def heal(self) -> None:
        """Remove every rule."""
        await asyncio.to_thread(self._inbox.heal)
