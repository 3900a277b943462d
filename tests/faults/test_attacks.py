"""The attacks, small: nothing that was acknowledged is lost, whatever is killed or away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import Settings, Stack, World, running
from scenarios.topology import todo
from tests.faults.attack import Load, Result, attack
from tests.faults.plan import PARTS, SESSION, kills, outages
from tests.faults.report import rows, wrong

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

LONG = 35.0
"""Seconds: longer than any time-out of the system, and than what retries of a job used to last."""


@pytest.fixture(scope="module")
def system() -> Iterator[Stack]:
    """The reference system without recording proxies between the sidecars and the apps."""
    # A part that is started again on a busy machine takes its time.
    settings = Settings.load(
        start=Path(__file__).parent, runtime="processes", broker="kafka", ready_timeout=180
    )
    with running(todo(inbox=False), settings) as stack:
        yield stack


def require_sound(result: Result) -> None:
    """Nothing lost, early or void; nothing twice but what was in flight."""
    assert [] == wrong(result), "\n".join([str(rows(result)), *result.about])
    assert 0 == result.waiting


def test_killing_every_part_loses_nothing(system: Stack) -> None:
    """Each part, and one process of PostgreSQL, killed once under writes; three are stopped too."""
    plan = kills(1, each=1, every=1.5, stops=3)

    result = attack(system, plan, Load(seed=1, users=8, writes=160, reminders=16))

    require_sound(result)
    assert {fault.part for fault in result.faults} == {*PARTS, SESSION}
    assert (160, 16) <= (result.counts.writes, result.counts.reminders)


def test_an_outage_longer_than_every_time_out_loses_nothing(system: Stack) -> None:
    """What reminders and events go through is away; those due meanwhile come late, all of them."""
    parts = ["backend-service", "backend-service-daprd", "broker", "postgres", "scheduler"]
    plan = outages(2, seconds=LONG, together=len(parts), parts=parts)

    result = attack(system, plan, Load(seed=2, users=6, writes=40, reminders=18))

    require_sound(result)
    assert 18 <= result.counts.reminders


def test_events_in_flight_survive_the_end_of_app_and_sidecar(system: Stack) -> None:
    """kill -9 of both while the sidecar has the request in its buffer: the events come anyway."""
    with World(system) as world:
        names = ("backend-service", "backend-service-daprd")
        app, sidecar = (_instance(system, name) for name in names)
        port = system.book.endpoint("backend-service-daprd", "http").port
        user, topic = world.name("user"), world.topic("task-events")
        sidecar.pause()
        answers = [
            world.app("backend-service").post(f"/api/{user}/tasks", json={"title": f"t{number}"})
            for number in range(5)
        ]
        made = {answer.raise_for_status().json()["id"] for answer in answers}
        world.eventually(lambda: unread(port) > 0)
        app.kill()
        sidecar.kill()

        app.restart()
        sidecar.restart()
        for name in names:
            system.await_ready(name)

        for task in made:
            topic.next(subject=task, timeout=60)


def _instance(stack: Stack, name: str) -> Any:
    return stack.instances[name]


def unread(port: int) -> int:
    """Bytes that have come to a port of this machine and were not read by its process."""
    found = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, queues, state = (line.split()[n] for n in (1, 4, 3))
        if int(local.rpartition(":")[2], 16) == port and state == "01":
            found += int(queues.partition(":")[2], 16)
    return found
