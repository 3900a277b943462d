"""The clock of a stack with virtual time, as tests use it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx

from harness.core.errors import ProbeError
from harness.ready import loopback
from harness.virtual_time.answers import Moved, moved_of, text_of

MARGIN = 5.0
"""Seconds by which a sign of life may be later than an answer for which the clock waits."""


class AsyncClock:
    """Moves the time of the scheduler. It stands still until then.

    What fires is answered before time goes on, so when a move returns, every handler of a job, a
    reminder or a workflow timer has responded. What these handlers have set off by other means,
    such as events, may still be under way.

    Args:
        url: the base URL of the clock.
        guard: raises if a node has exited.
    """

    def __init__(self, url: str, guard: Callable[[], None] = lambda: None) -> None:
        self._url = url
        self._guard = guard

    def now(self) -> datetime:
        """The moment that it is, in UTC. It is a plain call everywhere."""
        return self.look().now

    @property
    def waiting(self) -> tuple[str, ...]:
        """The full names of jobs that were due and whose app is not connected."""
        return self.look().waiting

    @property
    def speed(self) -> float:
        """Seconds per second of real time; 0 while time stands still."""
        return self.look().speed

    def next_due(self) -> datetime | None:
        """When the next job is due, in UTC; None if none is. It is a plain call, like `now`."""
        return self.look().next_due

    async def advance(
        self, by: str | timedelta, *, limit: int | None = None, timeout: float = 30.0
    ) -> Moved:
        """Move time forward, firing in order what becomes due.

        Args:
            by: such as ``28 days``, ``1 month``, ``90m``, ``P1DT2H``, or a `timedelta`.
            limit: how many firings are allowed; 10,000 by default.
            timeout: real seconds within which the next answer must come.

        Raises:
            ConfigError: it is no duration or a negative one, or has too many firings; then
                nothing was moved.
            ProbeTimeout: a firing was not answered; the clock stays at its moment.
            ProbeError: the clock is being moved by somebody else, flows, or is gone.
        """
        return await self._move("advance", {"by": text_of(by)}, limit, timeout)

    async def advance_to(
        self, moment: str | datetime, *, limit: int | None = None, timeout: float = 30.0
    ) -> Moved:
        """Move time to a moment, which is otherwise the same as `advance`.

        Args:
            moment: as RFC 3339, or a `datetime` with a zone.
        """
        return await self._move("advance-to", {"to": text_of(moment)}, limit, timeout)

    async def run_until_idle(self, *, limit: int | None = None, timeout: float = 30.0) -> Moved:
        """Move to each due time until nothing is due any more; otherwise the same as `advance`."""
        return await self._move("run-until-idle", {}, limit, timeout)

    async def freeze(self) -> Moved:
        """Let time stand still from now on, as it does at the start."""
        return await self._move("freeze", {}, None, MARGIN)

    async def flow(self, speed: float = 1.0) -> Moved:
        """Let time flow from now on.

        Args:
            speed: seconds per second of real time.
        """
        return await self._move("flow", {"speed": speed}, None, MARGIN)

    async def _move(
        self, operation: str, given: dict[str, Any], limit: int | None, timeout: float
    ) -> Moved:
        self._guard()
        asked = {**given, "timeout": timeout, **({} if limit is None else {"limit": limit})}
        try:
            async with loopback.aclient(self._url, timeout=timeout + MARGIN) as client:
                response = await client.post(f"/clock/{operation}", json=asked)
        except httpx.HTTPError as error:
            raise self._gone(operation, error) from None
        return moved_of(operation, response)

    def look(self) -> Moved:
        """All that there is to know about it, without moving it. It is a plain call everywhere."""
        self._guard()
        try:
            return moved_of("now", loopback.ask("POST", f"{self._url}/clock/now"))
        except httpx.HTTPError as error:
            raise self._gone("now", error) from None

    def _gone(self, operation: str, error: httpx.HTTPError) -> ProbeError:
        self._guard()
        return ProbeError(
            f"the clock did not answer {operation!r}",
            last=f"{type(error).__name__}: {error}",
            hint="the node with virtual time has stopped, or is busy; what it fired stays fired",
        )
