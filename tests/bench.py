"""`make bench`: both sides of every figure in one run; writes bench.json and prints a table.

It reports and asserts nothing. Figures are ratios, or stand beside the floor they are held against.
"""

from __future__ import annotations

import json
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from harness import Settings, Stack, Topology, World, running
from harness.book import StackBook
from harness.deadline import Deadline, poll
from harness.journal import Entry
from harness.provision.toolbox import Toolbox
from harness.report.waterfall import climbs
from harness.runtime.processes import ProcessRuntime
from scenarios.topology import reference
from tests.projects import MINI_FILES
from tests.support import environment, leftovers, project

PAIRS = 6
KILLS = 20
EVENTS = 200
out = Console()


@dataclass
class Start:
    """One start: wall seconds, CPU seconds of everything it started, and the slowest climb."""

    wall: float
    cpu: float
    slowest: float


def parallel(settings: Settings) -> Start:
    """The product's own way."""
    with running(reference, settings) as stack:
        return _measured(stack)


def serial(settings: Settings) -> Start:
    """The same parts one after another, looked at once a second, as harnesses commonly do."""
    began = time.monotonic()
    with ProcessRuntime(settings.inherited) as runtime:
        tools = Toolbox(settings)
        book = StackBook(reference, tools, settings.root, runtime.folder, runtime.reserve)
        for node in _in_order(reference):
            runtime.start(node.plan(book))
            for check in node.checks(book):
                assert poll(check.observe, Deadline(60), interval=1.0).ok, check
            node.provide(book)
            for check in node.confirms(book):
                assert poll(check.observe, Deadline(60), interval=1.0).ok, check
        return Start(time.monotonic() - began, 0.0, 0.0)


def _in_order(topology: Topology) -> list[Any]:
    """Infrastructure, apps, inboxes, sidecars: an order in which each finds what it needs."""

    def rank(name: str) -> int:
        ends = {"-daprd": 3, "-inbox": 2}
        infrastructure = ("kafka", "postgres", "placement", "scheduler")
        return next((r for e, r in ends.items() if name.endswith(e)), name not in infrastructure)

    return sorted(topology.nodes, key=lambda node: rank(node.name))


def _measured(stack: Stack) -> Start:
    entries: list[Entry] = list(stack.journal)
    began = next(entry.at for entry in entries if entry.kind == "start.begun")
    ended = next(entry.at for entry in entries if entry.kind == "start.ended")
    slowest = max((row.ready or 0) - row.started for row in climbs(entries))
    cpu = sum(_cpu(each.pid) for each in stack.instances.values())
    return Start(ended - began, cpu, slowest)


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far, its ended children included."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")


def start_up(settings: Settings) -> dict[str, float]:
    """B1: parallel against serial, A B B A, and against the floor of this machine."""
    pairs: list[tuple[Start, Start]] = []
    for number in range(PAIRS):
        order = [parallel, serial] if number % 2 == 0 else [serial, parallel]
        seen = {way: way(settings) for way in order}
        pairs.append((seen[parallel], seen[serial]))
        out.print(f"  pair {number + 1}: {seen[parallel].wall:.2f} s, {seen[serial].wall:.2f} s")
    own_cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime / PAIRS / 2
    cores = os.cpu_count() or 1
    floors = [max(p.slowest, (p.cpu + own_cpu) / cores) for p, _ in pairs]
    ratios = [p.wall / s.wall for p, s in pairs]
    low, high = bootstrap(ratios)
    return {
        "parallel start, s (median)": statistics.median(p.wall for p, _ in pairs),
        "serial start with 1 s polls, s (median)": statistics.median(s.wall for _, s in pairs),
        "parallel / serial (median of pairs)": statistics.median(ratios),
        "  95 % interval, low": low,
        "  95 % interval, high": high,
        "floor max(slowest alone, CPU / cores), s": statistics.median(floors),
        "parallel / floor": statistics.median(
            p.wall / floor for (p, _), floor in zip(pairs, floors, strict=True)
        ),
    }


def bootstrap(values: list[float], rounds: int = 2000) -> tuple[float, float]:
    """A 95 % interval of the median, from a fixed seed."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(rounds))
    return medians[int(rounds * 0.025)], medians[int(rounds * 0.975)]


def orphans(_settings: Settings) -> dict[str, float]:
    """R8, small: `kill -9` of the command line at random instants of a start."""
    left, slowest = 0, 0.0
    with tempfile.TemporaryDirectory() as work:
        folder = project(Path(work), **MINI_FILES)
        moments = random.Random(8)
        for _ in range(KILLS):
            command = [sys.executable, "-m", "harness.cli.main", "up", "--attach"]
            with subprocess.Popen(
                command, cwd=folder, env=environment(folder),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            ) as starting:  # fmt: skip
                try:
                    starting.wait(0.3 + moments.random() * 1.5)
                except subprocess.TimeoutExpired:
                    starting.kill()
            began = time.monotonic()
            left += len(leftovers(folder))
            slowest = max(slowest, time.monotonic() - began)
    return {
        "kill -9 trials": KILLS,
        "processes and folders left": left,
        "slowest clean-up, s": slowest,
    }


def delivery(settings: Settings) -> dict[str, float]:
    """Publish to handler entry (the moment daprd's request reaches the app's inbox)."""
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
        "publish acknowledged, p50, ms": _ms(acks, 50),
        "publish to handler, p50, ms": _ms(handlers, 50),
        "publish to handler, p99, ms": _ms(handlers, 99),
        "handler / acknowledged, p50": _ms(handlers, 50) / _ms(acks, 50),
    }


def _event(world: World, number: int) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": world.name(f"event-{number}"),
        "type": "com.taskmanager.task.created",
        "source": "bench",
        "data": {"task_id": "t", "user_id": world.name("user"), "title": "x"},
    }


def _ms(values: list[float], percentile: int) -> float:
    return statistics.quantiles(values, n=100)[percentile - 1] * 1000


def main() -> None:
    """Run all, print and write."""
    settings = replace(Settings.load(), offline=True)
    parts: dict[str, Callable[[Settings], dict[str, float]]] = {
        "B1 start of the reference stack": start_up,
        "R8 orphans": orphans,
        "B8 publish to deliver": delivery,
    }
    found: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "python": platform.python_version(),
    }
    table = Table(title="bench", title_justify="left", show_header=False)
    for title, part in parts.items():
        out.print(f"{title} ...")
        found[title] = part(settings)
        table.add_row(f"[bold]{title}[/]", "")
        for name, value in found[title].items():
            table.add_row(name, f"{value:.3g}")
    Path("bench.json").write_text(json.dumps(found, indent=2) + "\n")
    out.print(table)


if __name__ == "__main__":
    main()
