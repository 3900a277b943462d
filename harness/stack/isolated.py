"""A copy of a running stack: own apps and sidecars, in a Dapr namespace of their own.

It shares the nodes that can keep namespaces apart: the broker, the server of the databases, the
control plane. Everything else is started anew, by a supervisor of the copy's own: if this process
dies, it ends with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from harness.core.closing import do_all
from harness.core.endpoint import Endpoint
from harness.core.errors import HarnessError, SystemFailure
from harness.core.launch import Launch
from harness.core.node import Node, Tools
from harness.core.roles import Part, Shareable
from harness.core.topology import Topology
from harness.runtime.base import Runtime
from harness.runtime.processes import ProcessRuntime
from harness.stack.book import AddressBook
from harness.stack.planning.addresses import HOST
from harness.stack.planning.scope import NodeScope
from harness.stack.remains import Mark, remove_remains
from harness.stack.sharing import app_ids_of, new_namespace, require_separable, shared_nodes
from harness.stack.stack import Stack
from harness.stack.startup import Startup

if TYPE_CHECKING:
    from harness.stack.images import Images


class IsolatedStack(Stack):
    """A copy of a stack, which sees only its own events, state, rows and jobs.

    Args:
        base: a running stack; it must outlive the copy.

    Raises:
        ConfigError: copies of this stack would not be isolated, or cannot be started.
    """

    def __init__(self, base: Stack) -> None:
        require_separable(base)
        self._cancelled = False
        self._mark: Mark | None = None
        self._namespace = namespace = new_namespace()
        found = shared_nodes(base)
        shared = {each.name: each.seen_in(namespace) for each in found}
        nodes = [shared.get(each.name, each) for each in base.topology.nodes]
        settings = base.settings

        def runtime() -> Runtime:
            return _runtime_of_copy(base, [*shared])

        def book(topology: Topology, _: Tools, __: Path, runtime: Runtime) -> AddressBook:
            return PartBook(base.book, namespace, {*shared}, topology, runtime)

        super().__init__(base.topology.with_nodes(nodes), settings, base.tools, runtime, book=book)
        self._base = base
        self._shared = {name: node for name, node in shared.items() if isinstance(node, Shareable)}

    def cancel(self) -> None:
        """End its start in another thread, which stops everything and raises `HarnessError`."""
        self._cancelled = True
        self._start.cancel()

    def check_alive(self) -> None:
        """Raise the death of a node of the copy, or of the stack; see `Stack.check_alive`."""
        self._base.check_alive()
        super().check_alive()

    def close(self) -> None:
        """Stop everything of the copy, and remove what it has in the nodes that it shares.

        Raises:
            TeardownError: something could not be stopped.
        """
        begun = self._runtime is not None and self.instances
        mark, self._mark = self._mark, None
        try:
            super().close()
        finally:
            with mark or nullcontext():
                if begun:
                    do_all(self._leaving())
                if mark:
                    mark.remove()
        if begun:
            remove_remains(self._base)

    def _attempt(self) -> None:
        self._mark = Mark(self._base, self._namespace)
        super()._attempt()

    def _new_startup(self) -> Startup:
        made = super()._new_startup()
        if self._cancelled:
            made.cancel()
        return made

    def _leaving(self) -> Iterator[Callable[[], None]]:
        try:
            self._base.check_alive()
        except (SystemFailure, HarnessError):
            return  # What it had there ends with the stack.
        part = Part(self.book.namespace, app_ids_of(self))
        for name, node in self._shared.items():
            yield partial(node.leave, self.book.scope(name, HOST), part)


def _runtime_of_copy(base: Stack, shared: Sequence[str]) -> Runtime:
    """A new run of the same kind, in which the shared nodes can be reached."""
    small, whole = base.settings.inherited, base.settings.environment
    if base.runtime == "processes":
        return ProcessRuntime(small, whole=whole)
    from harness.runtime.containers.copied import CopiedContainers
    from harness.runtime.containers.instance import ContainerInstance

    found = [base.instances[name] for name in shared]
    there = {each.name: each.container_id for each in found if isinstance(each, ContainerInstance)}
    images = cast("Images", base.tools)
    return CopiedContainers(there, small, images.reference, images.user, whole=whole)


class PartBook(AddressBook):
    """What a copy of a stack knows: the shared nodes are where they are in the stack.

    Args:
        base: what the stack knows.
        namespace: the copy's.
        shared: the names of the nodes that it shares.
        topology: its nodes.
        runtime: its own.
    """

    def __init__(
        self,
        base: AddressBook,
        namespace: str,
        shared: set[str],
        topology: Topology,
        runtime: Runtime,
    ) -> None:
        super().__init__(
            topology,
            base.tools,
            base.root,
            runtime.folder,
            runtime.reserve,
            gateway=runtime.gateway,
            inherited=runtime.inherited,
        )
        self.namespace = namespace
        self._base = base
        self._of_base = shared
        # Passwords of the shared nodes are among them.
        _, self._tokens, self._authority = base.known()

    def launch(self, node: Node, scope: NodeScope) -> Launch:
        """A shared node runs already."""
        if node.name in self._of_base:
            return Launch(node.name, (), external=True)
        return super().launch(node, scope)

    def folder(self, node: str) -> Path:
        """The node's own folder on this machine."""
        return self._base.folder(node) if node in self._of_base else super().folder(node)

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """Every address given out so far, and those of the shared nodes."""
        theirs = self._base.endpoints().items()
        shared = {key: each for key, each in theirs if key[0] in self._of_base}
        return {**shared, **super().endpoints()}

    def _port(self, node: str, port: str) -> int:
        if node in self._of_base:
            return self._base.endpoint(node, port).port
        return super()._port(node, port)
