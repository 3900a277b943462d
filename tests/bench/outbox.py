"""The outbox under fire: what was acknowledged has its event, in order, whatever was killed."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from harness import AsyncWorld, Settings, Stack, World, running
from scenarios.topology import reference
from tests.bench.numbers import Figures, milliseconds

WRITES = 2000
TASKS = 40
KILLS = 5
VICTIMS = ("backend-service-daprd", "broker", "backend-service")
PROBES = 100
EVENTS, PILED = 400, 100


@dataclass
class Ledger:
    """What the API has acknowledged: versions by task."""

    acknowledged: dict[str, set[int]] = field(default_factory=dict)
    refused: int = 0

    @property
    def count(self) -> int:
        """How many writes."""
        return sum(len(versions) for versions in self.acknowledged.values())

    def note(self, task: dict[str, Any]) -> None:
        """One acknowledged write."""
        self.acknowledged.setdefault(task["id"], set()).add(task["version"])


def under_fire(settings: Settings) -> Figures:
    """2,000 writes while sidecar, broker and backend are each killed five times."""
    with running(reference, settings) as stack:
        return asyncio.run(_in_a_world(stack, _under_fire))


async def _in_a_world(stack: Stack, measure: Callable[[AsyncWorld], Awaitable[Figures]]) -> Figures:
    async with AsyncWorld(stack) as world:
        return await measure(world)


async def _under_fire(dapr: AsyncWorld) -> Figures:
    ledger, user, topic = Ledger(), dapr.name("user"), dapr.topic("task-events")
    begun = time.monotonic()
    writing = asyncio.gather(*(_write(dapr, user, n, ledger) for n in range(TASKS)))
    await asyncio.gather(writing, _fire(dapr))
    took = time.monotonic() - begun

    async def all_told() -> None:
        assert [] == await dapr.table("outbox_backend_service").rows()

    await dapr.eventually(all_told, timeout=60)
    await _barrier(dapr, user, topic)
    events = await topic.all(where=lambda each: each.data["user_id"] == user)
    told: dict[str, list[int]] = {}
    for event in events:
        versions = told.setdefault(event.data["task_id"], [])
        if event.data["task"]["version"] not in versions:
            versions.append(event.data["task"]["version"])
    lost = sum(len(v - set(told.get(task, []))) for task, v in ledger.acknowledged.items())
    return {
        "acknowledged writes": ledger.count,
        "writes that were not acknowledged": ledger.refused,
        "kills": KILLS * len(VICTIMS),
        "seconds": took,
        "acknowledged writes without their event": lost,
        "tasks whose events were out of order": sum(v != sorted(v) for v in told.values()),
        "events delivered twice": len(events) - sum(len(v) for v in told.values()),
    }


async def _write(dapr: AsyncWorld, user: str, number: int, ledger: Ledger) -> None:
    """Change one task again and again; what is refused or unknown is not counted."""
    backend, path, made = dapr.app("backend-service"), f"/api/{user}/tasks", 0
    while made < WRITES // TASKS:
        try:
            body = {"title": f"task {number}, {made}"}
            verb = "POST" if not made else "PUT"
            answer = await backend.request(verb, path, json=body)
            answer.raise_for_status()
        except httpx.HTTPError:
            ledger.refused += 1
            continue
        task = answer.json()
        path = f"/api/{user}/tasks/{task['id']}"
        ledger.note(task)
        made += 1


async def _fire(dapr: AsyncWorld) -> None:
    """Kill one after the other, each as soon as the one before is back."""
    for _ in range(KILLS):
        for victim in VICTIMS:
            await dapr.kill(victim)
            await dapr.restart(victim)


async def _barrier(dapr: AsyncWorld, user: str, topic: Any) -> None:
    """One more task, so that everything before it has been read."""
    answer = await dapr.app("backend-service").post(f"/api/{user}/tasks", json={"title": "last"})
    await topic.next(subject=answer.raise_for_status().json()["id"], timeout=30)


def latency(settings: Settings) -> Figures:
    """Commit to handler, one task after another; Dapr's own outbox waits a second for each."""
    with running(reference, settings) as stack, World(stack) as world:
        inbox, backend = world.inbox("notification-service"), world.app("backend-service")
        path, seen = f"/api/{world.name('user')}/tasks", []
        for _ in range(PROBES):
            answer = backend.post(path, json={"title": "x"})
            acknowledged = time.monotonic()
            delivery = inbox.next(subject=answer.raise_for_status().json()["id"])
            seen.append(max(delivery.at - acknowledged, 0.0))
    return {
        "tasks": PROBES,
        "acknowledged to handler, p50, ms": statistics.median(seen) * 1000,
        "acknowledged to handler, p99, ms": milliseconds(seen, 99),
        "p50 / the second that Dapr's outbox waits": statistics.median(seen),
    }


def beside_an_outage(settings: Settings) -> Figures:
    """Events per second with the scheduler there and away, in the same stack."""
    with running(reference, settings) as stack:
        return asyncio.run(_in_a_world(stack, _beside_an_outage))


async def _beside_an_outage(dapr: AsyncWorld) -> Figures:
    with_it = [await _events_per_second(dapr, "warm"), await _events_per_second(dapr, "with")]
    await dapr.pause("scheduler")
    try:
        remind_at = "2199-01-01T00:00:00Z"
        await _make(dapr, dapr.name("piled"), PILED, remind_at=remind_at)
        without = await _events_per_second(dapr, "without")
    finally:
        await dapr.resume("scheduler")
    return {
        "events per second, scheduler there": with_it[-1],
        "events per second, scheduler away": without,
        "away / there": without / with_it[-1],
    }


async def _make(dapr: AsyncWorld, user: str, count: int, **fields: str) -> None:
    """Make tasks, sixteen at a time."""
    gate, backend = asyncio.Semaphore(16), dapr.app("backend-service")

    async def one(number: int) -> None:
        async with gate:
            body = {"title": f"{number}", **fields}
            (await backend.post(f"/api/{user}/tasks", json=body)).raise_for_status()

    await asyncio.gather(*(one(number) for number in range(count)))


async def _events_per_second(dapr: AsyncWorld, name: str) -> float:
    """From the first request to the last event, as a subscriber sees it."""
    user, topic = dapr.name(name), dapr.topic("task-events")
    begun = time.monotonic()
    collecting = topic.collect(EVENTS, where=lambda each: each.data["user_id"] == user, timeout=120)
    await asyncio.gather(_make(dapr, user, EVENTS), collecting)
    return EVENTS / (time.monotonic() - begun)
