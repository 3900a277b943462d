"""The values of a ledger: the path of an event from its publisher to its subscribers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from harness.core.observation import Occurrence
from harness.ledger.keys import KeyPath
from harness.ledger.outcomes import Outcome


@dataclass(frozen=True, order=True)
class Position:
    """A place on the broker."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.partition}] offset {self.offset}"


@dataclass(frozen=True)
class Record:
    """An event as the broker stores it.

    Attributes:
        time: of the broker, in nanoseconds since the epoch, with a resolution of milliseconds.
        dead_letter_of: the position of the record that a sidecar has copied here because it could
            not be delivered; None for all other records.
        outbox: whether it is the row of Dapr's outbox, from which the sidecar that wrote it makes
            the event once the state is committed.
    """

    position: Position
    time: int
    dead_letter_of: Position | None = None
    outbox: bool = False


@dataclass(frozen=True)
class Publication:
    """A request to publish.

    Attributes:
        app: the app that made it, or ``test``.
        sidecar: the app whose sidecar received it.
        pubsub, topic: as in the request.
        time: when it was made, in nanoseconds since the epoch.
        took: seconds until the response.
        status: of the response; None if there was none.
    """

    app: str
    sidecar: str
    pubsub: str
    topic: str
    time: int
    took: float
    status: int | None

    @property
    def accepted(self) -> bool:
        """Whether the sidecar has acknowledged it."""
        return self.status is not None and 200 <= self.status <= 299


@dataclass(frozen=True)
class Attempt:
    """One delivery of an event to an app.

    Attributes:
        app: the app; its replicas have the same.
        node: the app's node: one of the replicas.
        topic: the topic of the subscription; "" of a job.
        path: the path of the request.
        time: when daprd sent it, in nanoseconds since the epoch.
        took: seconds until the response.
        status: of the response.
        answer: the body of the response.
        outcome: what daprd does because of it.
        failed: ``before`` or ``after`` the app did its work, if the inbox responded in its place.
        dead_letter: whether it is the delivery of a dead letter.
        effects: the calls that the app made meanwhile, as far as they are recorded.
    """

    app: str
    node: str
    topic: str
    path: str
    time: int
    took: float
    status: int
    answer: str
    outcome: Outcome
    failed: str = ""
    dead_letter: bool = False
    effects: tuple[Occurrence, ...] = ()


@dataclass(frozen=True)
class EventPath:
    """What is known of one event, each list in the order of time.

    Attributes:
        id, type, source, subject: of the CloudEvent; "" if the event is not one.
        data: its data, as stored or else as delivered.
        trace: its trace id; "" if it is in no trace.
        traces: those of its records, of the requests that delivered it, and of the CloudEvent in
            them, each once; "" stands for no trace. If there are several, a trace was interrupted.
        expires: when it expires, as the event says; "" if it does not.
        publications: requests to publish it.
        records: where the broker stores it, dead letters included.
        attempts: its deliveries.
    """

    id: str
    type: str
    source: str
    subject: str
    data: Any
    trace: str
    expires: str = ""
    publications: tuple[Publication, ...] = ()
    records: tuple[Record, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    traces: tuple[str, ...] = ()

    @property
    def originals(self) -> tuple[Record, ...]:
        """The records that are neither dead letters nor rows of an outbox."""
        return tuple(
            each for each in self.records if each.dead_letter_of is None and not each.outbox
        )

    @property
    def dead_letters(self) -> tuple[Record, ...]:
        """The records that are."""
        return tuple(each for each in self.records if each.dead_letter_of is not None)

    @property
    def topics(self) -> tuple[str, ...]:
        """Those on which it was published, or else to which it was delivered."""
        stored = [each.position.topic for each in self.originals]
        asked = [each.topic for each in self.publications]
        came = [each.topic for each in self.attempts if not each.dead_letter]
        return tuple(dict.fromkeys(stored or asked or came))

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps to which it was delivered, without dead letters."""
        return tuple(dict.fromkeys(each.app for each in self.attempts if not each.dead_letter))

    def attempts_of(self, app: str, *, dead_letter: bool = False) -> tuple[Attempt, ...]:
        """The deliveries to an app.

        Args:
            app: its name, or the name of one of its replicas.
            dead_letter: those of the dead letter instead of those of the event.
        """
        return tuple(
            each
            for each in self.attempts
            if dead_letter == each.dead_letter and app in (each.app, each.node)
        )

    def accepted_in(self, app: str, *, dead_letter: bool = False) -> int:
        """The number of the attempt that the app accepted first; 0 if it accepted none."""
        found = self.attempts_of(app, dead_letter=dead_letter)
        numbers = (number for number, each in enumerate(found, 1) if each.outcome == "success")
        return next(numbers, 0)

    def outcome_of(self, app: str) -> Outcome | None:
        """``success`` if the app accepted it, else that of the last attempt; None without one."""
        found = self.attempts_of(app)
        if self.accepted_in(app):
            return "success"
        return found[-1].outcome if found else None

    def has_expired(self, at: int) -> bool:
        """Whether its time to live has ended.

        Args:
            at: nanoseconds since the epoch.
        """
        try:
            end = datetime.fromisoformat(self.expires)
        except ValueError:
            return False
        # Without a zone, Go does not read it as a time.
        return end.tzinfo is not None and end.timestamp() * 1e9 <= at


@dataclass(frozen=True)
class JobPath:
    """What is known of one job of an app.

    Attributes:
        app: the app to which it is delivered; its replicas share it.
        calls: requests that schedule, read or delete it.
        firings: what a scheduler with virtual time has fired.
        attempts: its deliveries.
    """

    app: str
    name: str
    calls: tuple[Occurrence, ...] = ()
    firings: tuple[Occurrence, ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Ledger:
    """What is known of every event, job and key.

    Attributes:
        events: in the order in which they were first seen, by the clocks.
        jobs: in the order of app and name.
        keys: of state stores, in the order of store, name and app.
    """

    events: tuple[EventPath, ...] = ()
    jobs: tuple[JobPath, ...] = ()
    keys: tuple[KeyPath, ...] = ()

    @property
    def records(self) -> int:
        """The number of records on the broker; each belongs to one event."""
        return sum(len(each.records) for each in self.events)


@dataclass(frozen=True)
class Names:
    """What the names in the observations of a system stand for.

    Attributes:
        topics: the topics that sidecars deliver to a path of their app, by app and path.
        apps: the app of each replica, by the replica's node.
        prefix: what daprd puts before the name of each topic on the broker.
        shared: the apps and state stores whose keys belong to all apps that use the store.
    """

    topics: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    apps: Mapping[str, str] = field(default_factory=dict)
    prefix: str = ""
    shared: frozenset[tuple[str, str]] = frozenset()
