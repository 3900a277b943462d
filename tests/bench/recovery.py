"""B17: from the SIGKILL of a sidecar to the next delivery, by how long Kafka waits for a member."""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console

from harness import Settings, World, running
from tests.bench.numbers import Figures, alternated, at_most, paired
from tests.bench.shop import pubsub_of, shops, topic_of

PAIRS = 10
SOON, LATE, SENDER = "soon", "late", "sender"
FIELDS = {
    SOON: {"sessionTimeout": "1s", "heartbeatInterval": "300ms"},
    LATE: {},
    SENDER: {},
}
"""Kafka's own minimum for a session is 6 s; the broker of the harness allows 0.5 s."""

ANCHOR = "Dapr's default sessionTimeout of 10 s"
GATE, MOONSHOT = at_most(0.5), at_most(0.1)
out = Console()


def recovery(settings: Settings, pairs: int = PAIRS) -> Figures:
    """Two apps on one broker in turn, A B B A; each sidecar is killed and started again."""
    with tempfile.TemporaryDirectory() as scratch:
        topology = shops(Path(scratch), FIELDS)
        with (
            running(topology, replace(settings, runtime="processes")) as stack,
            World(stack) as world,
        ):
            found = alternated(
                pairs, lambda: _delivers(world, SOON), lambda: _delivers(world, LATE)
            )
    return {
        "kill to next delivery, s (median)": median(soon for soon, _ in found),
        "with Dapr's default, s (median)": median(late for _, late in found),
        "B17 kill to next delivery": paired(
            [soon / late for soon, late in found], ANCHOR, GATE, MOONSHOT
        ),
    }


def _delivers(world: World, app: str) -> float:
    """Seconds from the kill until an event that was published meanwhile is delivered."""
    sidecar, inbox, event = f"{app}-daprd", world.inbox(app), {"id": time.monotonic_ns()}
    began = time.monotonic()
    world.kill(sidecar)
    world.sidecar(SENDER).publish(pubsub_of(app), topic_of(app), event)
    world.restart(sidecar, ready=False)
    took = inbox.next(path="/orders", data=event, timeout=60).at - began
    world.await_ready(sidecar)
    out.print(f"  {app}: {took:.2f} s")
    return took
