"""Roles that some nodes have: what they are for others, whatever class they are of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from harness.core.launch import Build
from harness.core.node import Node, Scope


@runtime_checkable
class SidecarRole(Node, Protocol):
    """A sidecar of an app."""

    @property
    def app_id(self) -> str:
        """The app-id under which Dapr knows its app."""
        ...

    @property
    def app(self) -> str:
        """The node that it is the sidecar of; there need not be one."""
        ...

    @property
    def resources(self) -> tuple[Path, ...] | None:
        """Folders of its own Dapr YAML; those of the topology if None."""
        ...

    @property
    def configurations(self) -> tuple[Path, ...]:
        """Configuration files; with its own resources, the only ones that it reads."""
        ...

    @property
    def cwd(self) -> Path:
        """The base of relative paths in its resources, itself relative to the project's root."""
        ...

    @property
    def env(self) -> Mapping[str, str]:
        """Its variables, with placeholders."""
        ...

    @property
    def hermetic(self) -> bool:
        """Whether it inherits only a few variables."""
        ...


@runtime_checkable
class HasSidecar(Node, Protocol):
    """An app that has a sidecar."""

    @property
    def app_id(self) -> str:
        """The app-id under which Dapr knows it; replicas have the same."""
        ...

    @property
    def sidecar_env(self) -> Mapping[str, str]:
        """Variables for its sidecar, with placeholders."""
        ...


@runtime_checkable
class HasTopics(Node, Protocol):
    """A broker that creates topics, and exports ``brokers``."""

    @property
    def topics(self) -> tuple[tuple[str, int], ...]:
        """Each topic's name and number of partitions."""
        ...


@runtime_checkable
class HasDatabases(Node, Protocol):
    """A PostgreSQL server, which exports ``dsn`` of its first database."""

    @property
    def databases(self) -> tuple[str, ...]:
        """Their names."""
        ...


@runtime_checkable
class Recorder(Node, Protocol):
    """A node that records what it receives, for `World.inbox`."""

    @property
    def records(self) -> str:
        """The app or the node whose deliveries it records."""
        ...


RECORD_PORT = "record"
"""The port of a `CallRecorder` on which its record can be read."""


@runtime_checkable
class CallRecorder(Node, Protocol):
    """A node that records what an app asks of its sidecar, for `World.calls`."""

    @property
    def calls_of(self) -> str:
        """The app whose calls it records."""
        ...


@runtime_checkable
class ControlService(Node, Protocol):
    """A service of Dapr's control plane."""

    @property
    def service(self) -> str:
        """``placement``, ``scheduler`` or ``sentry``."""
        ...


@runtime_checkable
class HasClock(Node, Protocol):
    """A node whose time tests move, for `World.clock`; ``now`` of its exports is a file with it."""

    @property
    def clock_port(self) -> str:
        """The port on which it is moved."""
        ...


@runtime_checkable
class RecordsFirings(Node, Protocol):
    """A node that records in a file which jobs it has fired."""

    @property
    def firings(self) -> str:
        """The file's name, in the node's own folder on this machine."""
        ...


@runtime_checkable
class FollowsClock(Node, Protocol):
    """A program whose own "now" can follow the clock of `HasClock`."""

    @property
    def follow_clock(self) -> bool:
        """Whether it does."""
        ...


@runtime_checkable
class ExplainsExit(Node, Protocol):
    """A node that can find out why it exited."""

    def explain(self, scope: Scope, log: str) -> str:
        """The cause that the end of its log does not tell, and what to do; "" if there is none."""
        ...


@runtime_checkable
class Buildable(Node, Protocol):
    """A node whose image is built from the user's folder."""

    def build(self, root: Path) -> Build | None:
        """The image to build for a container; None if an existing one is used."""
        ...


@runtime_checkable
class InitializedByFile(Node, Protocol):
    """A database that a compose project initializes with SQL, without the harness."""

    def setup(self, scope: Scope) -> list[str]:
        """The statements."""
        ...


@dataclass(frozen=True)
class Part:
    """By what the data of one system is known to a node that several systems may share.

    Attributes:
        namespace: the Dapr namespace of its sidecars, ``default`` if none is set.
        app_ids: those of its sidecars.
    """

    namespace: str
    app_ids: tuple[str, ...]


EVERYTHING = "*"
"""A use of another node that is not a placeholder: its addresses, or all of its exports."""


@runtime_checkable
class Shareable(Node, Protocol):
    """A node that the isolated copies of a stack share: each sees a part of it, its own one."""

    def seen_in(self, namespace: str) -> Node:
        """The same running node, as the copy with this namespace sees it."""
        ...

    def divides(self, user: Node, keys: Collection[str]) -> bool:
        """Whether a node that uses these exports of it sees only the part of its copy.

        Args:
            user: the node.
            keys: the keys of its placeholders, or `EVERYTHING`.
        """
        ...

    def leave(self, scope: Scope, part: Part) -> None:
        """Remove the part of a copy that has ended."""
        ...


@runtime_checkable
class Cleanable(Node, Protocol):
    """A node that keeps data, and can forget what apps have written."""

    def clean(self, scope: Scope, part: Part) -> None:
        """Remove the data of these apps, and nothing that sidecars need to go on."""
        ...


@runtime_checkable
class TellsRows(Node, Protocol):
    """A database that knows which of its tables have rows that apps have written."""

    def rows(self, scope: Scope) -> Mapping[str, int]:
        """The number of rows of each table that has any; `ROWS` if there are as many or more."""
        ...


ROWS = 1000
"""The number of rows of a table that are counted at most."""


@runtime_checkable
class TellsBacklog(Node, Protocol):
    """A broker that knows which events are still on their way to consumer groups."""

    def backlog(self, scope: Scope) -> Sequence[str]:
        """What each group has still to handle, in words.

        Raises:
            ProbeError: the broker does not respond.
        """
        ...


@runtime_checkable
class Concludes(Node, Protocol):
    """A node that ends after all others, because it is told what they do until then."""

    def before_stop(self, scope: Scope) -> None:
        """Called while all nodes still run."""
        ...

    def conclude(self, scope: Scope) -> str:
        """Called when apps and sidecars have stopped; returns a warning, "" if there is none."""
        ...


def same_role(node: Node, expected: Node) -> bool:
    """Whether a node can take the place of another one, whatever their classes are."""
    if isinstance(expected, SidecarRole):
        return isinstance(node, SidecarRole) and (node.app, node.app_id) == (
            expected.app,
            expected.app_id,
        )
    if isinstance(expected, HasSidecar):
        return isinstance(node, HasSidecar) and node.app_id == expected.app_id
    if isinstance(expected, Recorder):
        return isinstance(node, Recorder) and node.records == expected.records
    if isinstance(expected, CallRecorder):
        return isinstance(node, CallRecorder) and node.calls_of == expected.calls_of
    if isinstance(expected, ControlService):
        return isinstance(node, ControlService) and node.service == expected.service
    return isinstance(node, type(expected))
