"""Moves a scheduler's time: from one due time to the next, and on once everything is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from harness.core.deadline import Deadline
from harness.virtual_time.civil import SECOND
from harness.virtual_time.engine import Engine
from harness.virtual_time.flow import Flow
from harness.virtual_time.gotime import rfc3339

FIRINGS = 10_000
"""How many firings one move may cause unless it says otherwise."""
SHOWN = 5
"""How many jobs a message names."""


class Refused(Exception):
    """A move that is not made, or not to its end.

    Args:
        status: the HTTP status that says whose mistake it is.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Told(Protocol):
    """Who shows the time to others, such as the apps."""

    def frozen(self, moment: int) -> None:
        """It is this moment until something else is told."""
        ...

    def flowing(self, flow: Flow) -> None:
        """Time flows."""
        ...

    def beat(self, moment: int) -> float | None:
        """Time has flowed to this moment; returns in how many seconds to say so again."""
        ...

    def stopped(self) -> int:
        """Time that flows stands still; returns the moment, which nobody has seen pass."""
        ...


class Moves:
    """The clock of a scheduler, which stands still until it is moved.

    Args:
        engine: fires what becomes due.
        keep_now: told of every moment that is reached.
        told: told of it before anything fires that is due then.
    """

    def __init__(self, engine: Engine, keep_now: Callable[[int], None], told: Told) -> None:
        self._engine = engine
        self._agenda = engine.agenda
        self._keep_now = keep_now
        self._told = told
        told.frozen(self._agenda.now)
        self._moving = False
        self._flow: Flow | None = None
        self._flowing: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        engine.changed = self._news.set

    def now(self) -> int:
        """The moment that it is; everything that is due by then was sent."""
        if self._flow is not None:
            self._go_to(self._flow.now(time.monotonic_ns()))
        return self._agenda.now

    @property
    def speed(self) -> float:
        """Seconds per second; 0 while time stands still."""
        return 0.0 if self._flow is None else self._flow.speed

    async def advance_to(self, moment: int, limit: int, seconds: float) -> int:
        """Move to a moment, firing in order what is due until then; return the number of firings.

        Args:
            limit: how many firings it may cause.
            seconds: how long the next answer may take by the real clock.

        Raises:
            Refused: it is no move forward, it has too many firings, an answer is missing, or the
                time flows or is being moved.
        """
        async with self._moved():
            if moment < self._agenda.now:
                raise Refused(
                    422,
                    f"time cannot go back: it is {rfc3339(self._agenda.now)}, and "
                    f"{rfc3339(moment)} was asked for",
                )
            self._require_few(moment, limit)
            return await self._run(moment, limit, Deadline(seconds))

    async def run_until_idle(self, limit: int, seconds: float) -> int:
        """Move to each due time until nothing is due any more; return the number of firings.

        Raises:
            Refused: the same as of `advance_to`.
        """
        async with self._moved():
            return await self._run(None, limit, Deadline(seconds))

    def freeze(self) -> None:
        """Let time stand still from now on."""
        if self._flow is not None:
            self._flow = None
            self._go_to(self._told.stopped())
        if self._flowing is not None:
            self._flowing.cancel()
            self._flowing = None

    def flow(self, speed: float) -> None:
        """Let time flow from now on.

        Raises:
            Refused: the speed is not positive, or the time is being moved.
        """
        if not 0 < speed < 1e9:
            raise Refused(422, f"a speed of {speed:g} is not possible: it must be positive")
        self._require_unmoved()
        self.freeze()
        self._flow = Flow(speed, self._agenda.now, time.monotonic_ns())
        self._told.flowing(self._flow)
        self._flowing = asyncio.get_running_loop().create_task(self._keep_up(speed))

    @asynccontextmanager
    async def _moved(self) -> AsyncIterator[None]:
        if self._flow is not None:
            raise Refused(409, "this clock flows by itself; freeze() lets it be moved")
        self._require_unmoved()
        self._moving = True
        try:
            yield
        finally:
            self._moving = False

    def _require_unmoved(self) -> None:
        if self._moving:
            raise Refused(409, "this clock is being moved by another call")

    async def _run(self, moment: int | None, limit: int, deadline: Deadline) -> int:
        before = self._agenda.fired
        while True:
            await self._settle(before + limit, deadline)
            due = self._agenda.next_due()
            if due is None or (moment is not None and due > moment):
                break
            self._go_to(due)
        if moment is not None:
            self._go_to(moment)
        return self._agenda.fired - before

    def _go_to(self, moment: int) -> None:
        if moment > self._agenda.now:
            self._keep_now(moment)
            if self._flow is None:
                self._told.frozen(moment)
        self._engine.move(moment)

    async def _settle(self, most: int, deadline: Deadline) -> None:
        """Wait until everything that was fired is answered."""
        while True:
            self._news.clear()
            # Each answer is progress: the budget is for one that does not come.
            deadline.restart()
            if self._agenda.fired > most:
                raise Refused(
                    409,
                    f"more than the limit of firings at {rfc3339(self._agenda.now)}: "
                    f"{self._agenda.fired} since the start, {_names(self._unanswered())} next; "
                    "the clock stays there, and a larger limit lets it go on",
                )
            if self._agenda.is_answered:
                return
            try:
                await asyncio.wait_for(self._news.wait(), deadline.remaining)
            except TimeoutError:
                raise Refused(
                    504,
                    f"no answer within {deadline.budget:g} s to what has fired at "
                    f"{rfc3339(self._agenda.now)}: {_names(self._unanswered())}; "
                    "the clock stays there",
                ) from None

    def _unanswered(self) -> list[str]:
        return [entry.name for entry in self._agenda.in_flight()]

    def _require_few(self, moment: int, limit: int) -> None:
        counts = self._agenda.count_until(moment, limit)
        if (total := sum(counts.values())) <= limit:
            return
        most = sorted(counts, key=lambda name: (-counts[name], name))[:SHOWN]
        parts = ", ".join(f"{name}: {counts[name]:,}" for name in most)
        raise Refused(
            422,
            f"up to {rfc3339(moment)} there are at least {total:,} firings, and the limit is "
            f"{limit:,} ({parts}); a larger limit allows them, and nothing was moved",
        )

    async def _keep_up(self, speed: float) -> None:
        """Fire what becomes due while time flows."""
        while True:
            now = self.now()
            due = self._agenda.next_due()
            # What is news from now on; that it fired something itself is none.
            self._news.clear()
            pause = None if due is None else max(due - now, 0) / SECOND / speed
            if (beat := self._told.beat(now)) is not None:
                pause = beat if pause is None else min(beat, pause)
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                continue


def _names(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
