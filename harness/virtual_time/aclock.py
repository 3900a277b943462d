"""The clock of a stack with virtual time, as tests use it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from harness.core.blocking import ablocking
from harness.core.doing import Doing, unnoted
from harness.core.errors import ConfigError, ProbeError
from harness.ready import loopback
from harness.virtual_time.answers import Moved, moved_of, text_of
from harness.virtual_time.ticks import Finder, Ticked, no_sidecars, tick

MARGIN = 5.0
"""Seconds by which a sign of life may be later than an answer for which the clock waits."""


class AsyncClock:
    """Moves the time of the scheduler. It stands still until then.

    What fires is answered before time goes on, so when a move returns, every handler of a job, a
    reminder or a workflow timer has responded. What these handlers have set off by other means,
    such as events, may still be under way.

    Args:
        url: the base URL of the clock; None if the scheduler follows real time. Then `tick` works,
            and everything else is a `ConfigError`.
        guard: raises if a node has exited.
        bindings: finds the sidecars that have loaded a cron binding.
        doing: notes what is asked.
    """

    def __init__(
        self,
        url: str | None,
        guard: Callable[[], None] = lambda: None,
        bindings: Finder = no_sidecars,
        doing: Doing = unnoted,
    ) -> None:
        self._moved_at = url
        self._guard = guard
        self._bindings = bindings
        self._doing = doing

    @property
    def _url(self) -> str:
        if self._moved_at is None:
            raise ConfigError(
                "this stack's scheduler follows real time, which no test can move",
                expected='a topology or a test with time="virtual"',
                hint='mark the test: @pytest.mark.dapr(time="virtual")',
            )
        return self._moved_at

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
            ConfigError: the duration is invalid or negative, or causes too many firings; nothing
                was moved.
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

    async def tick(self, binding: str, *, timeout: float = 30.0) -> Ticked:
        """Call the apps as a cron binding would, now, and wait for their answers.

        This is not daprd's doing: its cron bindings follow the real clock, and nothing moves them.
        The call goes through the sidecar of every replica, which sends the app the same request
        as its binding does. The app is told that it is `now`; in real time, the real now. Like a
        sidecar that starts, it first asks the app with OPTIONS whether it takes this binding.

        Args:
            binding: the name of the component, of type ``bindings.cron``.
            timeout: real seconds within which every app must answer.

        Raises:
            ConfigError: the name is not that of a cron binding, the binding calls no app by HTTP,
                or its sidecars use certificates, or run in containers in real time.
            SystemFailure: no app uses it, or one answered with an error.
            ProbeTimeout: an app did not answer in time.
            ProbeError: a sidecar or its app is away.
            Unavailable: gRPC for Python is not installed.
        """
        self._guard()
        at = datetime.now(UTC) if self._moved_at is None else self.now()
        with self._doing("tick", binding=binding, timeout=timeout):
            return await ablocking(tick, binding, self._bindings, at, timeout)

    async def _move(
        self, operation: str, given: dict[str, Any], limit: int | None, timeout: float
    ) -> Moved:
        self._guard()
        asked = {**given, "timeout": timeout, **({} if limit is None else {"limit": limit})}
        try:
            with self._doing(operation, **asked):
                response = await self._post(operation, asked, timeout + MARGIN)
        except httpx.HTTPError as error:
            raise self._gone(operation, error) from None
        return moved_of(operation, response)

    async def _post(self, operation: str, asked: dict[str, Any], timeout: float) -> httpx.Response:
        async with loopback.aclient(self._url, timeout=timeout) as client:
            return await client.post(f"/clock/{operation}", json=asked)

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
