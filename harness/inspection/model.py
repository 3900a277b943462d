"""What can be looked at in a stack that is up. All of it can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.core.as_json import AsJson

Kind = Literal["app", "sidecar", "broker", "database", "control", "recorder", "other"]

Fate = Literal[
    "delivered",
    "retrying",
    "dropped",
    "dead_letter",
    "expired",
    "in_flight",
    "unhandled",
    "not_recorded",
    "rejected",
]
"""What became of an event so far, see `harness.inspection.fates`."""

Action = Literal["restart", "kill", "pause", "resume"]


@dataclass(frozen=True)
class NodeRow(AsJson):
    """A node now.

    Attributes:
        app_id: of an app or a sidecar.
        state: ``running``, ``paused`` or ``exited``; ``external`` if the stack has not started it.
        exit_code: None while it runs.
        memory: bytes of its process, 0 if they are not known.
        cpu_seconds: seconds of processor time since it started.
        addresses: by the name of the port.
    """

    name: str
    kind: Kind
    app_id: str | None
    state: str
    exit_code: int | None
    memory: int
    cpu_seconds: float
    addresses: Mapping[str, str]


@dataclass(frozen=True)
class Subscriber(AsJson):
    """An app that subscribes to a topic.

    Attributes:
        routes: the paths to which its sidecar delivers.
        dead_letter: the dead-letter topic; "" if there is none.
        recorded: whether its deliveries are recorded.
        lag: records that its consumer group has still to handle; None if that is not known.
    """

    app: str
    routes: Sequence[str]
    dead_letter: str
    recorded: bool
    lag: int | None = None


@dataclass(frozen=True)
class GroupPosition(AsJson):
    """How far a consumer group has read a partition.

    Attributes:
        app: the app whose sidecar reads with this group; None if it is none of the stack's.
        offset: the next one that it reads, as it has committed it; None if it has committed none.
        lag: records that it has still to handle; None if that is not known.
        reads: whether the partition is assigned to one of its members now.
    """

    group: str
    app: str | None
    offset: int | None
    lag: int | None
    reads: bool


@dataclass(frozen=True)
class PartitionRow(AsJson):
    """A partition of a topic.

    Attributes:
        end: the offset that the next record gets.
        groups: the consumer groups that read it, or have read it.
    """

    number: int
    end: int
    groups: Sequence[GroupPosition]


@dataclass(frozen=True)
class TopicRow(AsJson):
    """A topic.

    Attributes:
        pubsub: the component of its subscribers, or else of its publishers; "" if none is known.
        records: the number of its records that are known; 0 on other brokers than Kafka.
        partitions: only known on the stack's own Kafka.
    """

    name: str
    pubsub: str
    records: int
    subscribers: Sequence[Subscriber]
    partitions: Sequence[PartitionRow] = ()


@dataclass(frozen=True)
class ComponentRow(AsJson):
    """A component, by name and type.

    Attributes:
        apps: those whose sidecars have loaded it.
        failed: why the sidecars of others have not, by app.
    """

    name: str
    type: str
    version: str
    apps: Sequence[str]
    failed: Mapping[str, str]

    @property
    def loaded(self) -> bool:
        """Whether every sidecar that should has loaded it."""
        return not self.failed

    def as_json(self) -> dict[str, Any]:
        """The same with ``loaded``."""
        return {**super().as_json(), "loaded": self.loaded}


@dataclass(frozen=True)
class JobRow(AsJson):
    """A job of an app.

    Attributes:
        schedule, due, repeats: as the scheduler has them; "" if they are not known.
        scheduled: whether the scheduler has it; None if it could not be asked.
        attempts: the number of deliveries that were recorded.
        outcome: of the last of them; "" without one.
    """

    app: str
    name: str
    schedule: str = ""
    due: str = ""
    repeats: str = ""
    scheduled: bool | None = None
    attempts: int = 0
    outcome: str = ""


@dataclass(frozen=True)
class Overview(AsJson):
    """A stack now.

    Attributes:
        at: seconds since the epoch.
        missing: what could not be read, and why.
    """

    stack: str
    runtime: str
    at: float
    up_for: float
    nodes: Sequence[NodeRow]
    topics: Sequence[TopicRow]
    stores: Sequence[ComponentRow]
    components: Sequence[ComponentRow]
    jobs: Sequence[JobRow]
    missing: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """The same as dictionaries, lists and plain values."""
        rows = {"stores": self.stores, "components": self.components}
        return {**super().as_json(), **{k: [each.as_json() for each in v] for k, v in rows.items()}}


@dataclass(frozen=True)
class EventRow(AsJson):
    """An event in a list.

    Attributes:
        key: identifies it in this ledger, even if others have the same id.
        id, type: of the CloudEvent; "" if it is not one.
        topic: where it was published; several are separated by commas.
        at: when it was first seen, in seconds since the epoch.
        published_by: the app whose request is known; None if none is.
        attempts: the number of deliveries, those of its dead letter included.
        apps: to which it was delivered.
        size: characters of its data as JSON.
        revision: when it changed last; compare with `EventPage.next`.
    """

    key: str
    id: str
    topic: str
    type: str
    at: float
    published_by: str | None
    outcome: Fate
    attempts: int
    apps: Sequence[str]
    size: int
    revision: int = 0


@dataclass(frozen=True)
class EventPage(AsJson):
    """Events, the newest last.

    Attributes:
        next: the cursor: events that were added or have changed since then come next.
        total: the number of events that fit.
        truncated: whether older ones that fit are left out, or were forgotten.
        missing: what could not be read, and why.
    """

    rows: Sequence[EventRow]
    next: int
    total: int
    truncated: bool = False
    missing: Sequence[str] = ()


@dataclass(frozen=True)
class LogLine(AsJson):
    """A line of a node's log.

    Attributes:
        seq: its number in the order of reading; a cursor.
        at: seconds since the epoch: as the line says, or else as the one before it that was read
            together with it, or else when it was read.
        level: in lower case; None if the line names none.
    """

    seq: int
    at: float
    node: str
    level: str | None
    text: str


@dataclass(frozen=True)
class LogPage(AsJson):
    """Lines in the order of time.

    Attributes:
        next: the cursor: lines that were read after these.
        truncated: whether older lines that fit are left out, or were forgotten.
    """

    lines: Sequence[LogLine]
    next: int
    truncated: bool = False


@dataclass(frozen=True)
class EventDetail(AsJson):
    """Everything that is known of one event.

    Attributes:
        conclusion: what became of it, in words.
        path: its publications, records and attempts.
        explanation: a line for each step.
        data: its data as text, secrets masked.
        truncated: whether the data is longer.
        logs: lines that mention its id or its trace.
    """

    row: EventRow
    conclusion: str
    path: Mapping[str, Any]
    explanation: Sequence[str]
    data: str
    truncated: bool
    logs: Sequence[LogLine]
    missing: Sequence[str] = field(default=())


@dataclass(frozen=True)
class InvokedRow(AsJson):
    """The response of an app: its status, and its body, as text if it is not JSON."""

    status: int
    body: Any
