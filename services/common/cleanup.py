"""The cleanup that a cron binding starts: each service removes its own old rows."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from fastapi import APIRouter, Depends
from sqlalchemy import ColumnElement, Delete, delete, select, true
from sqlalchemy.orm import InstrumentedAttribute

from services.common.cron import Fired, tick
from services.common.database import engine
from services.common.outbox import OutboxRow
from services.common.settings import settings
from services.common.sidecar import from_sidecar

log = logging.getLogger("uvicorn.error")
BINDING = "daily-cleanup"
STEP = timedelta(minutes=1)
"""The shortest time between two ticks of a schedule with five fields."""

BATCH = 1000
"""Rows that one transaction removes: nobody waits long for its locks."""

ALL: ColumnElement[bool] = true()
"""Rows of a kind, whatever else is in them."""


@dataclass(frozen=True)
class Old:
    """Rows that are removed when they are old.

    Attributes:
        what: their name in the log.
        key: the column with their primary key.
        created_at: the column with their age.
        only: which of them; all by default.
    """

    what: str
    key: InstrumentedAttribute[str] | InstrumentedAttribute[int]
    created_at: InstrumentedAttribute[datetime]
    only: ColumnElement[bool] = ALL


GIVEN_UP = Old("calls of the outbox", OutboxRow.id, OutboxRow.created_at, OutboxRow.attempts > 0)
"""Calls that have failed all the time. What was never tried waits for its turn, however old."""


def cleaning(*kinds: Old) -> APIRouter:
    """The route that daprd calls: removes old rows of these kinds, once per tick."""
    router = APIRouter(include_in_schema=False)

    @router.post(f"/{BINDING}", dependencies=[Depends(from_sidecar)])
    async def clean(fired: Fired) -> dict[str, object]:
        async with tick(BINDING, fired, STEP) as ours:
            removed = await _remove_all(kinds, fired) if ours else {}
        return {"ran": ours, "removed": removed}

    return router


async def _remove_all(kinds: Sequence[Old], fired: datetime) -> dict[str, int]:
    """Remove what is older than the retention; return the number of rows by kind."""
    before = fired - timedelta(days=settings().retention_days)
    removed = {kind.what: await _remove(kind, before) for kind in kinds}
    counts = ", ".join(f"{count} {what}" for what, count in removed.items())
    log.info("%s removed what is older than %s: %s", BINDING, before.isoformat(), counts)
    if given_up := removed.get(GIVEN_UP.what):
        log.error("%s gave up %d %s that have always failed", BINDING, given_up, GIVEN_UP.what)
    return removed


async def _remove(kind: Old, before: datetime) -> int:
    """Remove the old rows of one kind, batch after batch, each in its own transaction."""
    removed, batch = 0, _batch(kind, before)
    while True:
        async with engine().begin() as connection:
            count = (await connection.execute(batch)).rowcount
        removed += count
        if count < BATCH:
            return removed


def _batch(kind: Old, before: datetime) -> Delete:
    # A common table expression with a lock is evaluated once; a subquery might be several times.
    chosen = (
        select(kind.key)
        .where(kind.created_at < before, kind.only)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
        .cte("chosen")
    )
    return delete(kind.key.class_).where(kind.key.in_(select(chosen.c[0])))
