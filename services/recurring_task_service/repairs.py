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

LONGEST = 1_000
"""Characters of daprd's answer that are logged."""


def scheduling() -> AbstractAsyncContextManager[None]:
    """The job is scheduled during the ``with`` block, as soon as the sidecar accepts it."""
    return at_work(_schedule_again_and_again())


async def _schedule_again_and_again() -> None:
    never, scheduled, told = asyncio.Event(), False, ""
    while True:
        # Replacing a job begins its interval again: one that is longer than AGAIN would never end.
        refusal = await _schedule(overwrite=not scheduled)
        scheduled |= refusal is None
        if refusal and refusal != told:
            log.error("the job %s is not scheduled: %s", JOB, refusal)
        # What is repeated every half second is told once.
        told = refusal or ""
        await set_within(never, AGAIN if refusal is None else SOON)


async def _schedule(*, overwrite: bool) -> str | None:
    """Schedule the job; return None if the scheduler has it, else what daprd says, "" if nothing.

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
    except httpx.HTTPError as error:
        log.info("the job %s is not scheduled yet: %r", JOB, error)
        return ""
    if answer.is_success or (answer.status_code == CONFLICT and not overwrite):
        return None
    return f"status {answer.status_code}, {answer.text[:LONGEST]}"
