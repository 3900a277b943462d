"""Dapr 1.18.2: "A slow actor timer callback delays timers for every other actor"."""

from __future__ import annotations

import pytest

from harness import ProbeTimeout, World
from harness.ready.loopback import client


def set_timer(world: World, actor: str) -> None:
    """A timer that fires once, at once."""
    endpoint, token = world.sidecar_address("clock")
    with client(endpoint.http, token=token, timeout=30) as daprd:
        path = f"/v1.0/actors/clock/{actor}/timers/tick"
        daprd.post(path, json={"dueTime": "0s"}).raise_for_status()


def fired(actor: str) -> str:
    """The path at which its timer is delivered."""
    return f"/actors/clock/{actor}/method/timer/tick"


@pytest.mark.escape(
    fixed_in="1.18.2", shows="the quick actor's timer fired only after the slow one was released"
)
def test_a_slow_timer_of_one_actor_does_not_hold_up_another_actors(clock: World) -> None:
    """The quick one fires while the slow one's callback is still running."""
    inbox, app = clock.inbox("clock"), clock.app("clock")
    set_timer(clock, "slow")
    clock.eventually(lambda: app.get("/running").json() == ["slow"], timeout=60)

    set_timer(clock, "quick")
    try:
        inbox.next(path=fired("quick"), timeout=15)
    except ProbeTimeout:
        app.post("/release")
        inbox.next(path=fired("slow"), timeout=60)
        inbox.next(path=fired("quick"), timeout=60)
        pytest.fail("the quick actor's timer fired only after the slow one was released")
    assert ["slow"] == app.get("/running").json()
    app.post("/release")
