"""The values of a ledger: the path of an event from its publisher to its subscribers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.core.observation import Occurrence
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
    """

    position: Position
    time: int
    dead_letter_of: Position | None = None


@dataclass(frozen=True)
class Publication:
    """A request to publish.

    Attributes:
        app: the app that made it.
        topic: as in the request.
        time: when it was made, in nanoseconds since the epoch.
        took: seconds until the response.
        status: of the response; None if there was none.
    """

    app: str
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
        app: the app, or one of its replicas.
        topic: the topic of the subscription.
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

    @property
    def originals(self) -> tuple[Record, ...]:
        """The records that are not dead letters."""
        return tuple(each for each in self.records if each.dead_letter_of is None)

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

    def attempts_of(self, app: str, *, dead_letter: bool = False) -> tuple[Attempt, ...]:
        """The deliveries to an app.

        Args:
            app: its name; replicas have the same, followed by their number.
            dead_letter: those of the dead letter instead of those of the event.
        """
        return tuple(
            each
            for each in self.attempts
            if dead_letter == each.dead_letter and _is_replica(each.app, app)
        )

    def outcome_of(self, app: str) -> Outcome | None:
        """What the last delivery to the app led to; None if there was none."""
        found = self.attempts_of(app)
        if any(each.outcome == "success" for each in found):
            return "success"
        return found[-1].outcome if found else None

    @property
    def apps(self) -> tuple[str, ...]:
        """The apps to which it was delivered, without dead letters."""
        return tuple(dict.fromkeys(each.app for each in self.attempts if not each.dead_letter))


@dataclass(frozen=True)
class JobPath:
    """What is known of one job of an app.

    Attributes:
        app: the app to which it is delivered.
        calls: requests that schedule, read or delete it.
        attempts: its deliveries.
    """

    app: str
    name: str
    calls: tuple[Occurrence, ...] = ()
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True)
class Ledger:
    """What is known of every event and job.

    Attributes:
        events: in the order in which they were first seen.
        jobs: in the order of app and name.
    """

    events: tuple[EventPath, ...] = ()
    jobs: tuple[JobPath, ...] = ()

    @property
    def records(self) -> int:
        """The number of records on the broker; each belongs to one event."""
        return sum(len(each.records) for each in self.events)

    def by_topic(self) -> Mapping[str, Sequence[EventPath]]:
        """The events of each topic."""
        found = defaultdict[str, list[EventPath]](list)
        for each in self.events:
            for topic in each.topics:
                found[topic].append(each)
        return found


@dataclass(frozen=True)
class Subscriptions:
    """What each app subscribes to.

    Attributes:
        topics: the topic that a sidecar delivers to a path of its app, by app and path.
        dead_letters: the topic to which it sends what could not be delivered, by app and topic.
    """

    topics: Mapping[tuple[str, str], str] = field(default_factory=dict)
    dead_letters: Mapping[tuple[str, str], str] = field(default_factory=dict)


def _is_replica(node: str, app: str) -> bool:
    base, _, number = node.rpartition("-")
    return node == app or (base == app and number.isdigit())
