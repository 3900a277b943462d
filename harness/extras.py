"""Nodes that are started beside those of the topology, such as the sidecar of a tap."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.blame import blamed
from harness.book import StackBook
from harness.closing import do_all
from harness.deadline import Check, Deadline, poll
from harness.failures import death, not_ready
from harness.launch import Launch
from harness.node import Node, Scope
from harness.planning.addresses import HOST
from harness.runtime.base import Instance, Runtime, State
from harness.settings import Settings
from harness.topology import Topology


class Rungs(Protocol):
    """A node's method that returns checks: ``checks``, ``awaits`` or ``confirms``."""

    @property
    def __name__(self) -> str: ...
    def __call__(self, scope: Scope) -> Iterable[Check]:
        """The checks."""
        ...


@contextmanager
def closing_rungs(node: Node, checks: Rungs, scope: Scope) -> Iterator[Iterator[Check]]:
    """The checks of a node; a generator's clients are closed however the wait ends."""
    method = checks.__name__
    with blamed(node, method):
        rungs = iter(checks(scope))
    try:
        yield _blamed_each(node, method, rungs)
    finally:
        if isinstance(rungs, Generator):
            rungs.close()


def _blamed_each(node: Node, method: str, rungs: Iterator[Check]) -> Iterator[Check]:
    while True:
        with blamed(node, method):
            check = next(rungs, None)
        if check is None:
            return
        yield check


class Extras:
    """The extra nodes of a stack, which does not depend on them.

    Args:
        book: what the stack knows; its topology grows.
        runtime: where they run.
        settings: how long a node may take to become ready.
        launches: receives what was planned, by node name.
    """

    def __init__(
        self, book: StackBook, runtime: Runtime, settings: Settings, launches: dict[str, Launch]
    ) -> None:
        self._book = book
        self._runtime = runtime
        self._settings = settings
        self._launches = launches
        self._added: list[Instance] = []

    def add(self, node: Node) -> Instance:
        """Start a node that is not part of the topology, and wait until it is ready.

        Its exit ends no wait, and a failed start leaves nothing behind.

        Raises:
            HarnessError: it did not become ready, and has been stopped.
        """
        known = self._book.topology
        self._book.topology = Topology(
            *known.nodes, node, resources=known.resources, mtls=known.mtls
        )
        with blamed(node, "plan"):
            launch = self._launches[node.name] = node.plan(self._book.scope(node.name))
        instance = self._runtime.start(launch)
        try:
            self._climb(node, instance, launch)
        except BaseException:
            instance.stop(0)
            raise
        instance.mark_running()
        self._added.append(instance)
        return instance

    def stop(self) -> None:
        """Stop them all.

        Raises:
            TeardownError: one of them did not stop; all of them have been asked to.
        """
        do_all(each.stop for each in self._added)

    def _climb(self, node: Node, instance: Instance, launch: Launch) -> None:
        def guard() -> None:
            if instance.state is State.EXITED:
                raise death(launch, instance, self._book.secrets())

        deadline = Deadline(self._settings.ready_timeout)
        scope = self._book.scope(node.name, HOST)
        with closing_rungs(node, node.checks, scope) as rungs:
            for check in rungs:
                seen = poll(check.observe, deadline, guard=guard)
                if not seen.ok:
                    look = (check, seen)
                    raise not_ready(launch, look, deadline, instance, self._book.secrets())
