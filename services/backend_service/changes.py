"""One transaction for a task, its event and its reminder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from fastapi import Depends
from sqlalchemy.ext.asyncio import AsyncSession

from services.backend_service import reminders
from services.backend_service.events import Change, task_changed
from services.backend_service.models import Task, TaskRow
from services.common.database import now, session
from services.common.outbox import Call, enqueue
from services.common.relay import Relaying

Calls = Callable[[Task], Iterable[Call]]
"""The calls to the sidecar for a changed task, besides that for its event."""


class Changes:
    """Records changes of tasks; recorded changes are committed together."""

    def __init__(
        self, database: Annotated[AsyncSession, Depends(session)], relay: Relaying
    ) -> None:
        self.database = database
        self._relay = relay

    async def add(self, row: TaskRow) -> Task:
        """Add a task."""
        self.database.add(row)
        calls = [reminders.schedule] if row.remind_at is not None else []
        return await self._commit("created", row, *calls)

    async def record(self, change: Change, row: TaskRow, *calls: Calls) -> Task:
        """Record a changed task, and additional calls to the sidecar."""
        row.version += 1
        row.updated_at = now()
        return await self._commit(change, row, *calls)

    async def remove(self, row: TaskRow) -> None:
        """Remove a task."""
        task = Task.model_validate(row)
        await self.database.delete(row)
        await enqueue(self.database, task_changed("deleted", task), reminders.cancel(task.id))
        await self._committed()

    async def _commit(self, change: Change, row: TaskRow, *calls: Calls) -> Task:
        # Flushed first: the event contains the row's defaults.
        await self.database.flush()
        task = Task.model_validate(row)
        more = (each for call in calls for each in call(task))
        await enqueue(self.database, task_changed(change, task), *more)
        await self._committed()
        return task

    async def _committed(self) -> None:
        await self.database.commit()
        self._relay.wake()
