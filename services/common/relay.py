"""Makes the calls in the outbox.

Each call is removed in a separate transaction, right after it was made: a relay that is killed
repeats only the calls that were in flight.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Collection, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import cache
from typing import Annotated, Any

import httpx
from fastapi import Depends
from sqlalchemy import Executable, Row, Select, delete, func, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from services.common.background import at_work, set_within
from services.common.database import engine, now
from services.common.outbox import TABLE, Lane, OutboxRow
from services.common.sidecar import is_ready, sidecar

log = logging.getLogger("uvicorn.error")

SLOTS: Mapping[Lane, int] = {"reminder": 8, "job": 8, "event": 16, "mail": 1, "webhook": 8}
"""Calls in flight, by lane. One mail at a time, because the smtp binding keeps the address of a
request for the next one, and two at once could swap theirs (components-contrib 1.18.3)."""

PACE = 0.5
"""Seconds after which the relay checks by itself, for calls left by another replica."""

BACK_OFF, LONGEST = 0.2, 10.0
"""Seconds for which a key backs off after a failure: doubled each time, up to the maximum."""

LAST_CALLS = 1.0
"""Seconds for calls in flight to complete when the service stops."""

LEAD = select(func.pg_try_advisory_lock(func.hashtext(TABLE)))
"""Only one relay at a time makes calls, even with several replicas, which keeps the order of a
key. The lock belongs to the connection, and only that connection reads the outbox: no lock, no
calls. A relay whose sidecar is away gives it up, so that the relay of another replica can go on."""

TAKE_OVER = text("SET idle_session_timeout = '10s'")
"""Otherwise a relay that is stopped, but not dead, would keep its connection and the lock."""


class Relay:
    """Makes the committed calls."""

    def __init__(self) -> None:
        self._woken, self._ending = asyncio.Event(), asyncio.Event()
        self._dirty: set[Lane] = set()
        self._in_flight: dict[Lane, dict[str, asyncio.Task[None]]] = {lane: {} for lane in SLOTS}
        self._unanswered = False

    def wake(self, *lanes: Lane) -> None:
        """Signal that there may be new calls: in these lanes, or in all."""
        self._dirty.update(lanes or SLOTS)
        self._woken.set()

    async def run(self) -> None:
        """Run until cancelled; failing calls are retried."""
        try:
            while True:
                try:
                    await self._lead()
                except Exception as error:  # noqa: BLE001 - continue after any error
                    log.warning("the outbox waits: %r", error)
                await self._pause()
        finally:
            self._ending.set()
            await self._finish()

    async def _lead(self) -> None:
        """Start calls as long as this connection holds the lock, and the sidecar responds."""
        while not await is_ready():
            await self._pause()
        self._unanswered = False
        async with engine().connect() as connection:
            try:
                await connection.execution_options(isolation_level="AUTOCOMMIT")
                await connection.execute(TAKE_OVER)
                while not await connection.scalar(LEAD):
                    await self._pause()
                self.wake()
                while await self._is_answered():
                    await self._start(connection)
                    await self._pause()
                log.warning("the sidecar is away: the outbox is left to another replica")
                # A call of the next relay must not overtake one of the same key.
                if calls := self._calls():
                    await asyncio.wait(calls)
            finally:
                # Closed, not returned to the pool: this releases the lock.
                await connection.invalidate()

    async def _is_answered(self) -> bool:
        """Whether the sidecar responds; it is asked after a call to which it did not respond."""
        if self._unanswered:
            self._unanswered = not await is_ready()
        return not self._unanswered

    async def _start(self, connection: AsyncConnection) -> None:
        """Start as many calls as there are free slots, in every lane that may have calls."""
        lanes, self._dirty = self._dirty, set()
        for lane in lanes:
            calls = self._in_flight[lane]
            if free := SLOTS[lane] - len(calls):
                for row in await connection.execute(_next(lane, free, calls)):
                    calls[row.key] = asyncio.create_task(self._make(lane, row))

    async def _make(self, lane: Lane, row: Row[Any]) -> None:
        """Make one call; its row is removed, or backs off."""
        try:
            error = await _call(row)
            self._unanswered |= isinstance(error, httpx.TransportError)
            await self._write(_outcome(row, error))
        finally:
            del self._in_flight[lane][row.key]
            self.wake(lane)

    async def _write(self, outcome: Executable) -> None:
        # However long the database is unavailable: a call that was made must not be repeated.
        autocommit = engine().execution_options(isolation_level="AUTOCOMMIT")
        while not self._ending.is_set():
            try:
                async with autocommit.connect() as connection:
                    await connection.execute(outcome)
                return
            except (SQLAlchemyError, OSError) as error:
                log.warning("the outbox cannot be written: %r", error)
                await set_within(self._ending, PACE)

    async def _pause(self) -> None:
        if not await set_within(self._woken, PACE):
            self._dirty.update(SLOTS)
        self._woken.clear()

    def _calls(self) -> list[asyncio.Task[None]]:
        """The calls in flight."""
        return [task for calls in self._in_flight.values() for task in calls.values()]

    async def _finish(self) -> None:
        if tasks := self._calls():
            _, late = await asyncio.wait(tasks, timeout=LAST_CALLS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)


def relaying() -> AbstractAsyncContextManager[None]:
    """The relay runs for the duration of the ``with`` block."""
    return at_work(relay().run())


@cache
def relay() -> Relay:
    """The relay of this process."""
    return Relay()


Relaying = Annotated[Relay, Depends(relay)]


def _next(lane: Lane, free: int, in_flight: Collection[str]) -> Select[Any]:
    """The oldest call of each key that neither backs off nor is in flight, ordered by due time."""
    older = aliased(OutboxRow)
    overtakes = select(older.id).where(
        older.lane == lane, older.key == OutboxRow.key, older.id < OutboxRow.id
    )
    return (
        select(OutboxRow)
        .where(OutboxRow.lane == lane, OutboxRow.next_attempt_at <= func.clock_timestamp())
        .where(OutboxRow.key.not_in(list(in_flight)), ~overtakes.exists())
        .order_by(OutboxRow.due_at, OutboxRow.id)
        .limit(free)
    )


async def _call(row: Row[Any]) -> Exception | None:
    """Make a call; return why it failed."""
    try:
        answer = await sidecar().request(
            row.method, row.path, params=row.params, json=row.body,
            headers={"content-type": row.content_type, **row.trace},
        )  # fmt: skip
        answer.raise_for_status()
    except Exception as error:  # noqa: BLE001 - calls of other keys continue after any error
        return error
    return None


def _outcome(row: Row[Any], error: Exception | None) -> Executable:
    """The database update that records the result of a call."""
    if error is not None:
        if row.expires_at is None or now() < row.expires_at:
            log.warning("the outbox keeps %s %s: %r", row.method, row.path, error)
            return _rest(row)
        log.error("the outbox gives up %s %s: %r", row.method, row.path, error)
    return delete(OutboxRow).where(OutboxRow.id == row.id)


def _rest(row: Row[Any]) -> Executable:
    rest = timedelta(seconds=pause_after(row.attempts + 1))
    # By the clock of the database, which compares it.
    changed = {"attempts": row.attempts + 1, "next_attempt_at": func.clock_timestamp() + rest}
    return update(OutboxRow).where(OutboxRow.id == row.id).values(changed)


def pause_after(failures: int) -> float:
    """Seconds for which a key backs off after this number of consecutive failures.

    Random, so that calls that failed at the same time are not all retried at the same time.
    """
    # Limited first: half an hour into an outage, 2**1024 would no longer fit into a float.
    longest = min(BACK_OFF * 2 ** min(failures - 1, 10), LONGEST)
    return random.uniform(longest / 2, longest)  # noqa: S311 - a pause, not a secret
