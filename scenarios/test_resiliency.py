"""The policies take effect: attempts are counted on arrival, and metrics show the breaker."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from harness import AsyncWorld, DaprError

SERVICE = "recurring-task-service"
PATH = "/process-completion"
ATTEMPTS = 4
"""The first attempt and the three retries of the policy ``again``."""


def completed(dapr: AsyncWorld) -> dict[str, Any]:
    """A completed task that does not exist: processing it has no effect, however often."""
    return {
        "id": dapr.name("task"),
        "user_id": dapr.name("user"),
        "completed_at": "2030-01-01T00:00:00Z",
    }


async def process(dapr: AsyncWorld, task: dict[str, Any]) -> int:
    """The status of an invocation, including daprd's own rejections."""
    try:
        answer = await dapr.sidecar("backend-service").invoke(SERVICE, PATH, json=task)
    except DaprError as error:
        return error.status
    return answer.status_code


async def test_an_invocation_that_fails_is_tried_again(dapr: AsyncWorld) -> None:
    """After two failures, the third attempt succeeds: the caller sees one success."""
    inbox, task = dapr.inbox(SERVICE), completed(dapr)
    await inbox.fail_next(PATH, contains=task["id"], times=2)

    status = await process(dapr, task)
    attempts = await inbox.collect(3, where=lambda each: (each.data or {}).get("id") == task["id"])

    assert 200 == status
    assert [500, 500, 200] == [each.status for each in attempts]
    pauses = [later.at - earlier.at for earlier, later in itertools.pairwise(attempts)]
    assert all(pause >= 0.05 for pause in pauses)


# An open breaker keeps away the calls of other tests, and their failures open it earlier.
@pytest.mark.dapr(exclusive=True)
async def test_the_breaker_opens_keeps_calls_away_and_closes_again(dapr: AsyncWorld) -> None:
    """After five consecutive failures, calls no longer arrive until one after a pause succeeds."""
    inbox, task = dapr.inbox(SERVICE), completed(dapr)
    assert 200 == await process(dapr, {**task, "id": dapr.name("before")})
    await inbox.fail_next(PATH, contains=task["id"], times=100)

    assert [500] * 4 == [await process(dapr, task) for _ in range(4)]
    await dapr.ledger.requests(SERVICE, PATH, data={"id": task["id"]}).answered(*[500] * 5)
    assert await breaker(dapr, "open") >= 1

    await inbox.clear_faults()

    async def answered() -> None:
        assert 200 == await process(dapr, task)

    await dapr.eventually(answered, timeout=20)
    assert await breaker(dapr, "closed") >= 1


async def breaker(dapr: AsyncWorld, status: str) -> float:
    """How often the caller's sidecar has recorded a state of the breaker."""
    return await dapr.metric(
        "backend-service",
        "dapr_resiliency_activations_total",
        policy="circuitbreaker",
        status=status,
    )


async def test_an_answer_that_will_not_change_is_not_asked_for_again(dapr: AsyncWorld) -> None:
    """422 is not retried: the policy lists the status codes that are."""
    wrong = {"id": dapr.name("task")}

    assert 422 == await process(dapr, wrong)
    await dapr.ledger.requests(SERVICE, PATH, data=wrong).answered(422)
