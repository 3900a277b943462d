"""The common part of tap and inbox: an ordered stream, read as far as a test needs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ProbeTimeout
from harness.probe.aeventually import aexplained
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard, unguarded

T = TypeVar("T")
SHOWN = 12
"""The number of items that a failure message lists."""


class AsyncStream(Generic[T]):
    """Ordered items from a growing source.

    Args:
        subject: what is observed, for messages.
        pull: returns the new items since the last call, without waiting for any; it may block for
            the time that reading takes.
        timeout: the default budget of a wait, in seconds.
        guard: ends a wait by raising.
    """

    def __init__(
        self,
        subject: str,
        pull: Callable[[], Iterable[T]],
        *,
        timeout: float = 10.0,
        guard: Guard = unguarded,
    ) -> None:
        self.subject = subject
        self.guard = guard
        self.timeout = timeout
        self._pull = pull
        self._lock = threading.Lock()
        self._seen: list[T] = []
        self._taken: set[int] = set()

    @property
    async def seen(self) -> Sequence[T]:
        """Everything that has arrived so far, in order."""
        await self._refresh()
        return list(self._seen)

    @property
    def arrived(self) -> Sequence[T]:
        """What has been read so far, without reading more."""
        return list(self._seen)

    async def next(self, *, timeout: float | None = None, **wanted: Any) -> T:
        """The first matching item that was not returned before; waits for it.

        Args:
            timeout: seconds; the stream's default if None.
            wanted: fields the item must have, see `matches`.

        Raises:
            ProbeTimeout: it did not arrive; the message lists what arrived instead.
        """
        index = await self._await(wanted, self._deadline(timeout))
        self._taken.add(index)
        return self._seen[index]

    async def all(self, **wanted: Any) -> list[T]:
        """Every matching item so far, whether returned before or not."""
        return [item for item in await self.seen if matches(item, wanted)]

    async def collect(self, count: int, *, timeout: float | None = None, **wanted: Any) -> list[T]:
        """The next ``count`` items that match, in order."""
        deadline = self._deadline(timeout)
        return [await self.next(timeout=deadline.remaining, **wanted) for _ in range(count)]

    async def nothing_before(
        self, barrier: dict[str, Any], *, timeout: float | None = None, **unwanted: Any
    ) -> T:
        """Wait for a barrier, and fail if an unwanted item came before it.

        Waiting alone cannot show that something is absent; the arrival of something that must come
        later can. All items that exist when the barrier arrives are read before the decision, and
        count as earlier unless they are known to be later.

        Args:
            barrier: fields of the item that ends the observation.
            timeout: seconds to wait for the barrier.
            unwanted: fields of the item that must not have come.

        Returns:
            The barrier.

        Raises:
            AssertionError: an unwanted item came before the barrier.
            ProbeTimeout: the barrier did not come, or existing items cannot be read.
        """
        deadline = self._deadline(timeout)
        index = await self._await(barrier, deadline)
        self._taken.add(index)
        earlier = await self._earlier(index, deadline)
        early = [item for item in earlier if matches(item, unwanted)]
        assert not early, (
            f"{self.subject}: {len(early)} unwanted before the barrier {barrier}: {early[:SHOWN]}"
        )
        return self._seen[index]

    async def _earlier(self, barrier: int, deadline: Deadline) -> list[T]:
        """The items before a given one; overridden by sources without a single order."""
        return self._seen[:barrier]

    def _deadline(self, timeout: float | None) -> Deadline:
        return Deadline(self.timeout if timeout is None else timeout)

    async def _await(self, wanted: dict[str, Any], deadline: Deadline) -> int:
        found: list[int] = []

        async def look() -> Observation:
            await self._refresh()
            for index, item in enumerate(self._seen):
                if index not in self._taken and matches(item, wanted):
                    found.append(index)
                    return Observation(True)
            return Observation(False)

        seen = await apoll(look, deadline, guard=self.guard)
        if not seen.ok:
            raise self._missed(wanted, deadline.budget)
        return found[0]

    def _missed(self, wanted: dict[str, Any], timeout: float) -> ProbeTimeout:
        others = [f"  {item}" for item in self._seen[-SHOWN:]]
        return ProbeTimeout(
            f"{self.subject}: nothing matched {shown(wanted)}",
            last=f"{len(self._seen)} others:\n" + "\n".join(others) if others else "nothing at all",
            budget=timeout,
            hint="is the filter right, and did the system fail? its logs are attached",
        )

    async def _refresh(self) -> None:
        async with aexplained(self.guard):
            await ablocking(self._take_in)

    def _take_in(self) -> None:
        """Read what is new. A task that no longer waits for it loses nothing: it is kept here."""
        with self._lock:
            self._seen.extend(self._pull())
