"""The description of a system: nodes, dependencies and shared resources. No I/O happens here."""

from __future__ import annotations

import copy
import dataclasses
import graphlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from harness.core.errors import ConfigError, did_you_mean
from harness.core.names import TIMES, require_hosts, require_name, sidecar_name
from harness.core.node import Node, Target
from harness.core.placeholders import RESERVED
from harness.core.roles import (
    RECORD_PORT,
    CallRecorder,
    ControlService,
    HasClock,
    HasTopics,
    Recorder,
    SidecarRole,
    same_role,
)

T = TypeVar("T")

Sign = Callable[..., Mapping[str, str]]
"""Returns the headers by which a test's request proves whose it is.

Called with the request's path, still encoded, and with a function that returns a token of the stack
by its purpose; the purpose of ``${secret.key}`` is ``key-secret``. A parameter named ``now``, if it
has one, is the time that it is for the app: that of ``dapr.clock`` if the app follows it.
"""


@dataclass(frozen=True, init=False)
class Topology:
    """A validated description of one system.

    Args:
        nodes: the nodes to run; implied nodes (sidecars, control plane) are added.
        resources: folders of Dapr YAML, relative to the project's root; a resource replaces one
            of the same kind and name from an earlier folder.
        mtls: whether sidecars and control plane use certificates from a sentry to authenticate.
        time: ``real``, or ``virtual`` for a scheduler whose time ``dapr.clock`` moves.
        sign: signs the requests of clients from ``World.app``, for apps that require a sign-in;
            headers that a test sets itself take precedence.
        durable: whether databases and brokers write to the disk before they acknowledge. By
            default, what they have acknowledged survives the kill of any process, and not a crash
            of the machine.

    Raises:
        ConfigError: a name is duplicate or malformed, a dependency is unknown or circular, or
            the time is neither real nor virtual.
    """

    nodes: tuple[Node, ...]
    resources: tuple[Path, ...]
    mtls: bool
    time: str
    sign: Sign | None
    durable: bool

    def __init__(
        self,
        *nodes: Node,
        resources: str | Path | Sequence[str | Path] = (),
        mtls: bool = False,
        time: str = "real",
        sign: Sign | None = None,
        durable: bool = False,
    ) -> None:
        folders = [resources] if isinstance(resources, str | Path) else list(resources)
        object.__setattr__(self, "nodes", tuple(_with_implied(nodes, mtls)))
        object.__setattr__(self, "resources", tuple(Path(folder) for folder in folders))
        object.__setattr__(self, "mtls", mtls)
        object.__setattr__(self, "time", _require_time(time))
        object.__setattr__(self, "sign", sign)
        object.__setattr__(self, "durable", durable)
        _validate(self.nodes)

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise ConfigError(
            f"the topology has no node named {name!r}",
            hint=did_you_mean(name, [node.name for node in self.nodes]),
        )

    def __contains__(self, name: object) -> bool:
        return any(node.name == name for node in self.nodes)

    def sidecars(self) -> list[SidecarRole]:
        """Every sidecar, in the order of the topology."""
        return list(self._once("_sidecars", _sidecars_of))

    def sidecar_of(self, app: str) -> SidecarRole:
        """The sidecar of an app.

        Args:
            app: the app's node, or an app-id without one.

        Raises:
            ConfigError: there is none.
        """
        found = self.sidecars()
        for sidecar in found:
            if sidecar.app == app:
                return sidecar
        raise ConfigError(
            f"the stack has no {sidecar_name(app)!r}",
            hint=did_you_mean(app, [each.app for each in found]),
        )

    def app_ids(self) -> list[str]:
        """The app-ids of the apps, each once."""
        return list(dict.fromkeys(each.app_id for each in self.sidecars() if each.app in self))

    def clock(self) -> HasClock | None:
        """The node whose time tests move; None if time is real."""
        return self._once("_clock", _clock_of)

    def topics(self) -> list[str]:
        """The names of the topics that brokers create."""
        return list(self._once("_topics", _topics_of))

    def record_ports(self) -> dict[str, str]:
        """The port on which the record of each recorder can be read, by the recorder's name."""
        return dict(self._once("_record_ports", _record_ports_of))

    def _once(self, name: str, find: Callable[[Sequence[Node]], T]) -> T:
        """What is found among the nodes: to look for a role takes long, and is done once."""
        known: tuple[Sequence[Node], T] | None = self.__dict__.get(name)
        if known is None or known[0] is not self.nodes:
            known = self.__dict__[name] = (self.nodes, find(self.nodes))
        return known[1]

    def with_nodes(self, nodes: Iterable[Node]) -> Topology:
        """The same topology with other nodes.

        Raises:
            ConfigError: see `Topology`.
        """
        return Topology(
            *nodes, resources=self.resources, mtls=self.mtls, time=self.time, sign=self.sign,
            durable=self.durable,
        )  # fmt: skip

    def with_time(self, time: str) -> Topology:
        """The same topology with real or virtual time.

        Raises:
            ConfigError: it is neither of them.
        """
        made = copy.copy(self)
        object.__setattr__(made, "time", _require_time(time))
        return made

    def with_resources(self, *folders: Path) -> Topology:
        """The same topology with resources of other folders."""
        made = copy.copy(self)
        object.__setattr__(made, "resources", folders)
        return made

    def resolved(self, target: Target) -> Topology:
        """The same topology with every target resolved.

        Raises:
            ConfigError: it is for containers, and a node's name is no host name.
        """
        if target.runtime in ("containers", "kubernetes"):
            require_hosts(node.name for node in self.nodes)
        target = dataclasses.replace(target, time=self.time)
        made = copy.copy(self)
        object.__setattr__(made, "nodes", tuple(node.resolve(target) for node in self.nodes))
        _validate(made.nodes)
        return made

    def require_alone(self) -> None:
        """Raise unless the control plane can run without the harness, as in a cluster.

        Raises:
            ConfigError: it cannot, because its time is virtual.
        """
        target = Target("containers", alone=True, time=self.time)
        for node in self.nodes:
            if isinstance(node, ControlService):
                node.resolve(target)


