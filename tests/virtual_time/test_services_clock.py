"""The reference services on virtual time: what is due, and which tokens are valid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from harness import Clock, Settings, Stack, World, running
from harness.ready import loopback
from scenarios.signing import PURPOSE, bearer
from scenarios.topology import todo

DUE = "com.taskmanager.reminder.due"

pytestmark = [pytest.mark.real, pytest.mark.own_stack]


@pytest.fixture(scope="module", params=["processes", "containers"])
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The reference system, up."""
    if request.param == "containers":
        request.getfixturevalue("images")
    topology = todo(env={"REPAIR_SCHEDULE": "@every 2400h"}).with_time("virtual")
    with running(topology, Settings.load(runtime=request.param, broker="kafka")) as found:
        yield found


def task(world: World, user: str, **fields: Any) -> dict[str, Any]:
    """A new task."""
    answer = world.app("backend-service").post(f"/api/{user}/tasks", json=fields)
    return dict(answer.raise_for_status().json())


def has_job(world: World, task_id: str) -> bool:
    """Whether the reminder of a task is scheduled."""
    endpoint, token = world.sidecar_address("backend-service")
    with loopback.client(endpoint.http, token=token) as daprd:
        return daprd.get(f"/v1.0/jobs/reminder-task-{task_id}").is_success


def test_a_reminder_of_next_year_is_sent_when_the_clock_gets_there(
    world: World, clock: Clock
) -> None:
    """The handler of the job finds it due, and the event has that time."""
    user, at = world.name("ada"), clock.now().replace(microsecond=0) + timedelta(days=400)
    made = task(world, user, title="Passport", remind_at=at.isoformat())
    world.eventually(lambda: has_job(world, made["id"]))

    clock.advance("399 days")
    clock.advance("2 days")
    event = world.topic("reminders").next(type=DUE, subject=made["id"])

    assert at == datetime.fromisoformat(event.envelope["time"])


def test_a_token_expires_on_virtual_time(world: World, clock: Clock) -> None:
    """After its hour, not before; a new one is valid."""
    user = world.name("ada")
    headers = bearer(world.token(PURPOSE), user, now=clock.now())
    app = world.app("backend-service")

    def status() -> int:
        return app.get(f"/api/{user}/tasks", headers=headers).status_code

    seen = [status()]
    clock.advance("59 minutes")
    seen.append(status())
    clock.advance("2 minutes")
    seen.append(status())

    assert [200, 200, 401] == seen
    assert 200 == app.get(f"/api/{user}/tasks").status_code
