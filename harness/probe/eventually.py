"""Waits until an assertion holds."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

from harness.deadline import Deadline, aticks, ticks
from harness.errors import ProbeTimeout
from harness.probe.waiting import Guard, aexplained, explained, unguarded

T = TypeVar("T")


def eventually(ask: Callable[[], T], *, timeout: float = 10.0, guard: Guard = unguarded) -> T:
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
    for _ in ticks(Deadline(timeout)):
        guard()
        try:
            with explained(guard):
                answer = ask()
        except AssertionError as error:
            last = error
            continue
        last = None
        if answer is not False:
            return answer
    raise last or _never(ask, timeout)


@overload
async def aeventually(
    ask: Callable[[], Awaitable[T]], *, timeout: float = ..., guard: Guard = ...
) -> T: ...
@overload
async def aeventually(ask: Callable[[], T], *, timeout: float = ..., guard: Guard = ...) -> T: ...
async def aeventually(
    ask: Callable[[], Any], *, timeout: float = 10.0, guard: Guard = unguarded
) -> Any:
    """The asynchronous counterpart of `eventually`; accepts plain and coroutine functions."""
    last: AssertionError | None = None
    async for _ in aticks(Deadline(timeout)):
        guard()
        try:
            async with aexplained(guard):
                answer = ask()
                if inspect.isawaitable(answer):
                    answer = await answer
        except AssertionError as error:
            last = error
            continue
        last = None
        if answer is not False:
            return answer
    raise last or _never(ask, timeout)


def _never(ask: Callable[[], object], timeout: float) -> ProbeTimeout:
    name = getattr(ask, "__qualname__", repr(ask))
    return ProbeTimeout(f"{name} never became true", last="it returned False", budget=timeout)
