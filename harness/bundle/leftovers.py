"""What earlier tests may have left in the databases of a stack. Everything here blocks."""

from __future__ import annotations

from collections.abc import Mapping

from harness.core.errors import ProbeError
from harness.core.roles import ROWS, TellsRows
from harness.stack.beginning import WORLDS
from harness.stack.planning.addresses import HOST
from harness.stack.stack import Stack
from harness.stack.vital import AWAY, state_of


def rows_of_others(stack: Stack, isolation: str) -> str:
    """What a replay does not have because earlier tests have written it, in words; "" if nothing.

    Which rows were there when the test began is known to no database. They are counted when it has
    failed, which costs other tests nothing, and only if others had used the stack before.

    Args:
        stack: a running stack.
        isolation: the level that the test asked for.

    Raises:
        HarnessError: a database does not run, or does not respond.
    """
    earlier = len(stack.shared.get(WORLDS, ())) - 1
    if isolation != "names" or earlier < 1:
        return ""
    found: dict[str, int] = {}
    for node in stack.topology.nodes:
        if isinstance(node, TellsRows):
            if (state := state_of(stack.instances.get(node.name))) in AWAY:
                raise ProbeError(f"{node.name} is {state}")
            found |= node.rows(stack.book.scope(node.name, HOST))
    if not found:
        return ""
    return (
        f"rows that {earlier} earlier test{'s have' if earlier > 1 else ' has'} left on the stack; "
        f"when the test failed, there were {_told(found)}"
    )


def _told(found: Mapping[str, int]) -> str:
    rows = (f"{'over ' if n >= ROWS else ''}{n} in {table}" for table, n in found.items())
    return ", ".join(rows)
