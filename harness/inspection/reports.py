"""What the parts of a stack report, asked again only after a while. Everything here blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from harness.core.errors import HarnessError, SystemFailure, Unavailable
from harness.core.roles import HasTopics
from harness.inspection.model import NodeRow
from harness.inspection.partitions import Partitions, partitions_of
from harness.inspection.parts import SOON, Inspection, inspect
from harness.inspection.scheduled import listed
from harness.inspection.sidecars import UpSidecar, at_once, sidecars_of
from harness.stack.registry import UpStack
from harness.stack.stack import Stack

T = TypeVar("T")

FRESH = 1.0
"""Seconds for which what the sidecars have reported is taken as it is."""

KEPT = 3.0
"""The same for jobs and consumer groups, which cost more to ask for."""


class Kept(Generic[T]):
    """A value that is read again when it is older than some seconds."""

    def __init__(self, seconds: float, read: Callable[[Sequence[NodeRow]], T]) -> None:
        self._seconds = seconds
        self._read = read
        self._found: tuple[float, T] | None = None

    def now(self, nodes: Sequence[NodeRow]) -> T:
        """The value.

        Args:
            nodes: in their present states; those that do not run are not asked.
        """
        if self._found is None or time.monotonic() - self._found[0] > self._seconds:
            found = self._read(nodes)
            self._found = time.monotonic(), found
        return self._found[1]

    def forget(self) -> None:
        """Read it again at the next call."""
        self._found = None


class Reports:
    """What sidecars, schedulers and brokers report.

    Args:
        stack: the stack.
        up: its record.
        clean: masks secrets.

    Attributes:
        sidecars: what each running sidecar reports.
        partitions: see `partitions_of`; empty while the broker does not respond.
        jobs: the scheduler's jobs of each app that could be asked, and what could not be read.
    """

    def __init__(self, stack: Stack, up: UpStack, clean: Callable[[str], str]) -> None:
        self._stack = stack
        self._up = up
        self._clean = clean
        self.sidecars = Kept(FRESH, self._inspected)
        self.partitions = Kept(KEPT, self._partitions)
        self.jobs = Kept(KEPT, self._jobs)

    def brokers_away(self, nodes: Sequence[NodeRow]) -> list[NodeRow]:
        """The brokers that do not run."""
        names = {each.name for each in self._stack.topology.nodes if isinstance(each, HasTopics)}
        return [each for each in nodes if each.name in names and each.state not in UP]

    def _running(self, nodes: Sequence[NodeRow]) -> list[UpSidecar]:
        running = {each.name for each in nodes if each.state in UP}
        return [each for each in sidecars_of(self._up).values() if each.node.name in running]

    def _inspected(self, nodes: Sequence[NodeRow]) -> list[Inspection]:
        return at_once(inspect, self._running(nodes))

    def _partitions(self, nodes: Sequence[NodeRow]) -> Partitions:
        from confluent_kafka import KafkaException

        if self.brokers_away(nodes):
            return Partitions()
        try:
            return partitions_of(self._stack)
        except (KafkaException, TimeoutError):
            return Partitions()

    def _jobs(self, nodes: Sequence[NodeRow]) -> tuple[dict[str, Any], list[str]]:
        found: dict[str, Any] = {}
        missing: list[str] = []
        asked = self._running(nodes)
        for sidecar, jobs in zip(asked, at_once(_jobs_of, asked), strict=True):
            if isinstance(jobs, Unavailable):
                return {}, [f"the jobs of the scheduler: {jobs}"]
            if isinstance(jobs, Exception):
                missing.append(f"the jobs of {sidecar.app_id}: {self._clean(str(jobs))}")
            else:
                found[sidecar.app_id] = jobs
        return found, missing


UP = ("running", "external")
"""The states in which a node can answer."""


def _jobs_of(sidecar: UpSidecar) -> list[dict[str, Any]] | HarnessError | SystemFailure:
    try:
        return listed(sidecar, SOON)
    except (HarnessError, SystemFailure) as error:
        return error
