"""Collects a bundle from a running stack, at the moment of a failure. Everything here blocks.

Whatever cannot be read is named in the bundle: the report of a failure must not fail itself.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeVar

from harness.bundle.databases import Databases, Found
from harness.bundle.groups import groups_of
from harness.bundle.leftovers import rows_of_others
from harness.bundle.model import (
    Bundle,
    Declared,
    EventStory,
    Failure,
    Group,
    JobStory,
    NodeState,
    Step,
)
from harness.bundle.origin import commit_of, sources_by_app
from harness.bundle.recording import (
    Origin,
    Recording,
    Secrets,
    given_by_others,
    given_by_test,
)
from harness.bundle.stories import job_story_of, story_of
from harness.core.errors import ProbeError
from harness.core.masking import mask
from harness.core.node import Node
from harness.core.observation import Occurrence, epoch_ns
from harness.core.roles import HasSidecar, HasTopics, SidecarRole
from harness.ledger.model import Ledger
from harness.nodes.kafka import Kafka
from harness.provision.versions import KAFKA
from harness.report.folding import folded
from harness.stack.account import Account
from harness.stack.beginning import Beginning
from harness.stack.inputs import Inputs
from harness.stack.routes import ask_sidecar
from harness.stack.run_record import this_version
from harness.stack.stack import Stack
from harness.stack.timeline import Observed
from harness.stack.vital import state_of, used_by

T = TypeVar("T")


class MakeAccount(Protocol):
    """Makes what reads a ledger."""

    def __call__(self, *, broker: bool) -> Account:
        """Read it from the recorders, and from the broker if it is up."""
        ...


STEPS, EVENTS, JOBS = 2000, 2000, 500
"""The number of lines of the timeline, of events and of jobs that are kept: the last ones."""

PAYLOAD = 2000
"""The number of characters of a payload that are kept."""

LOG = 200_000
"""The number of characters of each node's log that are kept: the last ones."""


