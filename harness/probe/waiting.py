"""Waiting that checks the system: an unexpected exit ends a wait at once and explains it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from harness.deadline import Deadline, aticks, ticks
from harness.errors import ConfigError

Guard = Callable[[], None]
"""Raises if a required node of the stack has exited."""

NOTICED = 0.5
"""Seconds within which an exit is noticed; a broken connection is noticed earlier."""


def unguarded() -> None:
    """The guard of a wait that watches nothing but its own subject."""


@contextmanager
def explained(guard: Guard) -> Iterator[None]:
    """Raise the guard's error in place of an error that an exit has caused."""
    try:
        yield
    except (AssertionError, ConfigError):
        raise
    except Exception:
        if guard is not unguarded:
            for _ in ticks(Deadline(NOTICED)):
                guard()
        raise


@asynccontextmanager
async def aexplained(guard: Guard) -> AsyncIterator[None]:
    """The asynchronous counterpart of `explained`."""
    try:
        yield
    except (AssertionError, ConfigError):
        raise
    except Exception:
        if guard is not unguarded:
            async for _ in aticks(Deadline(NOTICED)):
                guard()
        raise
