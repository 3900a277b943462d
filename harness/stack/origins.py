"""Where a stack comes from if it is not started here: a run that is up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.errors import ConfigError, Unavailable
from harness.core.external import with_external
from harness.core.launch import Launch
from harness.core.names import EXPORTER
from harness.core.node import Target, Tools
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.provision.authority import Authority
from harness.provision.toolbox import Provisioner
from harness.runtime.attached import AttachedProcesses, Run
from harness.runtime.base import Runtime
from harness.stack.book import AddressBook
from harness.stack.registry import UpStack
from harness.stack.run_record import OtherTopology, RunRecord, this_version
from harness.stack.startup import MakeBook


@dataclass(frozen=True)
class Origin:
    """What a stack is made of."""

    topology: Topology
    tools: Tools
    runtime: Callable[[], Runtime]
    book: MakeBook


def of_run(
    up: UpStack, topology: Topology, settings: Settings, *, force: bool, all_running: bool
) -> Origin:
    """The origin of a stack that is up.

    Args:
        up: the stack.
        topology: what the project says it is.
        settings: the project's.
        force: whether differences between both are accepted.
        all_running: whether a node that is not running is an error.

    Raises:
        ConfigError: the run is of another version.
        Unavailable: packages for its runtime are missing.
    """
    folder = Path(up.folder)
    record = RunRecord.read(folder)
    if record.version != this_version():
        raise ConfigError(
            f"the stack {up.name!r} was started by dapr-harness {record.version}",
            expected=f"version {this_version()}, as here",
            hint=f"`dapr-harness down --name {up.name}`, then `up` again",
        )
    same = with_external(topology, record.external)
    if EXPORTER in record.launches:
        from harness.nodes.exporter import with_export_of

        same = with_export_of(same, record.launches)
    target = Target(record.runtime, record.broker)

    def check(launches: Sequence[Launch]) -> None:
        if not force:
            record.check_drift(launches)

    def book(topology: Topology, tools: Tools, root: Path, runtime: Runtime) -> AddressBook:
        return AttachedBook(record, topology, tools, root, runtime)

    run = Run(folder, up.supervisor, check, all_running)
    if record.runtime == "kubernetes":
        return _pods(run, settings, same, target, record, force=force)
    resolved = same.resolved(target)
    if record.runtime == "processes":
        small, whole = settings.inherited, settings.environment
        tools: Tools = Provisioner(settings)
        return Origin(resolved, tools, lambda: AttachedProcesses(run, small, whole=whole), book)
    return Origin(resolved, *_containers(run, settings), book)


def _containers(run: Run, settings: Settings) -> tuple[Tools, Callable[[], Runtime]]:
    try:
        from harness.runtime.containers.joined import JoinedContainers
        from harness.stack.images import Images
    except ImportError as error:
        raise Unavailable(
            "a stack on the containers runtime needs two additional packages",
            last=str(error),
            hint="pip install 'dapr-harness[containers]'",
        ) from None
    images = Images(settings)
    small, whole = settings.inherited, settings.environment

    def runtime() -> Runtime:
        return JoinedContainers(run, small, images.reference, images.user, whole=whole)

    return images, runtime


def _pods(
    run: Run,
    settings: Settings,
    topology: Topology,
    target: Target,
    record: RunRecord,
    *,
    force: bool,
) -> Origin:
    from harness.kubernetes.pod_runtime import JoinedPods
    from harness.stack.given_place import place_in
    from harness.stack.namespace import CLUSTER, NamespaceBook, place_of, with_cluster
    from harness.stack.pod_tools import PodTools

    # Its certificates are made anew whenever it is planned, and its images when it is started.
    rest = {name: each for name, each in record.launches.items() if name != CLUSTER}
    without = replace(record, launches=rest)

    def check(launches: Sequence[Launch]) -> None:
        if not force:
            without.check_drift([each for each in launches if each.name != CLUSTER])

    run = replace(run, check=check)

    class AttachedNamespace(AttachedBook, NamespaceBook):
        """The addresses of pods, with what the run has told."""

        renders = False

    kind, tools = AttachedNamespace, PodTools(settings)
    if given := place_in(run.folder):
        mine = given.tools(settings)
        place, resolved = given.place(mine), given.topology(topology, target, mine)
        kind, tools = given.book(AttachedNamespace, mine), mine
    else:
        place, resolved = place_of(settings.root), with_cluster(topology, tools).resolved(target)
    small, whole = settings.inherited, settings.environment

    def book(topology: Topology, tools: Tools, root: Path, runtime: Runtime) -> AddressBook:
        return kind(record, topology, tools, root, runtime)

    def runtime() -> Runtime:
        return JoinedPods(run, small, place, tools.reference, whole=whole)

    return Origin(resolved, tools, runtime, book)


class AttachedBook(AddressBook):
    """The addresses and secrets of a run; nodes that are added get new ones.

    Args:
        record: what the run has told.
        topology: the nodes of the run.
        tools: locates the programs.
        root: the project's folder.
        runtime: the run.
    """

    def __init__(
        self, record: RunRecord, topology: Topology, tools: Tools, root: Path, runtime: Runtime
    ) -> None:
        super().__init__(
            topology,
            tools,
            root,
            runtime.folder,
            runtime.reserve,
            gateway=runtime.gateway,
            inherited=runtime.inherited,
        )
        self._planned = topology
        self._tokens = dict(record.tokens)
        self._authority = Authority(**record.authority) if record.authority else None
        for node, ports in record.ports.items():
            self._ports |= {(node, port): number for port, number in ports.items()}

    def _port(self, node: str, port: str) -> int:
        if (node, port) not in self._ports and node in self._planned:
            raise OtherTopology(
                f"the stack has no port {port!r} of a node {node!r}, which the topology has",
                expected="the topology that the stack was started with",
                hint="`dapr-harness down` and `up` again",
            )
        return super()._port(node, port)
