"""Waits until an assertion holds."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar, overload

from harness.core.deadline import Deadline, aticks
from harness.core.errors import ConfigError, ProbeTimeout
from harness.probe.waiting import NOTICED, Guard, unguarded

T = TypeVar("T")


@asynccontextmanager
async def aexplained(guard: Guard) -> AsyncIterator[None]:
    """Raise the guard's error in place of an error that an exit has caused."""
    try:
        yield
    except (AssertionError, ConfigError):
        raise
    except Exception:
        if guard is not unguarded:
            async for _ in aticks(Deadline(NOTICED)):
                guard()
        raise


# <async only>
@overload
async def aeventually(
    ask: Callable[[], Awaitable[T]], *, timeout: float = ..., guard: Guard = ...
) -> T: ...
@overload
async def aeventually(ask: Callable[[], T], *, timeout: float = ..., guard: Guard = ...) -> T: ...
# </async only>
async def aeventually(
    ask: Callable[[], Any], *, timeout: float = 10.0, guard: Guard = unguarded
) -> Any:
    """Retry until the call raises no AssertionError and does not return False; return its result.

    Args:
        ask: the call that must succeed.
        timeout: seconds.
        guard: called before each attempt; ends the wait by raising.

    Raises:
        AssertionError: the last one, unchanged.
        ProbeTimeout: it kept returning False.
    """
    last: AssertionError | None = None
    async for _ in aticks(Deadline(timeout)):
        guard()
        try:
            async with aexplained(guard):
                answer = ask()
                # <async only>
                if inspect.isawaitable(answer):
                    answer = await answer
                # </async only>
        except AssertionError as error:
            last = error
            continue
        last = None
        if answer is not False:
            return answer
    raise last or _never(ask, timeout)


def _never(ask: Callable[[], object], timeout: float) -> ProbeTimeout:
    name = getattr(ask, "__qualname__", repr(ask))
    return ProbeTimeout(f"{name} never became true", last="it answered False", budget=timeout)
