"""The common part of inboxes and calls: a stream of requests from a recorder."""

from __future__ import annotations

from typing import Protocol, TypeVar

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ProbeTimeout
from harness.probe.aeventually import aexplained
from harness.probe.astream import AsyncStream
from harness.probe.records import RecordReader
from harness.probe.waiting import Guard, unguarded


class _Timed(Protocol):
    @property
    def at(self) -> float:
        """When it was sent, on ``time.monotonic``."""
        ...


R = TypeVar("R", bound=_Timed)


class AsyncRecorded(AsyncStream[R]):
    """Requests in the order of their responses.

    Args:
        subject: what is observed, for messages.
        record: the recorder's.
        guard: ends a wait by raising.
    """

    def __init__(self, subject: str, record: RecordReader[R], guard: Guard = unguarded) -> None:
        super().__init__(subject, record.read, guard=guard)
        self._reader = record

    async def _earlier(self, barrier: int, deadline: Deadline) -> list[R]:
        """Requests that were sent before the barrier; waits for those without a response."""
        asked = self._seen[barrier].at

        async def look() -> Observation:
            async with aexplained(self.guard):
                oldest = await ablocking(self._reader.oldest_open)
            return Observation(oldest > asked, "a request before it has not been answered yet")

        seen = await apoll(look, deadline, guard=self.guard)
        if not seen.ok:
            raise ProbeTimeout(
                f"{self.subject}: the barrier came, but what came before it is not known",
                last=seen.fact,
                budget=deadline.budget,
                hint="does what was asked hang? its log is attached",
            )
        await self._refresh()
        return [each for each in self._seen if each.at < asked]
