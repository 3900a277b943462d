"""What a world remembers of the moment at which it began. Everything here blocks."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError, HarnessError, ProbeError
from harness.core.kafka_access import Brokers, access_of
from harness.core.masking import mask
from harness.core.names import calls_name, inbox_name
from harness.core.roles import HasTopics
from harness.nodes.receiver import Receiver
from harness.probe.backlog import Began, backlog
from harness.probe.records import size_of_record
from harness.ready.kafka import admin_of, end_offsets
from harness.runtime.proc import cpu_of
from harness.stack.sharing import own_topics
from harness.stack.stack import Stack

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

WORLDS = "worlds"
"""The key under which the worlds of a stack share who began when."""

BEGINNINGS = "beginnings"
"""The key under which a stack has the last few beginnings, for reports of failures."""

EARLIER = "earlier"
"""The key under which a stack has the beginning of a world that is still to come."""

LAST = 8
"""How many of them; a test rarely makes more than one."""


class Beginning:
    """The state of a stack when a world began.

    Args:
        stack: a started stack.
        test: the test that uses the world, for messages in later tests.

    Attributes:
        at: when it began, on ``time.monotonic``.
        brokers: how to connect to the topology's own broker; "" if it has none.
        offsets: the end of each topic's partitions.
        cpu: the seconds of processor time that each process had used, by process id.

    Raises:
        ProbeError: the broker or a recorder does not respond.
    """

    def __init__(self, stack: Stack, test: str) -> None:
        self.at = time.monotonic()
        self._stack = stack
        self.cpu = {
            each.pid: cpu_of(each.pid) or 0.0 for each in [*stack.instances.values()] if each.pid
        }
        self._logs = {path: path.stat().st_size for path in self._log_files()}
        self.brokers = own_brokers(stack)
        self.offsets = self._offsets_now()
        self._worlds: list[Began] = stack.shared.setdefault(WORLDS, [])
        self._worlds.append((test, self.offsets))
        stack.shared.setdefault(BEGINNINGS, deque(maxlen=LAST)).append(self)
        self._records = {name: size_of_record(self._record_of(name)) for name in self._ports()}

    def belongs_to(self, test: str) -> None:
        """Tell the test that uses the world, for a beginning before it was known."""
        self._worlds[-1] = (test, self.offsets)

    def is_now(self) -> bool:
        """Whether nothing has been recorded since."""
        return all(
            size_of_record(self._record_of(each)) == was for each, was in self._records.items()
        )

    def record(self, app: str, *, from_beginning: bool) -> tuple[Endpoint, int]:
        """The proxy that records an app's deliveries, and the byte at which this world begins.

        Raises:
            ConfigError: the app has no inbox in the topology.
        """
        recorder = next((n for n in (inbox_name(app), app) if n in self._records), None)
        if recorder is None:
            raise ConfigError(
                f"app {app!r} has no inbox", hint=f'use App("{app}", ..., inbox=True)'
            )
        return self._record_of(recorder), 0 if from_beginning else self._records[recorder]

    def calls(self, app: str, *, from_beginning: bool) -> tuple[Endpoint, int]:
        """Where the record of an app's calls can be read, and the byte at which this world begins.

        Raises:
            ConfigError: the calls of the app are not recorded in the topology.
        """
        recorder = calls_name(app)
        if recorder not in self._records:
            raise ConfigError(
                f"the calls of app {app!r} are not recorded",
                hint=f'use App("{app}", ..., calls=True)',
            )
        return self._record_of(recorder), 0 if from_beginning else self._records[recorder]

    @property
    def broker(self) -> str:
        """The name of the topology's own broker; "" if it has none."""
        nodes = self._stack.topology.nodes
        return next((node.name for node in nodes if isinstance(node, HasTopics)), "")

    def receivers(self) -> list[str]:
        """The names of the topology's receivers."""
        return [each.name for each in self._stack.topology.nodes if isinstance(each, Receiver)]

    def logs(self) -> dict[str, str]:
        """What every node has logged since, secrets masked."""
        found = {}
        for path in self._log_files():
            with path.open("rb") as file:
                file.seek(self._logs.get(path, 0))
                text = file.read().decode("utf-8", "replace")
            if text.strip():
                found[path.stem] = mask(text, self._stack.book.secrets())
        return found

    def backlog(self) -> str:
        """The events of other tests that hold up a consumer group, in words; "" if none do."""
        return backlog(self.brokers, self._worlds) if self.brokers else ""

    def _log_files(self) -> list[Path]:
        return sorted((self._stack.folder / "logs").glob("*.log"))

    def _ports(self) -> dict[str, str]:
        return self._stack.topology.record_ports()

    def _record_of(self, recorder: str) -> Endpoint:
        return self._stack.book.endpoint(recorder, self._ports()[recorder])

    def _offsets_now(self) -> dict[str, dict[int, int]]:
        if not self.brokers:
            return {}
        try:
            admin, topics = shared_admin(self._stack), self._stack.topology.topics()
            found = end_offsets(admin, topics, others=True)
            return own_topics(found, self._stack.book.namespace)
        except _kafka_error() as error:
            raise ProbeError(
                "the topics of this stack cannot be read",
                last=str(error),
                hint=f"look at the log of the broker at {self.brokers}",
            ) from error


