"""Dapr 1.18.3: a CloudEvent whose trace field is no text ends the sidecar.

The pinned version has this bug.
"""

from __future__ import annotations

import contextlib

import httpx
import pytest

from harness import World
from harness.core.deadline import Deadline, Observation, poll

EVENT = {
    "specversion": "1.0", "id": "1", "source": "x", "type": "x", "traceid": 7,
    "datacontenttype": "application/json", "data": {"a": 1},
}  # fmt: skip


@pytest.mark.escape(
    fixed_in="1.18.3", shows=r"daprd ended with code 2:.*interface conversion.*not string"
)
def test_an_event_with_a_number_as_its_trace_is_delivered(clock: World) -> None:
    """Like any other."""
    daprd, inbox = clock.instance("clock-daprd"), clock.inbox("clock")

    # Where the bug is, the sidecar may end before it has answered.
    with contextlib.suppress(httpx.TransportError):
        clock.sidecar("clock").publish_event("pubsub", "events", EVENT)

    def look() -> Observation:
        delivered = any(each.path == "/events" for each in inbox.seen)
        return Observation(delivered or daprd.exit_code is not None, daprd.log.read_text()[-8_000:])

    seen = poll(look, Deadline(60))
    assert daprd.exit_code is None, f"daprd ended with code {daprd.exit_code}:\n{seen.fact}"
    assert {"a": 1} == inbox.next(path="/events").data
