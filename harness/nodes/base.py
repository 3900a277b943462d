"""Default implementations for nodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from harness.deadline import Check
from harness.topology import HOST, Book, Choice, Node


class Plain:
    """Defaults for the `Node` protocol; a node overrides what it needs."""

    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    pod: str = ""
    on_host: bool = False
    only_inside: bool = False

    def settle(self, choice: Choice) -> Node:
        """There is nothing to choose."""
        return cast("Node", self)

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """It implies no other nodes."""
        return ()

    def awaits(self, book: Book) -> Iterable[Check]:
        """It waits only for its dependencies."""
        return ()

    def checks(self, book: Book) -> Iterable[Check]:
        """Being alive is enough."""
        return ()

    def provide(self, book: Book) -> None:
        """There is nothing to create."""

    def confirms(self, book: Book) -> Iterable[Check]:
        """Nothing was provided."""
        return ()

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """It exports no values."""
        return {}
