"""The stacks of this process, for reports about whatever a test has used."""

from __future__ import annotations

import threading
from typing import Any
from weakref import WeakSet

_open: WeakSet[Any] = WeakSet()
# A set that another thread changes cannot be iterated over.
_changing = threading.Lock()


def open_stacks() -> list[Any]:
    """Those that were started or attached to and not closed yet, without spare ones."""
    with _changing:
        return [each for each in _open if not each.spare]


def add(stack: object) -> None:
    """It has started."""
    with _changing:
        _open.add(stack)


def discard(stack: object) -> None:
    """It is closed."""
    with _changing:
        _open.discard(stack)
