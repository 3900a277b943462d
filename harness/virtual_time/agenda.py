"""What is due when: every job of a scheduler, and a moment up to which they have fired.

No I/O and no clock: whoever holds it says what time it is and delivers what is due.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from harness.virtual_time.civil import civil
from harness.virtual_time.jobs import Plan, Progress, begun, failed, succeeded
from harness.virtual_time.schedules import Every

NEVER = civil((9999, 1, 1))
"""From here on, a due time means none, as that of an event which a workflow awaits."""


class Outcome(Enum):
    """What became of one firing."""

    SUCCESS = "success"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"


class State(Enum):
    """Where a job is between two firings."""

    QUEUED = "queued"
    IN_FLIGHT = "in flight"
    WAITING = "waiting for its app"


@dataclass
class Entry:
    """One job by its full name.

    Attributes:
        revision: grows with each job that is scheduled; the order among jobs due at one time.
    """

    name: str
    revision: int
    plan: Plan
    progress: Progress
    state: State = State.QUEUED


class Store(Protocol):
    """Keeps what must survive the end of the program."""

    def save(self, entry: Entry) -> None:
        """Keep a job, in place of one with the same name."""
        ...

    def remove(self, name: str) -> None:
        """Forget a job."""
        ...


class Nowhere:
    """Keeps nothing."""

    def save(self, entry: Entry) -> None:
        """Nothing."""

    def remove(self, name: str) -> None:
        """Nothing."""


class Agenda:
    """All jobs of one scheduler.

    Args:
        now: the moment at which it begins.
        store: told of every change.

    Attributes:
        now: the moment up to which jobs are due.
        fired: how many firings were taken so far.
    """

    def __init__(self, now: int, store: Store | None = None) -> None:
        self.now = now
        self.fired = 0
        self._store = store or Nowhere()
        self._entries: dict[str, Entry] = {}
        self._queue: list[tuple[int, int, str]] = []
        self._revision = 0
        self._in_flight: dict[int, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def restore(self, entry: Entry) -> None:
        """Take back a job that a store has kept; its next firing is computed anew."""
        progress = begun(entry.plan, entry.progress)
        self._revision = max(self._revision, entry.revision)
        if progress is None:
            self._store.remove(entry.name)
            return
        entry.progress, entry.state = progress, State.QUEUED
        self._entries[entry.name] = entry
        self._enqueue(entry)

    def put(self, name: str, plan: Plan) -> None:
        """Schedule a job, in place of one with the same name, whose firing is forgotten."""
        self._revision += 1
        self._drop(name)
        progress = begun(plan)
        if progress is None:
            # It would never fire, and the real scheduler deletes it as soon as it looks at it.
            return
        entry = Entry(name, self._revision, plan, progress)
        self._entries[name] = entry
        self._store.save(entry)
        self._enqueue(entry)

    def get(self, name: str) -> Entry | None:
        """A job by its full name."""
        return self._entries.get(name)

    def named(self, prefix: str) -> list[Entry]:
        """The jobs whose names begin so, in the order of their names' bytes."""
        found = (entry for name, entry in self._entries.items() if name.startswith(prefix))
        return sorted(found, key=lambda entry: entry.name)

    def delete(self, name: str) -> None:
        """Forget a job; what is in flight stays so, and its outcome counts no more."""
        self._drop(name)

    def delete_prefix(self, prefix: str) -> None:
        """Forget every job whose name begins so."""
        for entry in self.named(prefix):
            self._drop(entry.name)

    def take(self) -> Iterator[Entry]:
        """What is due by now, in order; each is in flight until its outcome is told."""
        while (moment := self.next_due()) is not None and moment <= self.now:
            _, _, name = heapq.heappop(self._queue)
            entry = self._entries[name]
            entry.state = State.IN_FLIGHT
            self._in_flight[entry.revision] = entry
            self.fired += 1
            yield entry

    def tell(self, revision: int, outcome: Outcome) -> None:
        """What became of a firing. An outcome of a job that was replaced or deleted is dropped."""
        entry = self._in_flight.pop(revision, None)
        if entry is None or self._entries.get(entry.name) is not entry:
            return
        if outcome is Outcome.UNDELIVERABLE:
            entry.state = State.WAITING
            return
        after = succeeded if outcome is Outcome.SUCCESS else failed
        progress = after(entry.plan, entry.progress)
        if progress is None:
            self._drop(entry.name)
            return
        entry.progress = progress
        self._store.save(entry)
        self._enqueue(entry)

    def deliverable(self, prefixes: Iterable[str]) -> None:
        """An app has come: what waited for it is due again."""
        starts = tuple(prefixes)
        for entry in sorted(self.waiting(), key=lambda entry: entry.revision):
            if entry.name.startswith(starts):
                self._enqueue(entry)

    def waiting(self) -> list[Entry]:
        """The jobs that were due and whose app is not there."""
        return [each for each in self._entries.values() if each.state is State.WAITING]

    @property
    def is_answered(self) -> bool:
        """Whether every firing has an outcome."""
        return not self._in_flight

    def in_flight(self) -> list[Entry]:
        """The firings without an outcome, the first first."""
        return list(self._in_flight.values())

    def next_due(self) -> int | None:
        """When the next firing is due; None if there is none before the year 9999."""
        while self._queue:
            moment, revision, name = self._queue[0]
            entry = self._entries.get(name)
            if entry is not None and _is_current(entry, revision, moment):
                return moment if moment < NEVER else None
            heapq.heappop(self._queue)
        return None

    def count_until(self, moment: int, limit: int) -> dict[str, int]:
        """How many firings are due up to a moment, by name; at most the limit for each.

        As if all of them succeed. Jobs with a constant pause are counted beyond the limit.
        """
        queued = (each for each in self._entries.values() if each.state is not State.WAITING)
        counts = ((each.name, _firings(each, moment, limit)) for each in queued)
        return {name: count for name, count in counts if count}

    def _enqueue(self, entry: Entry) -> None:
        entry.state = State.QUEUED
        heapq.heappush(self._queue, (entry.progress.next, entry.revision, entry.name))

    def _drop(self, name: str) -> None:
        entry = self._entries.pop(name, None)
        if entry is not None:
            self._store.remove(name)


def _is_current(entry: Entry, revision: int, moment: int) -> bool:
    """Whether a place in the queue is still that of the job."""
    queued = entry.state is State.QUEUED and entry.revision == revision
    return queued and entry.progress.next == moment


def _firings(entry: Entry, moment: int, limit: int) -> int:
    progress: Progress | None = entry.progress
    schedule = entry.plan.schedule
    if isinstance(schedule, Every) and schedule.pause > 0 and entry.plan.expiration is None:
        repeats = entry.plan.job.repeats
        times = max(0, (moment - entry.progress.next) // schedule.pause + 1)
        return times if repeats is None else min(times, repeats - entry.progress.count)
    count = 0
    while progress is not None and progress.next <= moment and count <= limit:
        count += 1
        progress = succeeded(entry.plan, progress)
    return count
