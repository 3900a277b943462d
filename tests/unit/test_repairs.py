"""How the job that starts the safety net is scheduled. The scenarios run it on a real scheduler."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable

import httpx
import pytest

from services.recurring_task_service import repairs

REFUSAL = '{"errorCode": "DAPR_SCHEDULER_SCHEDULE_JOB", "message": "expected exactly 6 fields"}'


async def overwrites(monkeypatch: pytest.MonkeyPatch, answers: Iterable[int]) -> list[bool]:
    """What each request said of a job that is there, until the answers are used up."""
    left, asked, finished = iter(answers), [], asyncio.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        status = next(left, None)
        if status is None:
            finished.set()
            await asyncio.Event().wait()
        if not status:
            raise httpx.ConnectError("refused")
        asked.append(json.loads(request.content)["overwrite"])
        return httpx.Response(status, text=REFUSAL if status == 500 else "")

    client = httpx.AsyncClient(transport=httpx.MockTransport(respond), base_url="http://sidecar")
    monkeypatch.setattr(repairs, "sidecar", lambda: client)
    monkeypatch.setattr(repairs, "SOON", 0.0)
    monkeypatch.setattr(repairs, "AGAIN", 0.0)
    async with client, repairs.scheduling():
        await finished.wait()
    return asked


async def test_a_job_is_replaced_at_the_start_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing it begins its interval again, and a long one would never end."""
    assert [True, False, False] == await overwrites(monkeypatch, [204, 409, 204])


async def test_a_job_is_replaced_once_the_sidecar_accepts_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [True, True, False] == await overwrites(monkeypatch, [500, 204, 409])


async def test_a_conflict_that_was_not_expected_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert [True, True] == await overwrites(monkeypatch, [409, 204])


async def test_a_refusal_is_an_error_in_the_log_with_what_daprd_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Once, however often it is repeated; and again after a success."""
    await overwrites(monkeypatch, [500, 500, 204, 500])

    errors = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert [f"the job repair-series is not scheduled: status 500, {REFUSAL}"] * 2 == errors


async def test_a_sidecar_that_is_not_there_yet_is_no_error(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It is while both start; the reason is logged as information."""
    caplog.set_level(logging.INFO, logger="uvicorn.error")

    await overwrites(monkeypatch, [0, 204])

    said = [(each.levelno, each.getMessage()) for each in caplog.records]
    (told,) = [(level, text) for level, text in said if "repair-series" in text]
    assert logging.INFO == told[0]
    assert "not scheduled yet: ConnectError" in told[1]
