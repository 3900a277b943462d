"""Questions about the requests of a sidecar to its app, which wait for the answer."""

from __future__ import annotations

from typing import Any

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ProbeTimeout
from harness.ledger.requests import Request
from harness.probe.aeventually import aexplained
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account
from harness.stack.aquestions import INTERVAL

__tracebackhide__ = True
"""pytest leaves out the frames of this module: a failure is shown at the test's own line."""

SHOWN = 10
"""The number of requests that a message tells of."""


class AsyncTrackedRequests:
    """Questions about the requests of a sidecar to a path of its app: invocations, input bindings.

    Args:
        account: reads what was observed.
        guard: ends a wait by raising.
        wanted: fields of `Request`, see `matches`.

    Raises (in every method):
        ConfigError: the deliveries of the app are not recorded.
    """

    def __init__(self, account: Account, guard: Guard, wanted: dict[str, Any]) -> None:
        self._account = account
        self._guard = guard
        self._wanted = wanted

    async def now(self) -> list[Request]:
        """Those that are known now, in the order of time."""
        async with aexplained(self._guard):
            found = await ablocking(self._account.requests, self._wanted["app"])
        return [each for each in found if matches(each, self._wanted)]

    async def answered(self, *statuses: int, timeout: float = 10.0) -> list[Request]:
        """The app has answered them with these statuses, in this order, and no others so far.

        Args:
            statuses: of the responses; what a fault of the inbox has answered counts, too.
            timeout: seconds.

        Raises:
            ProbeTimeout: the answers are others after ``timeout`` seconds, or already.
        """
        found: list[Request] = []

        async def look() -> Observation:
            nonlocal found
            found = await self.now()
            seen = [each.status for each in found]
            # A wrong answer does not become right by waiting.
            return Observation(seen == [*statuses] or seen != [*statuses[: len(seen)]])

        await apoll(look, Deadline(timeout), guard=self._guard, interval=INTERVAL)
        if [each.status for each in found] != [*statuses]:
            told = "\n".join(map(_told, found[:SHOWN])) or "no such request"
            raise ProbeTimeout(
                self._account.masked(
                    f"the requests with {shown(self._wanted)} were not answered so"
                ),
                expected=", ".join(map(str, statuses)) or "no request",
                last=self._account.masked(told),
                budget=timeout,
            )
        return found


def _told(each: Request) -> str:
    by = f" by a fault of the inbox {each.failed} the app" if each.failed else ""
    return f"{each.method} {each.path} -> {each.status}{by} {each.answer[: SHOWN * 12]}".rstrip()
