"""What most nodes answer when they have nothing to say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from harness.deadline import Check
from harness.topology import HOST, Book, Choice, Node


class Plain:
    """Defaults of the `Node` protocol; a node overrides what it needs."""

    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    pod: str = ""
    on_host: bool = False
    only_inside: bool = False

    def settle(self, choice: Choice) -> Node:
        """Nothing to choose."""
        return cast("Node", self)

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Nothing comes along."""
        return ()

    def awaits(self, book: Book) -> Iterable[Check]:
        """Nobody is waited for but what it needs."""
        return ()

    def checks(self, book: Book) -> Iterable[Check]:
        """Being alive is enough."""
        return ()

    def provide(self, book: Book) -> None:
        """Nothing to make."""

    def confirms(self, book: Book) -> Iterable[Check]:
        """Nothing was provided."""
        return ()

    def exports(self, book: Book, viewer: str = HOST) -> Mapping[str, str]:
        """Nothing for placeholders."""
        return {}
