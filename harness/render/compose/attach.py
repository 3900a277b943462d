"""Uses a stack that a compose file has started as if the harness had started it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.errors import ConfigError
from harness.core.journal import Entry
from harness.core.node import Node, Target, Tools
from harness.core.settings import Settings
from harness.core.topology import Topology
from harness.render.compose.book import ComposeBook
from harness.render.compose.project import SECRETS, Project, read_env
from harness.runtime.base import Runtime
from harness.runtime.containers.attached import AttachedRuntime
from harness.stack.book import AddressBook
from harness.stack.images import Images
from harness.stack.registry import UpNode, UpStack
from harness.stack.stack import Enter, Stack


def attached(
    topology: Topology,
    settings: Settings,
    file: Path,
    *,
    watch: Callable[[Entry], None] = lambda _: None,
) -> Stack:
    """A stack for a running compose project; closing it leaves the project running.

    The readiness checks of every node run as in a start, so every node is ready afterwards.

    Args:
        topology: the topology from which the file was rendered.
        settings: the project's root, and how long a node may take to become ready.
        file: the compose file, which exists.

    Raises:
        ConfigError: the file differs from the topology.
    """
    project = _Attaching(settings, file, all_running=True)
    return project.stack(topology, watch, "start")


def looked_at(
    name: str,
    file: Path,
    topology: Topology,
    settings: Settings,
    *,
    watch: Callable[[Entry], None] = lambda _: None,
) -> tuple[Stack, Callable[[], UpStack]]:
    """The same in whatever state its nodes are, and what is known of it once it was entered.

    Args:
        name: what the user calls it.
        file: the compose file, which exists.
        topology: the topology from which the file was rendered.
        settings: the project's.

    Raises:
        ConfigError: the file differs from the topology.
    """
    project = _Attaching(settings, file, all_running=False)
    stack = project.stack(topology, watch, "adopt")
    return stack, lambda: project.record(name, stack)


@dataclass(frozen=True, kw_only=True)
class UpProject(UpStack):
    """A compose project that is up.

    Attributes:
        project: its containers.
        place: its folder.
    """

    project: AttachedRuntime
    place: Path

    @property
    def alive(self) -> bool:
        """Whether any of its containers runs."""
        return self.project.alive

    def states(self) -> dict[str, str]:
        """The state of each node: running, paused or exited."""
        return self.project.states()

    def resources_of(self, node: str) -> Path:
        """The folder with the Dapr resources of a sidecar."""
        return self.place / node / "resources"

    def now(self) -> UpStack:
        """The same."""
        return self


class _Attaching:
    """What a stack of a compose project is made of."""

    def __init__(self, settings: Settings, file: Path, *, all_running: bool) -> None:
        self._settings = settings
        self._folder = file.resolve().parent
        self._all_running = all_running

    def stack(self, topology: Topology, watch: Callable[[Entry], None], enter: Enter) -> Stack:
        """The stack, which is not entered yet."""
        settings = self._settings
        Project(topology, settings, self._folder).check_drift()
        self._known = read_env(self._folder / SECRETS)
        broker = "kafka" if settings.broker == "auto" else settings.broker
        resolved = topology.resolved(Target("containers", broker))
        made = resolved, settings, _Nothing(settings), self._runtime
        return Stack(*made, watch=watch, book=self._book, enter=enter)

    def record(self, name: str, stack: Stack) -> UpProject:
        """What is known of it once it was entered."""
        endpoints, project = stack.addresses(), self._project
        ids = {each.name: each.app_id for each in stack.topology.sidecars()}
        nodes = [
            UpNode(node, each.pid, endpoints.get(node, {}), str(each.log), ids.get(node, ""))
            for node, each in stack.instances.items()
        ]
        facts = name, stack.owner, "", project.since, str(stack.folder), stack.token(), nodes
        return UpProject(*facts, runtime="compose", project=project, place=self._folder)

    def _runtime(self) -> Runtime:
        inherited = self._settings.inherited
        self._project = AttachedRuntime(inherited, self._folder, all_running=self._all_running)
        return self._project

    def _book(self, resolved: Topology, tools: Tools, root: Path, runtime: Runtime) -> AddressBook:
        return ComposeBook(resolved, tools, root, runtime.folder, self._token)

    def _token(self, name: str) -> str:
        if name not in self._known:
            raise ConfigError(
                f"{self._folder / SECRETS} has no {name}",
                hint="dapr-harness render compose --secrets",
            )
        return self._known[name]


class _Nothing(Images):
    """The project already has its images."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Nothing to do."""

    def version(self, tool: str) -> str:
        """Any version: the one that the project was started with."""
        return ""
