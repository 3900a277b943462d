"""Blocking calls in code that is written for an event loop.

Kafka's client, the supervisor and files have no asynchronous API. This is the only module that runs
them in another thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def ablocking(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a call in a worker thread, so that the event loop stays free; return its result.

    If the waiting task is cancelled, the call still runs to its end.
    """
    return await asyncio.to_thread(call, *args, **kwargs)


def blocking(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The synchronous counterpart: the caller waits, so no other thread is needed."""
    return call(*args, **kwargs)
