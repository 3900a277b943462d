"""Dapr 1.18.2: "Sub-millisecond latencies are omitted from latency metrics"."""

from __future__ import annotations

import pytest

from harness import World

CALLS = 200
"""Writes to memory: on a busy machine too, many of them take less than a millisecond."""


@pytest.mark.escape(fixed_in="1.18.2", shows=r"\d+ of 200 writes are in the histogram")
def test_every_write_is_in_the_histogram_of_latencies(clock: World) -> None:
    """As many as were counted."""
    labels = {"component": "statestore", "operation": "set"}

    for number in range(CALLS):
        clock.sidecar("clock").save_state("statestore", f"key-{number}", number)
    clock.eventually(
        lambda: CALLS == clock.metric("clock", "dapr_component_state_count_total", **labels),
        timeout=60,
    )

    timed = clock.metric("clock", "dapr_component_state_latencies_count", **labels)
    assert timed == CALLS, f"{timed:.0f} of {CALLS} writes are in the histogram"
