"""B1: the start of the reference stack, on processes and on containers, against a serial one."""

from __future__ import annotations

import contextlib
import os
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from testcontainers.core.config import testcontainers_config

from harness import Settings, Stack, Topology, running
from harness.core.deadline import Deadline, poll
from harness.core.journal import Entry
from harness.core.node import Node, Target, Tools
from harness.provision.toolbox import Provisioner
from harness.report.waterfall import node_starts
from harness.runtime.base import Runtime
from harness.runtime.containers.runtime import ContainerRuntime
from harness.runtime.processes import ProcessRuntime
from harness.stack.images import Images
from harness.stack.planning.addresses import HOST
from harness.stack.startup import own_book
from scenarios.topology import reference
from tests.bench.numbers import Figures, alternated, ratio

PAIRS = 6
out = Console()
POLL = float(testcontainers_config.sleep_time)
"""Seconds between two looks of testcontainers-python's own wait strategies."""

Way = Callable[[], "Start"]


@dataclass
class Start:
    """One start: wall seconds, CPU seconds of everything it started, and the slowest node."""

    wall: float
    cpu: float = 0.0
    slowest: float = 0.0


def on_processes(settings: Settings) -> Figures:
    """Parallel against serial, A B B A, and against the floor of this machine."""
    pairs = _pairs(
        lambda: _parallel(settings, "processes"),
        lambda: _serial(
            settings, Provisioner(settings), lambda: ProcessRuntime(settings.inherited)
        ),
    )
    own_cpu = resource.getrusage(resource.RUSAGE_SELF).ru_utime / PAIRS / 2
    cores = os.cpu_count() or 1
    floors = [max(p.slowest, (p.cpu + own_cpu) / cores) for p, _ in pairs]
    return {
        "parallel start, s (median)": statistics.median(p.wall for p, _ in pairs),
        f"serial start with {POLL:g} s polls, s (median)": statistics.median(
            s.wall for _, s in pairs
        ),
        **ratio("parallel / serial", [p.wall / s.wall for p, s in pairs]),
        "floor max(slowest alone, CPU / cores), s": statistics.median(floors),
        "parallel / floor": statistics.median(
            p.wall / floor for (p, _), floor in zip(pairs, floors, strict=True)
        ),
    }


def on_containers(settings: Settings) -> Figures:
    """The same on containers, all images present; then beside processes."""
    images = Images(settings)
    settled = _settled("containers", settings)
    images.provide(settled.nodes, settings.root)

    def runtime() -> Runtime:
        return ContainerRuntime(settings.inherited, images.reference, images.user)

    pairs = _pairs(
        lambda: _parallel(settings, "containers"), lambda: _serial(settings, images, runtime)
    )
    beside = _pairs(
        lambda: _parallel(settings, "containers"), lambda: _parallel(settings, "processes")
    )
    return {
        "parallel start, s (median)": statistics.median(p.wall for p, _ in pairs),
        f"serial start with {POLL:g} s polls, s (median)": statistics.median(
            s.wall for _, s in pairs
        ),
        **ratio("parallel / serial", [p.wall / s.wall for p, s in pairs]),
        **ratio("containers / processes", [c.wall / p.wall for c, p in beside]),
    }


def _pairs(first: Way, second: Way) -> list[tuple[Start, Start]]:
    found = alternated(PAIRS, first, second)
    for number, (one, other) in enumerate(found, start=1):
        out.print(f"  pair {number}: {one.wall:.2f} s, {other.wall:.2f} s")
    return found


def _parallel(settings: Settings, runtime: str) -> Start:
    """The product's own way."""
    with running(reference, replace(settings, runtime=runtime)) as stack:
        return _measured(stack)


def _serial(settings: Settings, tools: Tools, make: Callable[[], Runtime]) -> Start:
    """The same parts one after another, looked at as often as testcontainers-python does.

    It is kind to that way: namespaces, volumes and the network are made side by side here too.
    """
    began = time.monotonic()
    with contextlib.closing(make()) as runtime:
        settled = _settled(runtime.name, settings)
        book = own_book(settled, tools, settings.root, runtime)
        launches = {node.name: node.plan(book.scope(node.name)) for node in settled.nodes}
        runtime.prepare(list(launches.values()))
        for node in _in_order(settled):
            runtime.start(launches[node.name])
            scope = book.scope(node.name, HOST)
            for check in node.checks(scope):
                assert poll(check.observe, Deadline(60), interval=POLL).ok, check
            node.initialize(scope)
            for check in node.post_checks(scope):
                assert poll(check.observe, Deadline(60), interval=POLL).ok, check
        return Start(time.monotonic() - began)


def _settled(runtime: str, settings: Settings) -> Topology:
    return reference.resolved(Target(runtime, settings.broker))


def _in_order(topology: Topology) -> list[Node]:
    """Infrastructure, apps, inboxes, sidecars: an order in which each finds what it needs."""

    def rank(name: str) -> int:
        ends = {"-daprd": 3, "-inbox": 2}
        infrastructure = ("broker", "postgres", "placement", "scheduler")
        return next((r for e, r in ends.items() if name.endswith(e)), name not in infrastructure)

    return sorted(topology.nodes, key=lambda node: rank(node.name))


def _measured(stack: Stack) -> Start:
    entries: list[Entry] = list(stack.journal)
    slowest = max((row.ready or 0) - row.started for row in node_starts(entries))
    cpu = sum(_cpu(each.pid) for each in stack.instances.values())
    return Start(stack.took, cpu, slowest)


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far, its ended children included."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(word) for word in words[11:15]) / os.sysconf("SC_CLK_TCK")
