"""Notes what a test does, around doing it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol


class Doing(Protocol):
    """Makes the block in which something is done."""

    def __call__(self, what: str, **given: Any) -> AbstractContextManager[None]:
        """The block.

        Args:
            what: the operation.
            given: its arguments.
        """
        ...


@contextmanager
def unnoted(what: str, **given: Any) -> Iterator[None]:
    """Note nothing."""
    del what, given
    yield
