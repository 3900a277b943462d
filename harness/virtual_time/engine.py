"""Fires what is due at the sidecars that are connected. No I/O: a stream is whatever can send."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from harness.virtual_time.agenda import Agenda, Entry, Outcome
from harness.virtual_time.connections import Connections, Gates, Joining, Target, limits_of
from harness.virtual_time.firings import Recorder, Unrecorded
from harness.virtual_time.jobs import Job, planned

INTERNAL = "dapr.internal."
"""What the actor types of workflows begin with. Their times come from daprd's own clock."""


class Stream(Protocol):
    """A sidecar's stream of jobs."""

    def send(self, number: int, name: str, job: Job) -> None:
        """Send one firing; its outcome comes back with the number."""
        ...


@dataclass
class Flight:
    """A firing that was sent.

    Attributes:
        keys: the limits that it counts for.
    """

    revision: int
    keys: Iterable[str]


class Engine:
    """Between the agenda and the sidecars.

    Args:
        agenda: what is due when.
        target_of: whom a job is for, by the bytes of its JobMetadata.
        record: told of every firing.
        one_at_a_time: whether each firing waits for the outcome of the one before it.

    Attributes:
        changed: called after whatever may end somebody's wait.
    """

    def __init__(
        self,
        agenda: Agenda,
        target_of: Callable[[bytes], Target],
        record: Recorder | None = None,
        *,
        one_at_a_time: bool = False,
    ) -> None:
        self.agenda = agenda
        self._target_of = target_of
        self._record = record or Unrecorded()
        self._one_at_a_time = one_at_a_time
        self.changed: Callable[[], None] = lambda: None
        self._connections: Connections[Any] = Connections()
        self._gates = Gates()
        self._flights: dict[Stream, dict[int, Flight]] = {}
        self._numbers: dict[Stream, int] = {}
        self._firing = False

    def put(
        self, target: Target, name: str, job: Job, real_now: int, *, overwrite: bool = True
    ) -> bool:
        """Schedule a job; return False if there is one with the same name.

        Args:
            real_now: the moment by the clock that daprd has.
            overwrite: whether it takes the place of that one.

        Raises:
            ValueError: the scheduler refuses it.
        """
        internal = target.actor_type.startswith(INTERNAL)
        shift = self.agenda.now - real_now if internal else 0
        plan = planned(job, self.agenda.now, shift)
        if not overwrite and self.agenda.get(target.prefix + name) is not None:
            return False
        self.agenda.put(target.prefix + name, plan)
        self.fire()
        return True

    def move(self, moment: int) -> None:
        """It is later now."""
        self.agenda.now = max(moment, self.agenda.now)
        self.fire()

    def fire(self) -> None:
        """Send everything that is due by now."""
        if self._firing:  # an outcome that is known at once comes back here
            return
        self._firing = True
        try:
            while self._may_fire() and (entry := next(self.agenda.take(), None)) is not None:
                self._record.fired(self.agenda.now, entry)
                self._enter(entry)
        finally:
            self._firing = False
        self.changed()

    def join(self, stream: Stream, joining: Joining) -> None:
        """A sidecar has opened a stream: it gets what has waited for it."""
        self._flights[stream], self._numbers[stream] = {}, 0
        self._connections.add(stream, joining)
        self.agenda.deliverable(joining.prefixes)
        self.fire()

    def leave(self, stream: Stream) -> None:
        """A stream has ended: what it has not answered waits, or goes to another one."""
        self._connections.remove(stream)
        for flight in self._flights.pop(stream, {}).values():
            self._land(flight, Outcome.UNDELIVERABLE)
        self._numbers.pop(stream, None)
        self._redeliver()

    def tell(self, stream: Stream, number: int, outcome: Outcome) -> bool:
        """What a sidecar says of a firing; False if it was never sent there."""
        flight = self._flights.get(stream, {}).pop(number, None)
        if flight is None:
            return False
        self._land(flight, outcome)
        self.fire()
        return True

    def _may_fire(self) -> bool:
        return self.agenda.is_answered or not self._one_at_a_time

    def _enter(self, entry: Entry) -> None:
        target = self._target_of(entry.plan.job.target)
        limits = limits_of(target, self._connections.limits(target.namespace))
        self._gates.enter(tuple(limits), limits, lambda: self._send(entry, target, tuple(limits)))

    def _send(self, entry: Entry, target: Target, keys: Iterable[str]) -> None:
        stream = self._connections.stream_of(target)
        flight = Flight(entry.revision, keys)
        if stream is None:
            self._land(flight, Outcome.UNDELIVERABLE)
            return
        self._numbers[stream] += 1
        number = self._numbers[stream]
        self._flights[stream][number] = flight
        stream.send(number, entry.name.removeprefix(target.prefix), entry.plan.job)

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        self._record.answered(flight.revision, outcome)
        self.agenda.tell(flight.revision, outcome)
        self._gates.leave(flight.keys)

    def _redeliver(self) -> None:
        """What waits although another stream can deliver it is due again."""
        for entry in self.agenda.waiting():
            target = self._target_of(entry.plan.job.target)
            if self._connections.can_reach(target):
                self.agenda.deliverable([entry.name])
        self.fire()
