"""Questions about the requests of a sidecar to its app, which wait for the answer."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import starmap
from typing import TYPE_CHECKING, Any

from harness.core.blocking import ablocking
from harness.core.deadline import Deadline, Observation, apoll
from harness.core.errors import ProbeTimeout
from harness.ledger.requests import Request
from harness.probe.aeventually import aexplained
from harness.probe.inbox_server import BODY_LIMIT
from harness.probe.matching import matches, shown
from harness.probe.waiting import Guard
from harness.stack.account import Account
from harness.stack.aquestions import INTERVAL

if TYPE_CHECKING:
    import httpx

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

    async def answered(
        self, *answers: int | httpx.Response, timeout: float = 10.0
    ) -> list[Request]:
        """The app has answered them like this, in this order, and no others so far.

        Args:
            answers: the status of each response, or the response as a caller has received it, whose
                body must be what the app has sent, too. What a fault of the inbox has answered
                counts.
            timeout: seconds.

        Raises:
            ProbeTimeout: the answers are others after ``timeout`` seconds, or already.
        """
        found: list[Request] = []

        async def look() -> Observation:
            nonlocal found
            found = await self.now()
            # A wrong answer does not become right by waiting.
            is_wrong = not _are(found, answers[: len(found)])
            return Observation(len(found) >= len(answers) or is_wrong)

        await apoll(look, Deadline(timeout), guard=self._guard, interval=INTERVAL)
        if not _are(found, answers):
            told = "\n".join(map(_told, found[:SHOWN])) or "no such request"
            raise ProbeTimeout(
                self._account.masked(
                    f"the requests with {shown(self._wanted)} were not answered so"
                ),
                expected=", ".join(map(_named, answers)) or "no request",
                last=self._account.masked(told),
                budget=timeout,
            )
        return found


def _are(found: Sequence[Request], answers: Sequence[int | httpx.Response]) -> bool:
    pairs = zip(found, answers, strict=False)
    return len(found) == len(answers) and all(starmap(_is, pairs))


def _is(each: Request, answer: int | httpx.Response) -> bool:
    if isinstance(answer, int):
        return each.status == answer
    # As much as the inbox has recorded.
    body = answer.content[:BODY_LIMIT].decode("utf-8", "replace")
    return (each.status, each.answer) == (answer.status_code, body)


def _named(answer: int | httpx.Response) -> str:
    if isinstance(answer, int):
        return str(answer)
    return f"{answer.status_code} {answer.text[: SHOWN * 12]}".rstrip()


def _told(each: Request) -> str:
    by = f" by a fault of the inbox {each.failed} the app" if each.failed else ""
    return f"{each.method} {each.path} -> {each.status}{by} {each.answer[: SHOWN * 12]}".rstrip()
