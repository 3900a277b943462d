"""Two runs of the same test on fresh stacks with virtual time have the same history."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness import App, Settings, Topology, VirtualScheduler, World, history, running
from harness.ready import loopback

pytestmark = [pytest.mark.real, pytest.mark.own_stack]

APPS = Path(__file__).parent / "apps"
ACTORS = Path(__file__).parents[1] / "compat" / "apps"


def topology(*, one_at_a_time: bool) -> Topology:
    """Two apps with jobs, of which one schedules more, and one with actors."""
    return Topology(
        VirtualScheduler(start="2027-01-31T09:00:00Z", one_at_a_time=one_at_a_time),
        App("shop", asgi="shop:app", cwd=APPS, inbox=True),
        App("chain", asgi="chain:app", cwd=APPS, inbox=True),
        App("actors", asgi="actors:app", cwd=ACTORS, inbox=True),
        resources=APPS / "components",
    )


def api(world: World, app: str) -> httpx.Client:
    """The API of an app's sidecar."""
    endpoint, token = world.sidecar_address(app)
    return loopback.client(endpoint.http, timeout=30, token=token)


def schedule(world: World, app: str, name: str, **job: Any) -> None:
    """Schedule a job."""
    with api(world, app) as daprd:
        answer = daprd.post(f"/v1.0/jobs/{world.name(name)}", json={"data": {"is": name}, **job})
    assert answer.status_code == 204, answer.text


def jobs_retries_and_reminders(world: World) -> None:
    """Many of them at the same moments, of several apps."""
    policy = {"constant": {"interval": "1800s", "maxRetries": 5}}
    world.inbox("shop").fail_next(f"/job/{world.name('retried')}", times=3)
    schedule(world, "shop", "retried", dueTime="1h", failurePolicy=policy)
    schedule(world, "shop", "daily", schedule="@daily", repeats=3)
    for number in range(20):
        schedule(world, "shop" if number % 2 else "chain", f"burst-{number}",
                 dueTime="90m", data={"left": 0})  # fmt: skip
    schedule(world, "shop", "dropped", dueTime="90m")
    with api(world, "shop") as daprd:
        daprd.delete(f"/v1.0/jobs/{world.name('dropped')}").raise_for_status()
    actor = f"/v1.0/actors/Counter/{world.name('counter')}"
    with api(world, "actors") as daprd:
        reminder = {"dueTime": "90m", "period": "R3/PT24H", "data": "NQ=="}
        assert daprd.post(f"{actor}/reminders/water", json=reminder).is_success
    world.clock.advance("2 hours")
    world.restart("shop")
    world.clock.advance("1 week")


def chains(world: World) -> None:
    """Jobs of one moment whose handlers schedule jobs for that moment and for later ones."""
    for number in range(6):
        data = {"left": 3, "after": "0s" if number % 2 else "1h"}
        schedule(world, "chain", f"chain-{number}", dueTime="1h", data=data)
    world.inbox("shop").fail_next("/job/hasty", times=4)
    policy = {"constant": {"interval": "0s", "maxRetries": 5}}
    for name in ("hasty-1", "hasty-2"):
        schedule(world, "shop", name, dueTime="1h", failurePolicy=policy)
    world.clock.run_until_idle()


def happened(*, one_at_a_time: bool) -> list[str]:
    """What happens on a new stack."""
    settings = Settings.load(runtime="processes")
    with running(topology(one_at_a_time=one_at_a_time), settings) as stack, World(stack) as world:
        before = world.clock.now()
        jobs_retries_and_reminders(world)
        assert before + timedelta(days=7, hours=2) == world.clock.now()
        if one_at_a_time:
            chains(world)
        return history(world.timeline())


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_a_second_run_has_the_same_history(one_at_a_time: bool) -> None:
    """Every firing with its moment, order, attempt, outcome, delivery and data."""
    first = happened(one_at_a_time=one_at_a_time)
    second = happened(one_at_a_time=one_at_a_time)

    fired = [line for line in first if not line.startswith(" ") and " -> " in line]
    delivered = [line for line in first if line.startswith(" ")]
    assert len(fired) == len(delivered) == (30 + 30 if one_at_a_time else 30)
    assert (
        "app||default||shop||retried-<test> at 2027-01-31T11:00:00Z, attempt 3 -> failed" in fired
    )
    assert "shop node.ready" in first
    assert first == second
