"""B11 with virtual time: from a move of the clock to the handler, and through 10,000 jobs.

Beside it the same with Dapr's own scheduler: from the due time to the handler, and its rate.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness import Scheduler, Settings, Stack, Topology, VirtualScheduler, World, running
from harness.core.deadline import Deadline, Observation, poll
from harness.core.node import Node
from harness.load.model.targets import targets_of
from harness.ready.loopback import ask
from loadtests.topology import sink
from tests.bench.numbers import Figures, Measure, alternated, milliseconds

ROOT = Path(__file__).parent.parent.parent
APP, ANCHOR = "load-sink", "Dapr's scheduler"
ROUNDS, JOBS, APART, SOON = 4, 50, 0.1, 3.0
"""Rounds of so many jobs each, due so many seconds apart, the first so many seconds from now."""
COUNT, CONNECTIONS, AHEAD, PATIENCE = 3000, 16, 30.0, 120.0
"""Of jobs that are due at one moment, and the seconds in which they are scheduled."""
THROUGH, LIMIT = 10_000, 20_000
STARTS = 5


def virtual_time(settings: Settings) -> Figures:
    """Both schedulers, each with one app, in turns."""
    settings = replace(settings, runtime="processes")
    with _opened(Scheduler(), settings) as real, _opened(VirtualScheduler(), settings) as virtual:
        rounds = alternated(ROUNDS, lambda: _late(real), lambda: _moved(virtual))
        of_real = [late for lates, _ in rounds for late in lates]
        of_virtual = [late for _, lates in rounds for late in lates]
        rate, at_once, each = _rate(real), _rate_at_once(virtual), _rate_of_moments(virtual)
    starts = alternated(
        STARTS, lambda: _start(Scheduler(), settings), lambda: _start(VirtualScheduler(), settings)
    )
    return {
        **_latencies(of_real, of_virtual),
        "real, fired a second, all due at one moment": rate,
        "virtual, fired a second, all due at one moment": at_once,
        f"virtual, fired a second, {THROUGH:,} moments": each,
        "B11 virtual / real, one moment": Measure(at_once / rate, ANCHOR),
        f"B11 virtual, {THROUGH:,} moments / real, one moment": Measure(each / rate, ANCHOR),
        "start of Dapr's scheduler, s": statistics.median(one for one, _ in starts),
        "start of the virtual one, s": statistics.median(other for _, other in starts),
        "virtual / real, start": Measure(statistics.median(b / a for a, b in starts), ANCHOR),
    }


def _latencies(real: Sequence[float], virtual: Sequence[float]) -> Figures:
    found: Figures = {}
    for percent in (50, 99):
        one, other = milliseconds(real, percent), milliseconds(virtual, percent)
        found[f"real, due to handler, p{percent}, ms"] = one
        found[f"virtual, advance to handler, p{percent}, ms"] = other
        found[f"B11 virtual / real, p{percent}"] = Measure(other / one, ANCHOR)
    return found


def _opened(scheduler: Node, settings: Settings) -> Any:
    return running(Topology(scheduler, sink(APP, "app")), settings)


def _start(scheduler: Node, settings: Settings) -> float:
    with running(Topology(scheduler), settings) as stack:
        return stack.took


def _late(stack: Stack) -> list[float]:
    """Seconds from the due time to the handler, of jobs that are due one after the other."""
    with World(stack) as world:
        first = time.time() + SOON
        dues = [first + APART * number for number in range(JOBS)]
        for number, due in enumerate(dues):
            _schedule(world, number, due, datetime.fromtimestamp(due, UTC))
        came = _came(stack, world.id, JOBS)
    return [came[number] - due for number, due in enumerate(dues)]


def _moved(stack: Stack) -> list[float]:
    """Seconds from the call of `advance` to the handler, of as many jobs."""
    with World(stack) as world:
        first = world.clock.now()
        for number in range(JOBS):
            _schedule(world, number, 0.0, first + timedelta(minutes=number + 1))
        called = []
        for _ in range(JOBS):
            called.append(time.time())
            world.clock.advance("1 minute")
        came = _came(stack, world.id, JOBS)
    return [came[number] - at for number, at in enumerate(called)]


def _rate(stack: Stack) -> float:
    """Firings a second of the real scheduler."""
    due = time.time() + AHEAD
    assert _burst(stack, due)["ended"] < due, "they were due before the last was scheduled"
    came = _came(stack, f"burst-{due}", COUNT)
    return len(came) / (max(came.values()) - due)


def _rate_at_once(stack: Stack) -> float:
    """Firings a second of the virtual one, of the same jobs."""
    with World(stack) as world:
        due = (world.clock.now() + timedelta(days=1)).timestamp()
        _burst(stack, due)
        began = time.time()
        assert COUNT == world.clock.advance("1 day").fired
    came = _came(stack, f"burst-{due}", COUNT)
    return len(came) / (max(came.values()) - began)


def _rate_of_moments(stack: Stack) -> float:
    """The same where each firing has its own moment, at which the clock stops."""
    with World(stack) as world:
        data = {"lane": world.id, "number": 0, "job_due": 0.0, "sent": 0.0}
        job = world.name("through")
        world.sidecar(APP).schedule_job(job, schedule="@every 1s", repeats=THROUGH, data=data)
        began = time.time()
        fired = world.clock.advance(f"{THROUGH} seconds", limit=LIMIT, timeout=PATIENCE).fired
        took = time.time() - began
    assert THROUGH == fired
    return fired / took


def _schedule(world: World, number: int, due: float, moment: datetime) -> None:
    data = {"lane": world.id, "number": number, "job_due": due, "sent": 0.0}
    name = world.name(f"job-{number}")
    world.sidecar(APP).schedule_job(name, due=moment.isoformat(), data=data)


def _burst(stack: Stack, due: float) -> dict[str, Any]:
    token = stack.book.token("dapr-api")
    sidecar = targets_of(stack.addresses(), token).sidecar(APP)
    words = [sidecar, token, f"{COUNT}", f"{CONNECTIONS}", f"{due}"]
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.job_burst", *words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    told: dict[str, Any] = json.loads(done.stdout)
    assert not told["failed"], told["failed"][0]
    return told


def _came(stack: Stack, lane: str, count: int) -> dict[int, float]:
    """When each job of a lane came first, by number; once all of them are there."""
    url = targets_of(stack.addresses(), "").app(APP)
    found: dict[int, float] = {}
    seen = 0

    def look() -> Observation:
        nonlocal seen
        more = ask("GET", f"{url}/received?since={seen}").json()
        seen += len(more)
        for _kind, its_lane, number, _due, _sent, entered in more:
            if its_lane == lane:
                found.setdefault(number, entered)
        return Observation(len(found) >= count, f"{len(found)} of {count}")

    last = poll(look, Deadline(PATIENCE))
    assert last.ok, f"jobs were lost: {last.fact} came"
    return found
