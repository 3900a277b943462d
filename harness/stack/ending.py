"""The nodes that are told of the end of a stack."""

from __future__ import annotations

from collections.abc import Callable

from harness.core.roles import Concludes
from harness.stack.book import AddressBook
from harness.stack.planning.addresses import HOST


def concluding(book: AddressBook, note: Callable[..., None], stop: Callable[[], None]) -> None:
    """Stop the other nodes, and tell those of it before and afterwards; note what they warn of.

    Args:
        book: what the stack knows.
        note: records an entry: kind, node, facts.
        stop: stops the nodes that depend on others.
    """
    found = [each for each in book.topology.nodes if isinstance(each, Concludes)]
    for node in found:
        node.before_stop(book.scope(node.name, HOST))
    stop()
    for node in found:
        if warning := node.conclude(book.scope(node.name, HOST)):
            note("node.warned", node.name, warning=warning)