def _require_time(time: str) -> str:
    if time not in TIMES:
        raise ConfigError(
            f"there is no time {time!r}",
            expected=" or ".join(repr(each) for each in TIMES),
            hint=did_you_mean(time, TIMES),
        )
    return time


def _validate(nodes: Sequence[Node]) -> None:
    names = [node.name for node in nodes]
    for name in names:
        require_name(name)
        if name == RESERVED:
            raise ConfigError(
                f"a node cannot be named {name!r}",
                expected="any other name: ${secret.key} stands for a random secret of the stack",
                hint="rename it",
            )
        if names.count(name) > 1:
            raise ConfigError(
                f"two nodes of the topology are named {name!r}",
                expected="one node per name",
                hint="rename one, or remove the duplicate",
            )
    for node in nodes:
        for need in node.needs:
            if need not in names:
                raise ConfigError(
                    f"node {node.name!r} needs {need!r}, which the topology does not have",
                    hint=did_you_mean(need, names),
                )
    try:
        graphlib.TopologicalSorter({n.name: n.needs for n in nodes}).prepare()
    except graphlib.CycleError as error:
        raise ConfigError(
            "the needs of the topology form a cycle: " + " -> ".join(error.args[1]),
            expected="an order in which each node can start after what it needs",
            hint="remove one of these needs",
        ) from None


def _sidecars_of(nodes: Sequence[Node]) -> list[SidecarRole]:
    return [node for node in nodes if isinstance(node, SidecarRole)]


def _clock_of(nodes: Sequence[Node]) -> HasClock | None:
    return next((node for node in nodes if isinstance(node, HasClock)), None)


def _topics_of(nodes: Sequence[Node]) -> list[str]:
    return [name for node in nodes if isinstance(node, HasTopics) for name, _ in node.topics]


def _record_ports_of(nodes: Sequence[Node]) -> dict[str, str]:
    return {
        node.name: RECORD_PORT if isinstance(node, CallRecorder) else "main"
        for node in nodes
        if isinstance(node, Recorder | CallRecorder)
    }


def _with_implied(nodes: Sequence[Node], mtls: bool) -> Iterator[Node]:
    """The nodes and, once each, the nodes they imply; explicit nodes replace implied ones."""
    explicit = {node.name: node for node in nodes}
    added: set[str] = set()
    for node in nodes:
        yield node
        for implied in node.implies(mtls):
            if implied.name in explicit:
                _require_same_role(explicit[implied.name], implied, node)
            elif implied.name not in added:
                added.add(implied.name)
                yield implied


def _require_same_role(explicit: Node, implied: Node, owner: Node) -> None:
    if not same_role(explicit, implied):
        raise ConfigError(
            f"{owner.name!r} brings a node named {implied.name!r}, which the topology already has",
            hint="rename the other node",
        )
