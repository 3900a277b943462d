"""How a test is kept apart from others: the levels of the marker ``dapr(isolation=...)``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.core.journal import Entry
    from harness.core.topology import Topology
    from harness.stack.stack import Stack


@contextmanager
def isolated(
    level: str,
    stack: Stack,
    topology: Callable[[], Topology],
    watch: Callable[[Entry], None],
    world: Callable[[], AbstractContextManager[Stack]],
) -> Iterator[Stack]:
    """The stack for one test.

    Args:
        level: one of `harness.core.names.ISOLATIONS`.
        stack: that of the session.
        topology: returns the one from which it was started.
        watch: called with each journal entry of a stack that is started for the test.
        world: leases a copy of the stack.

    Raises:
        ConfigError: the stack cannot be emptied, or can have no copies.
        HarnessError, SystemFailure: it did not settle, or a start failed.
    """
    if level == "names":
        yield stack
    elif level == "clean":
        from harness.stack.cleaning import clean

        clean(stack)
        yield stack
    elif level == "world":
        with world() as copy:
            yield copy
    else:
        with _anew(stack, topology(), watch) as made:
            yield made


def _anew(stack: Stack, topology: Topology, watch: Callable[[Entry], None]) -> Stack:
    """The same stack once more, on the same runtime."""
    from harness.stack.run import running

    again = topology.with_time(stack.topology.time)
    if stack.runtime == "kubernetes":
        from harness.stack.given_cluster import ClusterStack, in_cluster

        if isinstance(stack, ClusterStack):
            return in_cluster(stack.where, again, stack.settings, watch=watch)
    settings = replace(stack.settings, runtime=stack.runtime)
    return running(again, settings, watch=watch)
