"""The values of a bundle. All of it can be written as JSON; secrets are masked before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from harness.bundle.recording import Recording

SCHEMA = 1
"""The version of the format. A bundle of another one is refused."""


@dataclass(frozen=True)
class NodeState:
    """A node at the moment of the failure.

    Attributes:
        kind: the name of its class.
        role: ``sidecar``, ``app``, ``broker`` or "".
        app_id: of an app or a sidecar; "" for other nodes.
        state: ``running``, ``starting``, ``exited`` ...
        exit_code: None while it runs.
        exit_expected: whether the test has stopped it.
        memory: bytes of its process, 0 if they are not known.
        cpu: seconds of processor time since it started.
        used: of these, the ones during the test.
    """

    name: str
    kind: str
    role: str = ""
    app_id: str = ""
    state: str = ""
    pid: int = 0
    exit_code: int | None = None
    exit_expected: bool = False
    memory: int = 0
    cpu: float = 0.0
    addresses: Mapping[str, str] = field(default_factory=dict)
    used: float = 0.0


@dataclass(frozen=True)
class Step:
    """One line of the timeline; see `Occurrence` for the fields."""

    time: int
    source: str
    node: str
    what: str
    ids: Mapping[str, str] = field(default_factory=dict)
    payload: str = ""
    took: float | None = None
    own: bool = False


@dataclass(frozen=True)
class EventStory:
    """The path of an event, explained.

    Attributes:
        title: what the event is called.
        conclusion: what became of it.
        steps: a line of text for each step, with its time in nanoseconds since the epoch.
        data: the event's data as text.
        own: whether it mentions the test's world.
        facts: what the rules for causes look at, see `harness.bundle.stories`.
    """

    title: str
    conclusion: str
    steps: Sequence[tuple[int, str]]
    data: str = ""
    own: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class JobStory:
    """What happened to a job of an app.

    Attributes:
        steps: a line of text for each step, with its time in nanoseconds since the epoch.
    """

    app: str
    name: str
    steps: Sequence[tuple[int, str]]


@dataclass(frozen=True)
class Declared:
    """A Dapr resource of the topology.

    Attributes:
        at: ``file:line``.
        text: its YAML, with placeholders as written.
    """

    kind: str
    name: str
    type: str
    scopes: Sequence[str]
    at: str
    text: str = ""


@dataclass(frozen=True)
class Group:
    """How far a consumer group is behind in one partition.

    Attributes:
        committed: the next offset that it will read; -1 if it has committed none.
        end: the end of the partition.
        members: the number of its members that read the partition.
    """

    name: str
    topic: str
    partition: int
    committed: int
    end: int
    members: int


@dataclass(frozen=True)
class StoredRow:
    """A row of a table.

    Attributes:
        values: as text, in the order of the table's columns; None for NULL.
        cut: the columns whose values are longer than what is kept, with their whole length.
        own: whether what is kept mentions the test's world.
    """

    values: Sequence[str | None]
    cut: Mapping[str, int] = field(default_factory=dict)
    own: bool = False


@dataclass(frozen=True)
class StoredTable:
    """A table of a PostgreSQL database with its newest rows.

    Attributes:
        count: the number of its rows; None if it could not be read.
        estimated: whether that is PostgreSQL's estimate.
        order: in which the rows are, in words.
    """

    node: str
    database: str
    name: str
    columns: Sequence[str]
    count: int | None
    estimated: bool = False
    order: str = ""
    rows: Sequence[StoredRow] = ()


@dataclass(frozen=True)
class StoredKey:
    """A key of a state store with its value.

    Attributes:
        app: the app whose key it is; "" if all apps that use the store share it.
        key: as the app uses it; of an actor, the name within its state.
        kind: ``state``, ``actor`` or ``workflow``.
        value: as text; None if it was too large to be read.
        size: bytes of the whole value.
        cut: whether the value is longer than what is kept.
        updated, expires: in nanoseconds since the epoch, if they are known.
        own: whether it mentions the test's world.
    """

    app: str
    key: str
    kind: str
    actor_type: str
    actor_id: str
    value: str | None
    size: int
    cut: bool = False
    updated: int | None = None
    expires: int | None = None
    own: bool = False


@dataclass(frozen=True)
class StateStore:
    """A state store with its newest keys.

    Attributes:
        apps: the app-ids whose sidecars load it.
        total: the number of its keys.
        at_least: whether there are more, which were not counted.
        order: in which the keys are, in words.
        unread: why keys of such a store are not listed; "" if they are.
    """

    name: str
    apps: Sequence[str]
    total: int = 0
    at_least: bool = False
    order: str = ""
    keys: Sequence[StoredKey] = ()
    unread: str = ""


@dataclass(frozen=True)
class Cause:
    """The probable cause of a failure.

    Attributes:
        rule: the name of the rule that has found it.
        sentence: the cause, for the first line.
        evidence: what it is concluded from.
        hint: what to do.
        event: the title of the event that it is about; "" if it is about none.
    """

    rule: str
    sentence: str
    evidence: Sequence[str] = ()
    hint: str = ""
    event: str = ""


@dataclass(frozen=True)
class Failure:
    """A failed test.

    Attributes:
        test: its id.
        phase: ``setup``, ``call`` or ``teardown``.
        error: pytest's own text.
        began, ended: in nanoseconds since the epoch.
    """

    test: str
    phase: str
    error: str
    began: int
    ended: int


@dataclass(frozen=True)
class Bundle:
    """Everything that is known of a failed test.

    Attributes:
        test: its id.
        phase: ``setup``, ``call`` or ``teardown``.
        error: pytest's own text.
        summary: the last line of the error.
        began, ended: in nanoseconds since the epoch.
        versions: of the harness, Dapr, Python and what else runs.
        sidecars: the metadata of each sidecar that responded.
        logs: what each node has logged during the test.
        tables, stores: what was in the databases, the newest first where that is known.
        missing: what could not be read, and why.
        causes: the probable causes, the best first.
        recording: what a replay needs; None if it could not be read. It is not in the page.
    """

    test: str
    phase: str
    error: str
    summary: str
    began: int
    ended: int
    schema: int = SCHEMA
    world: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    nodes: Sequence[NodeState] = ()
    timeline: Sequence[Step] = ()
    events: Sequence[EventStory] = ()
    jobs: Sequence[JobStory] = ()
    groups: Sequence[Group] = ()
    sidecars: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    resources: Sequence[Declared] = ()
    logs: Mapping[str, str] = field(default_factory=dict)
    tables: Sequence[StoredTable] = ()
    stores: Sequence[StateStore] = ()
    missing: Sequence[str] = ()
    causes: Sequence[Cause] = ()
    recording: Recording | None = None

    def as_json(self) -> dict[str, Any]:
        """The bundle as JSON values, without the recording."""
        return asdict(replace(self, recording=None))
