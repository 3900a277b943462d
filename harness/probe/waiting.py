"""Waiting that checks the system: an unexpected exit ends a wait at once and explains it."""

from __future__ import annotations

from collections.abc import Callable

Guard = Callable[[], None]
"""Raises if a required node of the stack has exited."""

NOTICED = 0.5
"""Seconds within which an exit is noticed; a broken connection is noticed earlier."""


def unguarded() -> None:
    """The guard of a wait that watches nothing but its own subject."""
