"""Idempotency in Dapr state: where it holds, and where only the services' unique row does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from harness import AsyncWorld
from scenarios.test_task_events import route_of, task_event
from services.common.idempotency import Idempotency
from services.common.keys import key


@pytest.fixture
def marks(dapr: AsyncWorld) -> Idempotency:
    """The component as the backend would use it: through its sidecar, in its state store."""
    return Idempotency("statestore", dapr.sidecar("backend-service").http)


class Died(Exception):
    """The process of a handler has ended."""


class Handler:
    """A handler as the documents describe it: check, effect, mark.

    Attributes:
        effects: the events whose work was done, once for each time.
        dies: whether its process ends between effect and mark.
    """

    def __init__(self, marks: Idempotency, together: int = 1) -> None:
        self._marks = marks
        self._checked = asyncio.Barrier(together)
        self.dies = False
        self.effects: list[str] = []

    async def handle(self, event: dict[str, Any]) -> Any:
        """Handle one delivery, in step with the others between check and effect."""
        processed = await self._marks.is_processed(event["id"])
        await self._checked.wait()
        if processed:
            return await self._marks.get_result(event["id"])
        self.effects.append(event["id"])
        if self.dies:
            raise Died
        result = {"number": len(self.effects)}
        await self._marks.mark_processed(event["id"], result)
        return result


async def test_a_second_delivery_finds_the_result_of_the_first(
    dapr: AsyncWorld, marks: Idempotency
) -> None:
    """One after the other: the work is done once, and other events are not concerned."""
    event, other = (task_event(dapr, dapr.name(name)) for name in ("event", "other"))
    handler = Handler(marks)

    results = [await handler.handle(each) for each in (event, event, other)]

    assert [{"number": 1}, {"number": 1}, {"number": 2}] == results
    assert [event["id"], other["id"]] == handler.effects


async def test_two_deliveries_at_once_take_effect_twice_with_state_and_once_with_a_row(
    dapr: AsyncWorld, marks: Idempotency
) -> None:
    """Both have checked before one of them marks; the unique row is check and effect in one."""
    event = task_event(dapr, dapr.name("event"))
    handler = Handler(marks, together=2)

    await asyncio.gather(handler.handle(event), handler.handle(event))

    assert [event["id"]] * 2 == handler.effects
    app, route = dapr.app("notification-service"), await route_of(dapr, "task-events")
    headers = {"dapr-api-token": dapr.token("app-api")}
    answers: list[httpx.Response] = await asyncio.gather(
        *(app.post(route, json=event, headers=headers) for _ in range(2))
    )
    assert [{"status": "SUCCESS"}] * 2 == [each.json() for each in answers]
    assert 1 == await dapr.table("notifications").count(event_id=event["id"])


async def test_a_delivery_that_ends_before_its_mark_takes_effect_again(
    dapr: AsyncWorld, marks: Idempotency
) -> None:
    """Effect and mark are not one transaction: nothing tells the next delivery."""
    event = task_event(dapr, dapr.name("event"))
    handler = Handler(marks)
    handler.dies = True
    with pytest.raises(Died):
        await handler.handle(event)
    handler.dies = False

    await handler.handle(event)
    await handler.handle(event)

    assert [event["id"]] * 2 == handler.effects


async def test_a_mark_ends_with_its_time(dapr: AsyncWorld, marks: Idempotency) -> None:
    """The store removes it; one with more time stays."""
    short, long = dapr.name("short"), dapr.name("long")
    await marks.mark_processed(long, "kept")
    await marks.mark_processed(short, "gone", timedelta(seconds=1))

    await dapr.ledger.state("statestore", key("idempotency", short)).expired()
    assert await marks.get_result(short) is None
    assert "kept" == await marks.get_result(long)


async def test_a_result_of_nothing_is_a_mark(dapr: AsyncWorld, marks: Idempotency) -> None:
    """And a part of an id is no other id's."""
    event = dapr.name("a|b%c/d")

    await marks.mark_processed(event)

    assert (True, None) == (await marks.is_processed(event), await marks.get_result(event))
    assert not await marks.is_processed(dapr.name("a"))


@pytest.mark.parametrize("ttl", [timedelta(0), timedelta(seconds=-1), timedelta(seconds=0.9)])
async def test_a_mark_for_no_time_is_refused(
    dapr: AsyncWorld, marks: Idempotency, ttl: timedelta
) -> None:
    """The store would keep it for ever."""
    event = dapr.name("event")
    with pytest.raises(ValueError, match="at least a second"):
        await marks.mark_processed(event, ttl=ttl)

    assert not await marks.is_processed(event)


async def test_an_event_without_an_id_is_refused(marks: Idempotency) -> None:
    """All of them would be the same event."""
    with pytest.raises(ValueError, match="parts that are not empty"):
        await marks.is_processed("")
    with pytest.raises(ValueError, match="parts that are not empty"):
        await marks.mark_processed("")


async def test_a_store_that_is_not_there_is_an_error(dapr: AsyncWorld) -> None:
    """Not an event that was never handled."""
    with pytest.raises(httpx.HTTPStatusError):
        await Idempotency("nowhere", dapr.sidecar("backend-service").http).is_processed("x")
