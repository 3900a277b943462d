"""The job that starts the safety net.

A cron binding would call the service once for each replica. The scheduler fires a job once for all
of them.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from http.client import CONFLICT

import httpx

from services.common.background import at_work, set_within
from services.common.settings import settings
from services.common.sidecar import api_path, sidecar

log = logging.getLogger("uvicorn.error")
JOB = "repair-series"
SOON, AGAIN = 0.5, 600.0
"""Seconds after which scheduling is repeated: if it failed, and in case the scheduler has lost its
data."""


def scheduling() -> AbstractAsyncContextManager[None]:
    """The job is scheduled during the ``with`` block, as soon as the sidecar accepts it."""
    return at_work(_schedule_again_and_again())


async def _schedule_again_and_again() -> None:
    never, scheduled = asyncio.Event(), False
    while True:
        # Replacing a job begins its interval again: one that is longer than AGAIN would never end.
        accepted = await _schedule(overwrite=not scheduled)
        scheduled |= accepted
        await set_within(never, AGAIN if accepted else SOON)


async def _schedule(*, overwrite: bool) -> bool:
    """Schedule the job; return whether the scheduler has it.

    Args:
        overwrite: replace the job that is there, which may have another schedule.
    """
    # daprd cannot deliver a job without data (1.18.2). A failed run is not repeated, because the
    # next one does the same work.
    body = {
        "schedule": settings().repair_schedule,
        "data": {},
        "overwrite": overwrite,
        "failurePolicy": {"drop": {}},
    }
    try:
        answer = await sidecar().post(api_path("jobs", JOB), json=body)
        if answer.status_code == CONFLICT and not overwrite:
            return True
        answer.raise_for_status()
    except httpx.HTTPError as error:
        log.info("the job %s is not scheduled yet: %r", JOB, error)
        return False
    return True
