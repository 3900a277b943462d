"""What an app asked of its sidecar by HTTP."""

from __future__ import annotations

from harness.core.endpoint import Endpoint
from harness.probe.api_calls import Call, CallRecord
from harness.probe.arecorded import AsyncRecorded
from harness.probe.waiting import Guard, unguarded


class AsyncCalls(AsyncRecorded[Call]):
    """Calls of one app to its own sidecar, in the order of their responses.

    Args:
        app: the app's name, for messages.
        recorder: the address at which the record can be read.
        start: the byte of the record at which to start reading.
        guard: ends a wait by raising.
    """

    def __init__(
        self, app: str, recorder: Endpoint, start: int = 0, guard: Guard = unguarded
    ) -> None:
        super().__init__(f"calls of {app}", CallRecord(recorder, start), guard)
