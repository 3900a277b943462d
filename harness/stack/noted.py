"""What a test itself asks of sidecars and a ledger tells: requests to publish, and jobs."""

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

APIS = ("publish", "jobs")
"""The APIs of Dapr whose calls are noted."""

LARGEST = 64 * 1024 * 1024
"""Bytes of bodies that are kept."""


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
        """Keep a call if it concerns events or jobs.

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
        self._size += min(len(request.content), BODY_LIMIT)
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
                "headers": {"content-type": request.headers.get("content-type", "")},
                "body": request.content[:BODY_LIMIT].decode("utf-8", "replace"),
                "status": answer.status_code if answer is not None else None,
                "answer": "",
            }
        )
        if call.api in APIS:
            made = call.occurrence(TEST)
            self._found.append(replace(made, facts={**made.facts, "sidecar": app}))
