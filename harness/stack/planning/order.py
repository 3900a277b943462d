"""Which nodes of a stack start after which others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from graphlib import CycleError, TopologicalSorter

from harness.core.errors import ConfigError


class Order:
    """The needs of the nodes, and who waits for the start of whom at the moment.

    Attributes:
        needs: the nodes that must be ready before each node starts.
    """

    def __init__(self) -> None:
        self.needs: dict[str, set[str]] = {}
        self._awaited: dict[str, str] = {}

    def require_possible(self) -> None:
        """Check that every node can start.

        Raises:
            ConfigError: the needs form a cycle.
        """
        try:
            TopologicalSorter(self.needs).prepare()
        except CycleError as error:
            raise ConfigError(
                "the placeholders of the topology form a cycle: " + " -> ".join(error.args[1])
            ) from None

    @contextmanager
    def awaiting(self, node: str, other: str) -> Iterator[bool]:
        """A node waits for the start of another one; whether that one does not wait for it."""
        self._awaited[node] = other
        try:
            yield not self._follows(other, node)
        finally:
            del self._awaited[node]

    def _follows(self, node: str, other: str) -> bool:
        """Whether a node is the other one, or starts after it."""
        seen: set[str] = set()
        left = [node]
        while left:
            each = left.pop()
            if each == other:
                return True
            if each not in seen:
                seen.add(each)
                left += self.needs[each]
                left += [self._awaited[each]] if each in self._awaited else []
        return False
