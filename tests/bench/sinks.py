"""What a sink of `loadtests.sink` has recorded."""

from __future__ import annotations

from typing import Any

from harness.core.deadline import Deadline, Observation, poll
from harness.ready.loopback import ask

DRAIN = 15.0
"""Seconds for which acknowledged requests may still be on their way to the sink."""

Row = list[Any]
"""Kind, lane, number, due, sent, entered."""


def rows_of_sink(url: str, expected: int, patience: float = DRAIN) -> list[Row]:
    """Every row of the sink, once there are as many as expected, or the time is up."""
    rows: list[Row] = []

    def look() -> Observation:
        more = ask("GET", f"{url}/received?since={len(rows)}").json()
        rows.extend(more)
        return Observation(len(rows) >= expected and not more, f"{len(rows)} rows")

    poll(look, Deadline(patience))
    return rows
