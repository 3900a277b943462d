"""Ticks of cron bindings, each with one effect in the whole system.

A cron binding fires in the sidecar of every replica. A row for each tick decides which replica does
the work.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import String, delete
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from services.common.database import UTC_TIME, engine, now
from services.common.keys import key
from services.common.problems import Refused
from services.common.settings import settings
from services.common.times import FIRST_YEAR, LAST_YEAR

FIRED = "readtimeutc"
"""The header in which daprd says when a cron binding has fired, as Go prints a time."""

KEPT = timedelta(hours=1)
"""For how long a tick can still arrive late without being taken for a new one."""

_GO_TIME = re.compile(r"((\d{4})-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})?)\d* \+0000 UTC\b")

_at_work: set[str] = set()
"""The bindings whose tick this process works at, or waits for."""


class Base(DeclarativeBase):
    """The ticks of all services with this database."""


class TickRow(Base):
    """A tick that a replica works at, or has worked at."""

    __tablename__ = "cron_ticks"

    binding: Mapped[str] = mapped_column(String(300), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTC_TIME, primary_key=True)


async def fired_at(request: Request) -> datetime:
    """When the binding has fired, according to its sidecar; now if nothing says so.

    It is never in the future: an invocation whose caller hides its marks could otherwise make all
    rows old, all reminders overdue, and coming ticks past.

    Raises:
        Refused: the header is not a time.
    """
    said = request.headers.get(FIRED)
    if said is None:
        return now()
    try:
        return min(_time(said), now())
    except ValueError:
        raise Refused(
            422,
            f"{FIRED} is not a time such as 2030-01-31 02:00:00.5 +0000 UTC in the years "
            f"{FIRST_YEAR} to {LAST_YEAR}: {said[:100]!r}",
        ) from None


Fired = Annotated[datetime, Depends(fired_at)]


def _time(text: str) -> datetime:
    found = _GO_TIME.match(text)
    if found is None or not FIRST_YEAR <= int(found[2]) <= LAST_YEAR:
        raise ValueError(text)
    return datetime.fromisoformat(found[1]).replace(tzinfo=UTC)


@asynccontextmanager
async def tick(binding: str, fired: datetime, step: timedelta) -> AsyncIterator[bool]:
    """Whether this replica does the work of a tick, which is done in the ``with`` block.

    Another replica with the same tick waits until the block ends, and does the work if it failed or
    its process died. A tick that comes during the one before is left out: it would add nothing, and
    ticks that pile up would take all connections.

    Args:
        binding: the name of the component.
        fired: when the binding has fired.
        step: the shortest time between two ticks. Sidecars fire at the same time of their clocks,
            but read it a little later: what falls into one step is one tick.
    """
    name = key(settings().app_id or "unknown", binding)
    if name in _at_work:
        yield False
        return
    _at_work.add(name)
    try:
        async with engine().begin() as connection:
            yield await _claim(connection, name, _beginning(fired, step))
    finally:
        _at_work.discard(name)


async def _claim(connection: AsyncConnection, name: str, at: datetime) -> bool:
    """Insert the row of a tick; return whether it was not there."""
    claim = insert(TickRow).values(binding=name, at=at).on_conflict_do_nothing()
    if await connection.scalar(claim.returning(TickRow.at)) is None:
        return False
    old = delete(TickRow).where(TickRow.binding == name, TickRow.at < at - KEPT)
    await connection.execute(old)
    return True


def _beginning(time: datetime, step: timedelta) -> datetime:
    """The beginning of the step into which a time falls, counted from midnight."""
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (time - midnight) // step * step
