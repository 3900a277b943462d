"""What a test itself asks of sidecars and a ledger tells: events, jobs and state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from harness.core.observation import Occurrence
from harness.probe.api_calls import read_call
from harness.probe.inbox_server import BODY_LIMIT

if TYPE_CHECKING:
    import httpx

TEST = "test"
"""Who made these calls."""

APIS = ("publish", "jobs", "state")
"""The APIs of Dapr whose calls are noted."""

LARGEST = 64 * 1024 * 1024
"""Bytes of bodies that are kept."""

HEADERS = ("content-type", "if-match")
"""Headers of requests that a ledger looks at."""


class Noted:
    """The calls of a world's clients.

    Attributes:
        is_complete: whether everything could be kept.
    """

    def __init__(self) -> None:
        self.is_complete = True
        self._found: list[Occurrence] = []
        self._size = 0

    def since(self, number: int) -> Sequence[Occurrence]:
        """All but the first ones."""
        return self._found[number:]

    def note(
        self, app: str, request: httpx.Request, answer: httpx.Response | None, at: float, *,
        took: float, time: int,
    ) -> None:  # fmt: skip
        """Keep a call if it concerns events, jobs or state.

        Args:
            app: whose sidecar received it.
            request: what was sent.
            answer: None if there was none.
            at: when it was sent, on ``time.monotonic``.
            took: seconds until the response.
            time: when it was sent, in nanoseconds since the epoch.
        """
        path = request.url.raw_path.decode()
        if not any(f"/{api}/" in path for api in APIS):
            return
        sent, told = _body(request), _body(answer) if "/state/" in path else b""
        self._size += len(sent) + len(told)
        if self._size > LARGEST:
            self.is_complete = False
            return
        call = read_call(
            {
                "at": at,
                "time": time,
                "took": took,
                "method": request.method,
                "path": path,
                "headers": {name: request.headers.get(name, "") for name in HEADERS},
                "body": sent.decode("utf-8", "replace"),
                "status": answer.status_code if answer is not None else None,
                "answer": told.decode("utf-8", "replace"),
            }
        )
        if call.api in APIS:
            made = call.occurrence(TEST)
            self._found.append(replace(made, facts={**made.facts, "sidecar": app}))


def _body(message: httpx.Request | httpx.Response | None) -> bytes:
    """As much of a body as is recorded; nothing of one that is streamed."""
    import httpx

    try:
        return message.content[:BODY_LIMIT] if message is not None else b""
    except (httpx.RequestNotRead, httpx.ResponseNotRead):
        return b""
