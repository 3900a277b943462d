"""Virtual time where sidecars run in containers: the scheduler stays on the machine."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import App, Settings, Topology, World, running

pytestmark = [pytest.mark.real, pytest.mark.own_stack, pytest.mark.usefixtures("images")]

APPS = Path(__file__).parent / "apps"


def test_a_sidecar_in_a_container_passes_on_the_tick_of_a_cron_binding() -> None:
    """Its internal port is published in virtual time."""
    app = App("clerk", asgi="ticked:app", cwd=APPS, inbox=True, on_host=True)
    topology = Topology(app, resources=APPS / "bindings", time="virtual")
    stack = running(topology, Settings.load(runtime="containers"))
    with stack as found, World(found) as world:
        ticked = world.clock.tick("routed")

        assert [("clerk", 200)] == [(each.app, each.status) for each in ticked.answers]
        assert world.inbox("clerk").next(path="/some/where").headers["readtimeutc"]


def test_a_sidecar_in_a_container_gets_a_job_of_next_month() -> None:
    """As soon as the clock is there."""
    app = App("shop", asgi="shop:app", cwd=APPS, inbox=True, on_host=True)
    stack = running(Topology(app, time="virtual"), Settings.load(runtime="containers"))
    with stack as found, World(found) as world:
        name = world.name("rent")
        world.sidecar("shop").schedule_job(name, due="720h", data={"amount": 800})

        assert 0 == world.clock.advance("29 days").fired
        assert 1 == world.clock.advance("1 day").fired
        assert {"amount": 800} == world.inbox("shop").next(path=f"/job/{name}").data


def test_an_app_in_a_container_follows_the_clock_of_the_machine() -> None:
    """After a move, while time flows, and in a handler."""
    app = App("clocked", asgi="clocked:app", cwd=APPS, follow_clock=True)
    stack = running(Topology(app, time="virtual"), Settings.load(runtime="containers"))
    with stack as found, World(found) as world:

        def told() -> dict[str, Any]:
            return dict(world.app("clocked").get("/").raise_for_status().json())

        clock, name = world.clock, world.name("rent")
        due = clock.now() + timedelta(days=1)
        world.sidecar("clocked").schedule_job(name, due="24h")
        clock.advance("30 days")
        clock.flow(speed=3600)
        flowing = told()["now"]
        world.eventually(lambda: told()["now"] > flowing)

        assert clock.freeze().now == datetime.fromisoformat(told()["now"])
        assert due == datetime.fromisoformat(told()["delivered"][name])
