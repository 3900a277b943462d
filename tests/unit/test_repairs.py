"""How the job that starts the safety net is scheduled. The scenarios run it on a real scheduler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable

import httpx
import pytest

from services.recurring_task_service import repairs


async def overwrites(monkeypatch: pytest.MonkeyPatch, answers: Iterable[int]) -> list[bool]:
    """What each request said of a job that is there, until the answers are used up."""
    left, asked, finished = iter(answers), [], asyncio.Event()

    async def respond(request: httpx.Request) -> httpx.Response:
        status = next(left, None)
        if status is None:
            finished.set()
            await asyncio.Event().wait()
        asked.append(json.loads(request.content)["overwrite"])
        return httpx.Response(status or 500)

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
