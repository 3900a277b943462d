"""B1: the start of the reference stack, on processes and on containers, against a serial one."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import psutil
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
from harness.stack.book import AddressBook
from harness.stack.images import Images
from harness.stack.planning.addresses import HOST
from scenarios.topology import reference
from tests.bench.numbers import Figures, alternated, at_most, paired

PAIRS = 10
out = Console()
POLL = float(testcontainers_config.sleep_time)
"""Seconds between two looks of testcontainers-python's own wait strategies."""

Way = Callable[[], "Start"]


@dataclass
class Start:
    """One start: wall seconds, CPU seconds of it and of its nodes, and the slowest node."""

    wall: float
    cpu: float = 0.0
    slowest: float = 0.0


def on_processes(settings: Settings, pairs: int = PAIRS) -> Figures:
    """Parallel against serial, A B B A, and against the floor of this machine."""
    found = _pairs(
        lambda: _parallel(settings, "processes"),
        lambda: _serial(
            settings, Provisioner(settings), lambda: ProcessRuntime(settings.inherited)
        ),
        pairs,
    )
    cores = os.cpu_count() or 1
    floors = [max(p.slowest, p.cpu / cores) for p, _ in found]
    return {
        **_beside_series(found),
        "floor max(slowest alone, CPU / cores), s (median)": statistics.median(floors),
        "B1 parallel start, of the floor": paired(
            [p.wall / floor for (p, _), floor in zip(found, floors, strict=True)],
            "the floor of the same start",
            moonshot=at_most(1.15),
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
        **_beside_series(pairs),
        "containers / processes": paired(
            [c.wall / p.wall for c, p in beside], "the same stack on processes"
        ),
    }


def _beside_series(pairs: Sequence[tuple[Start, Start]]) -> Figures:
    return {
        "parallel start, s (median)": statistics.median(p.wall for p, _ in pairs),
        f"start in series with {POLL:g} s polls, s (median)": statistics.median(
            s.wall for _, s in pairs
        ),
        "B1 parallel start": paired(
            [p.wall / s.wall for p, s in pairs],
            f"in series with {POLL:g} s polls",
            at_most(0.5),
            at_most(0.2),
        ),
    }


def _pairs(first: Way, second: Way, pairs: int = PAIRS) -> list[tuple[Start, Start]]:
    found = alternated(pairs, first, second)
    for number, (one, other) in enumerate(found, start=1):
        out.print(f"  pair {number}: {one.wall:.2f} s, {other.wall:.2f} s")
    return found


def _parallel(settings: Settings, runtime: str) -> Start:
    """The product's own way."""
    before = time.process_time()
    with running(reference, replace(settings, runtime=runtime)) as stack:
        return _measured(stack, time.process_time() - before)


def _serial(settings: Settings, tools: Tools, make: Callable[[], Runtime]) -> Start:
    """The same parts one after another, looked at as often as testcontainers-python does.

    It is kind to that way: namespaces, volumes and the network are made side by side here too.
    """
    began = time.monotonic()
    with contextlib.closing(make()) as runtime:
        settled = _settled(runtime.name, settings)
        book = AddressBook.of_runtime(settled, tools, settings.root, runtime)
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


def _measured(stack: Stack, own: float) -> Start:
    entries: list[Entry] = list(stack.journal)
    slowest = max((row.ready or 0) - row.started for row in node_starts(entries))
    return Start(stack.took, own + cpu_of(stack), slowest)


def cpu_of(stack: Stack) -> float:
    """CPU seconds of a stack on processes so far: of its supervisor, of everything below it, and of
    what has ended."""
    supervisor = psutil.Process(stack.owner)
    times = [each.cpu_times() for each in (supervisor, *supervisor.children(recursive=True))]
    return sum(
        each.user + each.system + each.children_user + each.children_system for each in times
    )