class Collector:
    """Collects what is known of a stack since a world began.

    Args:
        observed: what a world has observed.
        account: makes what reads the ledger of the world, without the broker if it is away.
        inputs: what the test has done to the stack.
        origin: what the caller knows of where the stack came from.
    """

    def __init__(
        self, observed: Observed, account: MakeAccount, inputs: Inputs | None = None,
        origin: Origin = Origin(),  # noqa: B008 - it is frozen
    ) -> None:  # fmt: skip
        self._inputs = inputs or Inputs()
        self._origin = origin
        self._observed = observed
        self._stack: Stack = observed.stack
        self._beginning: Beginning = observed.beginning
        self._secrets: Sequence[str] = ()
        self._missing: list[str] = []
        self._ledger: Ledger | None = None
        away = [name for name, state in self._brokers() if state not in ("running", "starting")]
        self._has_broker = not away
        self._missing += [f"what is on the broker {name}: it does not run" for name in away]
        self._account = account(broker=self._has_broker)

    def collect(self, failure: Failure) -> Bundle:
        """The bundle, without its causes."""
        self._secrets = self._read("secrets", self._stack.book.secrets, [])
        databases = self._read("databases", self._databases, None)
        clean = self._clean(failure.error)
        nothing: dict[str, Mapping[str, Any]] = {}
        sidecars = self._read("sidecars", self._sidecars, nothing)
        found = Bundle(
            test=failure.test,
            phase=failure.phase,
            error=clean,
            summary=summary_of(clean),
            began=epoch_ns(self._beginning.at),
            ended=failure.ended,
            world=self._observed.world,
            versions=self._read("versions", lambda: self._versions(sidecars), {}),
            nodes=self._read("nodes", lambda: list(self._nodes()), []),
            events=self._read("events", self._events, []),
            jobs=self._read("jobs", self._jobs, []),
            timeline=self._read("timeline", self._timeline, []),
            groups=self._read("consumer groups", self._groups, []),
            sidecars=sidecars,
            resources=self._read("resources", lambda: list(self._resources()), []),
            logs=self._read("logs", self._logs, {}),
            recording=self._read(
                "the recording for a replay", lambda: self._recording(failure), None
            ),
        )
        nothing_stored: Found = ([], [], [])
        tables, stores, unread = self._read(
            "rows and keys",
            databases.found if databases else lambda: nothing_stored,
            nothing_stored,
        )
        return replace(found, tables=tables, stores=stores, missing=[*self._missing, *unread])

    def _read(self, what: str, read: Callable[[], T], otherwise: T) -> T:
        try:
            return read()
        except Exception as error:  # noqa: BLE001 - the report of the failure itself matters more
            self._missing.append(f"{what}: {type(error).__name__}: {self._clean(str(error))}")
            return otherwise

    def _databases(self) -> Databases:
        return Databases(self._stack, self._observed.world, self._secrets)

    def _clean(self, text: str) -> str:
        return mask(text, self._secrets)

    def _versions(self, sidecars: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        dapr = next((str(each.get("runtimeVersion")) for each in sidecars.values()), "not known")
        nodes = self._stack.topology.nodes
        return {
            "dapr-harness": this_version(),
            "Dapr": dapr,
            "runtime": self._stack.runtime,
            **({"Kafka": KAFKA} if any(type(each) is Kafka for each in nodes) else {}),
            "Python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
        }

    def _nodes(self) -> Iterator[NodeState]:
        for node in self._stack.topology.nodes:
            instance = self._stack.instances.get(node.name)
            memory, cpu = used_by(instance.pid) if instance else (0, 0.0)
            before = self._beginning.cpu.get(instance.pid, 0.0) if instance else 0.0
            yield NodeState(
                node.name,
                type(node).__name__,
                _role_of(node),
                node.app_id if isinstance(node, SidecarRole | HasSidecar) else "",
                state_of(instance),
                instance.pid if instance else 0,
                instance.exit_code if instance else None,
                instance.exit_expected if instance else False,
                memory,
                cpu,
                used=max(0.0, cpu - before),
            )

    def _brokers(self) -> Iterator[tuple[str, str]]:
        for node in self._stack.topology.nodes:
            if isinstance(node, HasTopics):
                yield node.name, state_of(self._stack.instances.get(node.name))

    def _timeline(self) -> list[Step]:
        seen, missing = self._observed.available()
        # Taps have read only the topics that the test has opened.
        seen = [each for each in seen if each.source != "event"]
        found = sorted([*seen, *self._marked_events()], key=lambda each: each.time)
        self._missing += [f"timeline: {self._clean(each.subject)}" for each in missing]
        return [self._step(each) for each in found[-STEPS:]]

    def _marked_events(self) -> Iterator[Occurrence]:
        world = self._observed.world
        for each in self._account.events():
            yield replace(each, world=world) if each.mentions(world) else each

    def _step(self, each: Occurrence) -> Step:
        return Step(
            each.time,
            each.source,
            each.node,
            self._clean(each.what)[:PAYLOAD],
            {name: self._clean(value)[:PAYLOAD] for name, value in each.correlation.items()},
            self._clean(as_text(each.payload))[:PAYLOAD],
            each.took,
            bool(each.world),
        )

    def _events(self) -> list[EventStory]:
        self._ledger = self._account.read()
        events = self._ledger.events[-EVENTS:]
        return [story_of(each, self._observed.world, self._clean) for each in events]

    def _jobs(self) -> list[JobStory]:
        found = self._ledger.jobs if self._ledger else ()
        return [job_story_of(each, self._clean) for each in found[-JOBS:]]

    def _groups(self) -> list[Group]:
        return list(groups_of(self._stack)) if self._has_broker else []

    def _sidecars(self) -> dict[str, Mapping[str, Any]]:
        found: dict[str, Mapping[str, Any]] = {}
        for each in self._stack.topology.sidecars():
            metadata = self._read(f"metadata of {each.name}", lambda: self._metadata(each), None)  # noqa: B023 - called at once
            if metadata is not None:
                found[each.name] = metadata
        return found

    def _metadata(self, sidecar: SidecarRole) -> Mapping[str, Any]:
        answer = ask_sidecar(self._stack, sidecar.name, "/v1.0/metadata")
        if answer is None:
            raise ProbeError("the sidecar does not respond, or responds with an error")
        found: Mapping[str, Any] = json.loads(self._clean(answer.text))
        return found

    def _resources(self) -> Iterator[Declared]:
        for each in self._stack.book.everything():
            yield Declared(
                each.kind, each.name, each.type, each.scopes, each.at(), self._clean(each.text)
            )

    def _recording(self, failure: Failure) -> Recording:
        book, settings = self._stack.book, self._stack.settings
        secrets, gaps = Secrets(book.known()[1]), list[str]()
        began = epoch_ns(self._beginning.at)
        found = list(given_by_test(self._inputs.all(), secrets, gaps))
        ledger = self._ledger or self._account.read()
        records, lost = self._account.from_outside()
        found += given_by_others(records, ledger, secrets, gaps)
        if lost or self._inputs.lost:
            gaps.append(f"{lost + self._inputs.lost} inputs were too many or too large")
        isolation = self._origin.isolation
        left = self._read("rows", lambda: rows_of_others(self._stack, isolation), "")
        gaps += [left] if left else []
        commit, dirty = commit_of(settings.root)
        origin = replace(
            self._origin,
            time=self._stack.topology.time,
            runtime=self._stack.runtime,
            broker=settings.broker,
            dapr_version=settings.dapr_version,
            nodes={each.name: type(each).__name__ for each in self._stack.topology.nodes},
            commit=commit,
            dirty=dirty,
            sources=sources_by_app(self._stack),
        )
        return Recording(
            origin,
            self._observed.world,
            began,
            failure.ended,
            self._inputs.moment,
            {f"{node}/{port}": str(at) for (node, port), at in book.endpoints().items()},
            sorted(found, key=lambda each: each.at),
            gaps,
        )

    def _logs(self) -> dict[str, str]:
        return {name: folded(text)[-LOG:] for name, text in sorted(self._beginning.logs().items())}


def without_world(
    failure: Failure, logs: Mapping[str, str], recording: Recording | None = None
) -> Bundle:
    """The bundle of a test whose world has not begun, such as one whose stack did not start.

    Args:
        failure: what failed, with secrets masked.
        logs: of the nodes, with secrets masked.
        recording: of the start.
    """
    return Bundle(
        **asdict(failure),
        summary=summary_of(failure.error),
        versions={"dapr-harness": this_version(), "Python": platform.python_version()},
        logs={name: folded(text)[-LOG:] for name, text in logs.items()},
        recording=recording,
    )


def summary_of(error: str) -> str:
    """The line of pytest's text that says what went wrong: its first ``E`` line, or the last."""
    lines = [line for line in error.splitlines() if line.strip()]
    told = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (told or lines or [""])[0 if told else -1].strip()


def as_text(payload: object) -> str:
    """A payload as text."""
    if payload is None or payload == "":
        return ""
    if isinstance(payload, str):
        return payload
    return json.dumps(payload, ensure_ascii=False, default=str)


def _role_of(node: Node) -> str:
    if isinstance(node, SidecarRole):
        return "sidecar"
    if isinstance(node, HasSidecar):
        return "app"
    return "broker" if isinstance(node, HasTopics) else ""
