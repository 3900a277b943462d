"""Deadlines, checks, and the only place in the project that sleeps."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

INTERVAL = 0.01
"""Seconds between two polls; Dapr's own integration framework polls every 10 ms too."""

SELDOM = 0.02
"""Seconds between two polls of what will wake whoever waits for it."""


@dataclass(frozen=True)
class Observation:
    """The result of one poll: whether the condition is met, and the observed fact in words.

    Attributes:
        warning: a problem to report to the user although the condition is met.
    """

    ok: bool
    fact: str = ""
    warning: str = ""


class Check(Protocol):
    """A readiness condition that can describe itself.

    ``observe`` never raises because something is not ready yet; it raises a ``HarnessError`` or
    ``SystemFailure`` only for facts that waiting cannot change.
    """

    @property
    def name(self) -> str:
        """The name of the check, as shown in time-outs and in the waterfall."""
        ...

    def observe(self) -> Observation:
        """Poll once."""
        ...


class WaitingCheck(Check, Protocol):
    """A check that cannot pass before another node is ready."""

    @property
    def waits_for(self) -> str:
        """The node whose readiness it waits for, and which is to blame if it is not ready."""
        ...


class Wake(Protocol):
    """Is set when it is worth looking, such as a `threading.Event`."""

    def is_set(self) -> bool:
        """Whether it is."""
        ...

    def wait(self, timeout: float) -> bool:
        """Wait until it is, at most for some seconds."""
        ...


class WokenCheck(Check, Protocol):
    """A check that need not be polled to learn when it may pass."""

    def wake(self) -> Wake | None:
        """What will be set at that moment, if this is known here; called after a first poll."""
        ...


def wake_of(check: Check) -> Callable[[], Wake | None]:
    """What creates the wake of a check; it returns None for a check that must be polled."""
    found: Callable[[], Wake | None] = getattr(check, "wake", _nothing)
    return found


def _nothing() -> None:
    return None


def waits_for(check: Check) -> str:
    """The other node that a check waits for; "" if there is none."""
    # Not by isinstance, which takes long for a protocol and is asked for each check.
    found: str = getattr(check, "waits_for", "")
    return found


class Deadline:
    """A point in time that several waits share.

    Args:
        seconds: the budget from now.
    """

    def __init__(self, seconds: float) -> None:
        self.budget = seconds
        self._ends = time.monotonic() + seconds

    def restart(self) -> None:
        """Begin again with the whole budget."""
        self._ends = time.monotonic() + self.budget

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._ends - time.monotonic())

    @property
    def passed(self) -> bool:
        """Whether the budget is used up."""
        return time.monotonic() >= self._ends


def ticks(
    deadline: Deadline, interval: float = INTERVAL, wake: Callable[[], Wake | None] = _nothing
) -> Iterator[None]:
    """Yield at once and then every ``interval`` seconds, the last time after the deadline.

    Args:
        wake: called after the first time; until what it returns is set, it yields every `SELDOM`
            seconds, and at that moment.
    """
    woken: Wake | None = None
    known = False
    while not deadline.passed:
        yield
        if not known:
            woken, known = wake(), True
        if woken is None or woken.is_set():
            time.sleep(min(interval, deadline.remaining))
        else:
            woken.wait(min(SELDOM, deadline.remaining))
    yield


async def aticks(deadline: Deadline, interval: float = INTERVAL) -> AsyncIterator[None]:
    """The asynchronous counterpart of `ticks`."""
    import asyncio  # takes long to import, and attaching to a stack does not need it

    while not deadline.passed:
        yield
        await asyncio.sleep(min(interval, deadline.remaining))
    yield


def poll(
    look: Callable[[], Observation],
    deadline: Deadline,
    *,
    guard: Callable[[], None] = lambda: None,
    interval: float = INTERVAL,
    wake: Callable[[], Wake | None] = _nothing,
) -> Observation:
    """Poll until the observation is ok or the deadline has passed; return the last observation.

    Args:
        look: called at least once.
        guard: called before each poll; raises to end the wait at once (a dead child, a stop).
        wake: as for `ticks`.
    """
    seen = Observation(False, "never looked")
    for _ in ticks(deadline, interval, wake):
        guard()
        seen = look()
        if seen.ok:
            return seen
    return seen


async def apoll(
    look: Callable[[], Awaitable[Observation]],
    deadline: Deadline,
    *,
    guard: Callable[[], None] = lambda: None,
    interval: float = INTERVAL,
) -> Observation:
    """The asynchronous counterpart of `poll`."""
    seen = Observation(False, "never looked")
    async for _ in aticks(deadline, interval):
        guard()
        seen = await look()
        if seen.ok:
            return seen
    return seen
