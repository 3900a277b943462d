"""B8: publish to handler entry, the moment daprd's request reaches the app's inbox."""

from __future__ import annotations

import time
from typing import Any

from harness import Settings, World, running
from scenarios.topology import reference
from tests.bench.numbers import Figures, milliseconds

EVENTS = 200


def delivery(settings: Settings) -> Figures:
    """One event after another."""
    acks, handlers = [], []
    with running(reference, settings) as stack, World(stack) as world:
        dapr, inbox = world.sidecar("backend-service"), world.inbox("notification-service")
        for number in range(EVENTS):
            event = _event(world, number)
            sent = time.monotonic()
            dapr.publish_event("pubsub", "task-events", event)
            acks.append(time.monotonic() - sent)
            handlers.append(inbox.next(id=event["id"]).at - sent)
    return {
        "events": EVENTS,
        "publish acknowledged, p50, ms": milliseconds(acks, 50),
        "publish to handler, p50, ms": milliseconds(handlers, 50),
        "publish to handler, p99, ms": milliseconds(handlers, 99),
        "handler / acknowledged, p50": milliseconds(handlers, 50) / milliseconds(acks, 50),
    }


def _event(world: World, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": world.name(f"event-{number}"),
        "type": "com.taskmanager.task.created",
        "source": "bench",
        "data": {"task_id": "t", "user_id": world.name("user"), "title": "x"},
    }