class FromStart(Beginning):
    """The moment at which a stack was started, for whoever looks at it later.

    Args:
        stack: a started stack, which somebody else may have started.
        most: the number of the newest records of its broker that are read; None for all of them.

    Attributes:
        skipped: the number of records before those.
    """

    def __init__(self, stack: Stack, most: int | None) -> None:
        self.at = 0.0
        self._stack = stack
        self._logs = {}
        self.brokers = own_brokers(stack)
        self.offsets = {}
        if most is not None:
            # A broker that is away says so whenever it is asked for events.
            with contextlib.suppress(ProbeError):
                self.offsets = newest(self._offsets_now(), most)
        self.skipped = sum(sum(parts.values()) for parts in self.offsets.values())
        self._records = dict.fromkeys(self._ports(), 0)


def newest(ends: Mapping[str, Mapping[int, int]], most: int) -> dict[str, dict[int, int]]:
    """Where to start in each partition to read as many of its newest records as the others have.

    Args:
        ends: the end of each partition, by topic.
        most: the number of records of all of them.
    """
    places = sorted(
        (end, topic, part) for topic, parts in ends.items() for part, end in parts.items()
    )
    found: dict[str, dict[int, int]] = {topic: {} for topic in ends}
    left = most
    for number, (end, topic, part) in enumerate(places):
        share = left // (len(places) - number)
        found[topic][part] = max(0, end - share)
        left -= min(max(0, end), share)
    return found


def begin(stack: Stack, test: str) -> Beginning:
    """The beginning of a test's world: now, or when `begin_earlier` was called."""
    earlier: Beginning | None = stack.shared.pop(EARLIER, None)
    if earlier is None:
        return Beginning(stack, test)
    earlier.belongs_to(test)
    return earlier


def begin_earlier(stack: Stack) -> None:
    """Have the next world begin now: it sees what happens until its test takes the stack."""
    stack.shared[EARLIER] = Beginning(stack, "")


def is_as_it_began(stack: Stack) -> bool:
    """Whether nothing has been recorded since `begin_earlier` was called."""
    earlier: Beginning = stack.shared[EARLIER]
    with contextlib.suppress(HarnessError):
        return earlier.is_now()
    return False


def shared_admin(stack: Stack) -> AdminClient:
    """The admin client of the topology's own broker, which all worlds of a stack share.

    To connect takes longer than a request.
    """
    brokers = own_brokers(stack)
    key = f"admin:{brokers}"
    if key not in stack.shared:
        stack.shared[key] = admin_of(brokers)
    made: AdminClient = stack.shared[key]
    return made


def own_brokers(stack: Stack) -> Brokers:
    """How to connect to the topology's own broker; "" if it has none."""
    found = (access_of(stack.book.exports(node.name)) for node in stack.topology.nodes)
    return next((each for each in found if each), "")


def exported(stack: Stack, key: str, default: str | None = None) -> str:
    """The value that some node of the topology exports under a key.

    Raises:
        ConfigError: no node does, and there is no default.
    """
    for node in stack.topology.nodes:
        values = stack.book.exports(node.name)
        if key in values:
            return values[key]
    if default is not None:
        return default
    raise ConfigError(f"no node of the topology exports {key!r}", hint="add a broker or database")


def _kafka_error() -> type[Exception]:
    from confluent_kafka import KafkaException

    return KafkaException
