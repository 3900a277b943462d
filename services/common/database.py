"""One asynchronous engine per process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import cache

from sqlalchemy import DateTime, MetaData, func, select
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)

from services.common.settings import settings

UTC_TIME = DateTime(timezone=True)


def now() -> datetime:
    """The current time, with its time zone."""
    return datetime.now(UTC)


@cache
def engine() -> AsyncEngine:
    """The engine of this process; a connection that the server dropped is replaced when used."""
    url = settings().database_url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_async_engine(url, pool_pre_ping=True, pool_size=10)


async def session() -> AsyncIterator[AsyncSession]:
    """A session per request, for `fastapi.Depends`."""
    async with async_sessionmaker(engine(), expire_on_commit=False)() as opened:
        yield opened


def tables(*parts: MetaData) -> Callable[[], AbstractAsyncContextManager[None]]:
    """Tables that exist before the first request; connections are closed after the last."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        await _create(*parts)
        try:
            yield
        finally:
            await engine().dispose()

    return opened


async def _create(*parts: MetaData) -> None:
    async with engine().begin() as connection:
        # Services with the same database start at the same time, and IF NOT EXISTS does not lock.
        await connection.execute(select(func.pg_advisory_xact_lock(func.hashtext("tables"))))
        for metadata in parts:
            await connection.run_sync(metadata.create_all)
