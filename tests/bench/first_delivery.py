"""B2: until an app has its first event, against a broker that delays the first join of a group."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from rich.console import Console

from harness import Kafka, Settings, World, running
from harness.core.journal import Entry
from tests.bench.numbers import Figures, alternated, at_most, paired
from tests.bench.shop import SHOP, pubsub_of, shops, topic_of

PAIRS = 10
GATE, MOONSHOT = at_most(0.3), at_most(0.05)
ANCHOR = "with group.initial.rebalance.delay.ms=3000, Kafka's default (KIP-134)"
out = Console()


class Delaying(Kafka):
    """A broker with Kafka's default for the first join of a group."""

    @property
    def properties(self) -> dict[str, str]:
        """With the delay, whose absence is the only difference."""
        return {**super().properties, "group.initial.rebalance.delay.ms": "3000"}


@dataclass(frozen=True)
class Delivered:
    """Seconds until the first event was delivered.

    Attributes:
        call: since the call that starts the stack.
        healthy: since the subscriber's sidecar was healthy.
    """

    call: float
    healthy: float


def first_delivery(settings: Settings, pairs: int = PAIRS) -> Figures:
    """Stacks in pairs, A B B A; what they have in common is before the sidecar is healthy."""
    settings = replace(settings, runtime="processes")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        found = alternated(
            pairs,
            lambda: _delivered(folder, Kafka, settings),
            lambda: _delivered(folder, Delaying, settings),
        )
    return {
        "call to first event, s (median)": median(ours.call for ours, _ in found),
        "sidecar healthy to first event, s (median)": median(ours.healthy for ours, _ in found),
        "the same with the delay, s (median)": median(other.healthy for _, other in found),
        "B2 sidecar healthy to first event": paired(
            [ours.healthy / other.healthy for ours, other in found], ANCHOR, GATE, MOONSHOT
        ),
        "call to first event": paired([ours.call / other.call for ours, other in found], ANCHOR),
    }


def _delivered(folder: Path, broker: type[Kafka], settings: Settings) -> Delivered:
    with running(shops(folder, broker=broker), settings) as stack, World(stack) as world:
        inbox = world.inbox(SHOP)
        world.sidecar(SHOP).publish(pubsub_of(SHOP), topic_of(SHOP), {"id": 1})
        seen = inbox.next(path="/orders", timeout=30).at
        began, healthy = moments(list(stack.journal), f"{SHOP}-daprd")
    out.print(f"  {broker.__name__}: {seen - healthy:.2f} s after the sidecar was healthy")
    return Delivered(seen - began, seen - healthy)


def moments(entries: Iterable[Entry], sidecar: str) -> tuple[float, float]:
    """When a start began, and when daprd said that it is healthy, which it says with its app."""
    began = healthy = 0.0
    for entry in entries:
        if entry.kind == "start.begun":
            began = entry.at
        elif entry.kind == "check.passed" and entry.node == sidecar:
            healthy = entry.at if entry.facts["check"] == "app" else healthy
    return began, healthy
