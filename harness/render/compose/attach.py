"""Uses a stack that a compose file has started as if the harness had started it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from harness.stack.stack import Stack


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
    folder = file.resolve().parent
    Project(topology, settings, folder).check_drift()
    known = read_env(folder / SECRETS)
    broker = "kafka" if settings.broker == "auto" else settings.broker

    def token(name: str) -> str:
        if name not in known:
            raise ConfigError(
                f"{folder / SECRETS} has no {name}", hint="dapr-harness render compose --secrets"
            )
        return known[name]

    def book(resolved: Topology, tools: Tools, root: Path, runtime: Runtime) -> AddressBook:
        return ComposeBook(resolved, tools, root, runtime.folder, token)

    def runtime() -> Runtime:
        return AttachedRuntime(settings.inherited, folder)

    resolved = topology.resolved(Target("containers", broker))
    return Stack(resolved, settings, _Nothing(settings), runtime, watch=watch, book=book)


class _Nothing(Images):
    """The project already has its images."""

    def provide(self, nodes: Sequence[Node], root: Path) -> None:
        """Nothing to do."""

    def version(self, tool: str) -> str:
        """Any version: the one that the project was started with."""
        return ""
