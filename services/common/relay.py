"""Makes the calls that the outbox holds."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache
from typing import Annotated

import httpx
from fastapi import Depends
from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from services.common.database import engine, now
from services.common.outbox import OutboxRow
from services.common.sidecar import sidecar

log = logging.getLogger("uvicorn.error")

BATCH = 100
SIDE_BY_SIDE = 16
LOCK = OutboxRow.__tablename__
"""One relay at a time tells, also with several replicas: the order of a key is kept."""

PACE = 0.5
"""Seconds after which the relay looks by itself: for what another replica has left."""

BACK_OFF, LONGEST = 0.1, 2.0
"""Seconds for which a key rests after a refusal: doubled each time, up to the longest."""


class Relay:
    """Makes the calls that were committed."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """Something was committed just now."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled; what fails is tried again."""
        sessions = async_sessionmaker(engine(), expire_on_commit=False)
        while True:
            self._woken.clear()
            more = False
            try:
                more = await self._round(sessions)
            except (httpx.HTTPError, DBAPIError, OSError) as error:
                log.warning("the outbox waits: %r", error)
            if not more:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._woken.wait(), PACE)

    async def _round(self, sessions: async_sessionmaker[AsyncSession]) -> bool:
        """Make one batch of calls; whether there may be more at once."""
        async with sessions() as database, database.begin():
            await database.execute(select(func.pg_advisory_xact_lock(func.hashtext(LOCK))))
            rows = list(await database.scalars(_due()))
            keys: dict[str, list[OutboxRow]] = {}
            for row in rows:
                keys.setdefault(row.key, []).append(row)
            gate = asyncio.Semaphore(SIDE_BY_SIDE)
            told = await asyncio.gather(*(_in_order(each, gate) for each in keys.values()))
            done = [row.id for each in told for row in each]
            await database.execute(delete(OutboxRow).where(OutboxRow.id.in_(done)))
            for all_of_key, made in zip(keys.values(), told, strict=True):
                if len(made) < len(all_of_key):
                    await _rest(database, all_of_key[len(made)])
        return len(rows) == BATCH


@asynccontextmanager
async def relaying() -> AsyncIterator[None]:
    """The relay at work, for as long as inside."""
    telling = asyncio.create_task(relay().run())
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await telling


@cache
def relay() -> Relay:
    """The relay of this process."""
    return Relay()


Relaying = Annotated[Relay, Depends(relay)]


def _due() -> Select[OutboxRow]:
    """The oldest calls of every key that does not rest."""
    resting = select(OutboxRow.key).where(OutboxRow.not_before > func.clock_timestamp())
    return (
        select(OutboxRow).where(OutboxRow.key.not_in(resting)).order_by(OutboxRow.id).limit(BATCH)
    )


async def _in_order(rows: Sequence[OutboxRow], gate: asyncio.Semaphore) -> list[OutboxRow]:
    """Make the calls of one key until one fails; the rows of those that were made."""
    made: list[OutboxRow] = []
    for row in rows:
        async with gate:
            try:
                answer = await sidecar().request(
                    row.method, row.path, params=row.params, json=row.body,
                    headers={"content-type": row.content_type, **row.trace},
                )  # fmt: skip
                answer.raise_for_status()
            except httpx.HTTPError as error:
                if row.expires_at is None or now() < row.expires_at:
                    log.warning("the outbox keeps %s %s: %r", row.method, row.path, error)
                    return made
                log.error("the outbox gives up %s %s: %r", row.method, row.path, error)
        made.append(row)
    return made


async def _rest(database: AsyncSession, row: OutboxRow) -> None:
    # Bounded before it is raised: 2**1024 is no float any more, half an hour into an outage.
    pause = min(BACK_OFF * 2 ** min(row.attempts, 10), LONGEST)
    changed = {"attempts": row.attempts + 1, "not_before": now() + timedelta(seconds=pause)}
    await database.execute(update(OutboxRow).where(OutboxRow.id == row.id).values(changed))
