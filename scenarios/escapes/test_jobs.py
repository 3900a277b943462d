"""Dapr 1.16.13: "Scheduled jobs stop firing after a scheduler pod restart".

A sidecar asks a scheduler for the addresses of all, and takes jobs from each of these. When one of
these connections broke it dropped all of them, and took them up again only when the addresses
changed: not if the scheduler was back before that was noticed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from harness import App, ProbeTimeout, Scheduler, Settings, Topology, World, running
from harness.core.endpoint import Endpoint
from harness.core.node import Scope
from scenarios.escapes.forwarder import Forwarder


class Lines:
    """Both ways to a scheduler: to ask for addresses, and to get jobs."""

    def __init__(self) -> None:
        self.scheduler: Endpoint | None = None
        self.addresses, self.jobs = Forwarder(self._target), Forwarder(self._target)

    def _target(self) -> Endpoint:
        assert self.scheduler is not None, "asked for before the scheduler was planned"
        return self.scheduler


@dataclass(frozen=True)
class Distant(Scheduler):
    """A scheduler that gives the way of its jobs as its address."""

    name: str = "distant"
    lines: Lines = field(default_factory=Lines)

    def flags(self, scope: Scope, listens: Mapping[str, Endpoint]) -> Sequence[str]:
        """Of two of a name the last one counts."""
        self.lines.scheduler = listens["main"]
        told = f"--override-broadcast-host-port={self.lines.jobs.address}"
        return (*super().flags(scope, listens), told)


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Open as long as the test."""
    made = Lines()
    with made.addresses, made.jobs:
        yield made


@pytest.fixture
def distant(dapr_settings: Settings, lines: Lines) -> Iterator[World]:
    """The small app, whose sidecar reaches its scheduler by these lines only."""
    scheduler = Distant(lines=lines)
    app = App(
        "clock",
        asgi="scenarios.escapes.clock_app:app",
        inbox=True,
        needs=[scheduler.name],
        sidecar_flags={"scheduler-host-address": str(lines.addresses.address)},
    )
    parts = Topology(app, scheduler, resources="scenarios/escapes/resources")
    stack = running(parts, dapr_settings)
    stack.provision()
    with stack, World(stack) as world:
        yield world


@pytest.mark.escape(fixed_in="1.16.13", shows="no job came after its connection had broken once")
def test_jobs_go_on_when_a_connection_to_the_scheduler_has_broken(
    distant: World, lines: Lines
) -> None:
    """The sidecar connects anew, although the scheduler has never told another address."""
    inbox = distant.inbox("clock")
    distant.sidecar("clock").schedule_job("tick", schedule="@every 1s", data=1)
    inbox.next(path="/job/tick", timeout=60)

    assert lines.jobs.cut() > 0
    # One more may have been under way.
    enough = len(inbox.all(path="/job/tick")) + 2

    try:
        distant.eventually(lambda: len(inbox.all(path="/job/tick")) >= enough, timeout=45)
    except ProbeTimeout:
        pytest.fail("no job came after its connection had broken once")
