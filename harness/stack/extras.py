"""Nodes that are started beside those of the topology, such as the sidecar of a tap."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from harness.core.blame import blamed
from harness.core.closing import do_all
from harness.core.deadline import Check, Deadline, poll
from harness.core.launch import Launch
from harness.core.node import Node, Scope
from harness.core.settings import Settings
from harness.runtime.base import Instance, Runtime, State
from harness.stack.book import AddressBook
from harness.stack.failures import death, not_ready
from harness.stack.planning.addresses import HOST


class Checks(Protocol):
    """A node's method that returns checks: ``checks``, ``start_after`` or ``post_checks``."""

    @property
    def __name__(self) -> str: ...
    def __call__(self, scope: Scope) -> Iterable[Check]:
        """The checks."""
        ...


@contextmanager
def closing_checks(node: Node, checks: Checks, scope: Scope) -> Iterator[Iterator[Check]]:
    """The checks of a node; a generator's clients are closed however the wait ends."""
    method = checks.__name__
    with blamed(node, method):
        upcoming = iter(checks(scope))
    try:
        yield _blamed_each(node, method, upcoming)
    finally:
        if isinstance(upcoming, Generator):
            upcoming.close()


def _blamed_each(node: Node, method: str, upcoming: Iterator[Check]) -> Iterator[Check]:
    while True:
        with blamed(node, method):
            check = next(upcoming, None)
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
        self, book: AddressBook, runtime: Runtime, settings: Settings, launches: dict[str, Launch]
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
        self._book.topology = known.with_nodes([*known.nodes, node])
        with blamed(node, "plan"):
            launch = self._launches[node.name] = node.plan(self._book.scope(node.name))
        instance = self._runtime.start(launch)
        try:
            self._pass_checks(node, instance, launch)
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

    def _pass_checks(self, node: Node, instance: Instance, launch: Launch) -> None:
        def guard() -> None:
            if instance.state is State.EXITED:
                raise death(launch, instance, self._book.secrets())

        deadline = Deadline(self._settings.ready_timeout)
        scope = self._book.scope(node.name, HOST)
        with closing_checks(node, node.checks, scope) as upcoming:
            for check in upcoming:
                seen = poll(check.observe, deadline, guard=guard)
                if not seen.ok:
                    look = (check, seen)
                    raise not_ready(launch, look, deadline, instance, self._book.secrets())
