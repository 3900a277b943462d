"""Apps whose own "now" follows the clock of their stack, beside an unmodified daprd."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import App, Clock, Settings, Stack, Topology, VirtualScheduler, World, running

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
START = "2027-01-15T12:00:00Z"


def topology() -> Topology:
    """An app that follows the clock, and one that does not."""
    return Topology(
        VirtualScheduler(start=START),
        App("clocked", asgi="clocked:app", cwd=APPS, follow_clock=True),
        App("real", asgi="clocked:app", cwd=APPS),
    )


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All of them, up."""
    with running(topology(), Settings.load(runtime="processes")) as found:
        yield found


@pytest.fixture
def world(stack: Stack) -> Iterator[World]:
    """One test's view of them."""
    with World(stack) as found:
        yield found


@pytest.fixture
def clock(world: World) -> Clock:
    """Their clock."""
    return world.clock


def told(world: World, app: str = "clocked") -> dict[str, Any]:
    """What an app says of its time."""
    return dict(world.app(app).get("/").raise_for_status().json())


def now_of(world: World, app: str = "clocked") -> datetime:
    """An app's now."""
    return datetime.fromisoformat(told(world, app)["now"])


def test_the_now_of_an_app_is_that_of_the_clock(world: World, clock: Clock) -> None:
    """At the start and after a move; that of another app stays real."""
    assert clock.now() == now_of(world)
    clock.advance("3 months")

    seen = told(world)

    assert clock.now() == datetime.fromisoformat(seen["now"])
    assert clock.now().date().isoformat() == seen["date"]
    assert int(clock.now().timestamp()) * 10**9 == seen["time_ns"]
    assert now_of(world, "real") < datetime(2027, 1, 1, tzinfo=UTC) < clock.now()


def test_in_the_handler_of_a_job_it_is_the_due_time(world: World, clock: Clock) -> None:
    """Of each firing, although one move goes over all of them."""
    name, before = world.name("rent"), clock.now()
    world.sidecar("clocked").schedule_job(name, due="24h")
    clock.advance("30 days")

    at = datetime.fromisoformat(told(world)["delivered"][name])

    assert before + timedelta(days=1) == at
    assert before + timedelta(days=30) == now_of(world)
