"""What most nodes answer when they have nothing to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from harness.deadline import Check
from harness.topology import Book, Node


class Plain:
    """Defaults of the `Node` protocol; a node overrides what it needs."""

    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()

    def implies(self) -> tuple[Node, ...]:
        """Nothing comes along."""
        return ()

    def checks(self, book: Book) -> Iterable[Check]:
        """Being alive is enough."""
        return ()

    def provide(self, book: Book) -> None:
        """Nothing to make."""

    def confirms(self, book: Book) -> Iterable[Check]:
        """Nothing was provided."""
        return ()

    def exports(self, book: Book) -> Mapping[str, str]:
        """Nothing for placeholders."""
        return {}
