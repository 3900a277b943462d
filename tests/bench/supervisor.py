"""Memory and CPU of a supervisor with one client and with eight, idle and while events flow."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console

from harness import Process, Settings, Stack, Topology, running
from harness.core.deadline import Deadline, Observation, poll, ticks
from harness.runtime.supervisor.program import REMEMBERED
from harness.runtime.supervisor_client import SupervisorClient
from tests.bench.numbers import Figures, alternated, paired

PAIRS = 6
FEW, MANY = 1, 8
IDLE = 2.0
RATE, TICK = 2000, 0.01
EVENTS = REMEMBERED
"""As many as a supervisor remembers: more do not cost more memory."""

KIND = "bench.noted"
out = Console()


@dataclass(frozen=True)
class Cost:
    """What a supervisor uses.

    Attributes:
        pss: proportional set size when its clients have come, in MB.
        rss: resident set size then.
        pss_after: likewise after all events.
        rss_after: likewise.
        idle: CPU, as a share of a core, while nothing happens.
        flowing: the same while events flow.
        rate: of the events, a second.
        event: seconds of CPU that each of them takes.
    """

    pss: float
    rss: float
    pss_after: float
    rss_after: float
    idle: float
    flowing: float
    rate: float
    event: float


class Counter:
    """Counts what one client hears."""

    def __init__(self) -> None:
        self.heard = 0

    def entry(self, entry: dict[str, Any]) -> None:
        """A new entry of the run's journal."""
        self.heard += entry["kind"] == KIND

    def line(self, line: str) -> None:
        """Nothing is started that prints."""

    def lost(self, by: str) -> None:
        """It ends with its stack."""


def supervisor(settings: Settings) -> Figures:
    """In each pair one run with one client, and one with eight that all hear every event."""
    settings = replace(settings, runtime="processes")
    pairs = alternated(PAIRS, lambda: _cost(settings, FEW), lambda: _cost(settings, MANY))
    with _bare() as bare:
        pss, rss = _memory(bare)
    found: Figures = {"a bare interpreter, PSS, MB": pss, "a bare interpreter, RSS, MB": rss}
    for clients, costs in ((FEW, [a for a, _ in pairs]), (MANY, [b for _, b in pairs])):
        title = f"{clients} client{'s' * (clients > 1)}"
        found |= {
            f"{title}, PSS, MB": median(c.pss for c in costs),
            f"{title}, RSS, MB": median(c.rss for c in costs),
            f"{title}, PSS after {EVENTS:,} events, MB": median(c.pss_after for c in costs),
            f"{title}, RSS after {EVENTS:,} events, MB": median(c.rss_after for c in costs),
            f"{title}, idle, percent of a core": 100 * median(c.idle for c in costs),
            f"{title}, events a second": median(c.rate for c in costs),
            f"{title}, percent of a core meanwhile": 100 * median(c.flowing for c in costs),
            f"{title}, an event, us of CPU": 1e6 * median(c.event for c in costs),
        }
    anchor = f"with {FEW} client"
    return found | {
        f"{MANY} clients, RSS": paired([b.rss / a.rss for a, b in pairs], anchor),
        f"{MANY} clients, RSS after events": paired(
            [b.rss_after / a.rss_after for a, b in pairs], anchor
        ),
        f"{MANY} clients, CPU of an event": paired([b.event / a.event for a, b in pairs], anchor),
    }


def _cost(settings: Settings, clients: int) -> Cost:
    idle = Topology(Process("idle", [sys.executable, "-S", "-c", "import signal; signal.pause()"]))
    with running(idle, settings) as stack, ExitStack() as others:
        pid = stack.owner
        counters = [others.enter_context(_client(stack)) for _ in range(clients - 1)]
        pss, rss = _memory(pid)
        resting = _used(pid)
        for _ in ticks(Deadline(IDLE), IDLE):
            pass
        resting = _used(pid) - resting
        flowing, began = _used(pid), time.monotonic()
        _flow(stack, counters)
        flowing, took = _used(pid) - flowing, time.monotonic() - began
        found = Cost(
            pss, rss, *_memory(pid), resting / IDLE, flowing / took, EVENTS / took, flowing / EVENTS
        )
    out.print(f"  {clients}: {found.rss:.1f} MB, {1e6 * found.event:.0f} us an event")
    return found


@contextmanager
def _client(stack: Stack) -> Iterator[Counter]:
    """Another client of the run, which hears every event."""
    counter = Counter()
    client = SupervisorClient.connect(stack.folder, stack.owner, counter)
    try:
        client.request("subscribe", after=0)
        yield counter
    finally:
        client.abandon()


def _flow(stack: Stack, counters: list[Counter]) -> None:
    """Entries of a stack's journal at an even rate, until every client has heard all of them."""
    left = EVENTS
    for _ in ticks(Deadline(60), TICK):
        for _ in range(min(left, int(RATE * TICK))):
            stack.note(KIND, "idle", check="port", fact="127.0.0.1:20000 accepts")
        left -= min(left, int(RATE * TICK))
        if not left:
            break

    def look() -> Observation:
        heard = [each.heard for each in counters]
        return Observation(all(n == EVENTS for n in heard), f"{heard} of {EVENTS}")

    seen = poll(look, Deadline(60))
    assert seen.ok, seen.fact


@contextmanager
def _bare() -> Iterator[int]:
    """An interpreter like the supervisor's, that has imported nothing."""
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "import sys; print(flush=True); sys.stdin.read()"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout
        process.stdout.readline()
        yield process.pid


def _memory(pid: int) -> tuple[float, float]:
    """The proportional and the resident set size, in MB."""
    rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    sizes = {name: int(rest.split()[0]) / 1024 for name, rest in (row.split(":") for row in rows)}
    return sizes["Pss"], sizes["Rss"]


def _used(pid: int) -> float:
    """Seconds of CPU so far; the clock of another process, as clock_getcpuclockid(3) names it."""
    return time.clock_gettime(~pid << 3 | 2)
