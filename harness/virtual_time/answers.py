"""What a clock answers, and what it is asked, as values of Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from harness.core.errors import ConfigError, ProbeError, ProbeTimeout

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Moved:
    """Where a clock is.

    Attributes:
        now: the moment that it is, in UTC.
        fired: how many firings the move has caused, attempts after a failure included.
        next_due: when the next one is due; None if there is none.
        waiting: the full names of jobs that were due and whose app is not connected.
        speed: seconds per second of real time; 0 while time stands still.
    """

    now: datetime
    fired: int
    next_due: datetime | None
    waiting: tuple[str, ...]
    speed: float


def moved_of(operation: str, response: httpx.Response) -> Moved:
    """The answer of a clock.

    Raises:
        ConfigError: it could not be asked so.
        ProbeTimeout: what has fired was not answered in time.
        ProbeError: it could not be done.
    """
    answer: dict[str, Any] = response.json()
    if response.status_code != 200:
        kind = {422: ConfigError, 504: ProbeTimeout}.get(response.status_code, ProbeError)
        raise kind(f"the clock refuses {operation!r}: {answer['error']}")
    due = answer["next"]
    return Moved(
        moment_of(answer["now"]),
        answer["fired"],
        None if due is None else moment_of(due),
        tuple(answer["waiting"]),
        answer["speed"],
    )


def moment_of(nanoseconds: int) -> datetime:
    """A moment by its nanoseconds since 1970, cut to microseconds."""
    return EPOCH + nanoseconds // 1000 * MICROSECOND


def text_of(given: str | timedelta | datetime) -> str:
    """A duration or a moment as text for a clock.

    Raises:
        ConfigError: a moment without a zone.
    """
    if isinstance(given, timedelta):
        return f"{given // MICROSECOND}us"
    if isinstance(given, datetime):
        if given.tzinfo is None:
            raise ConfigError(
                f"the moment {given.isoformat()} has no zone",
                expected="such as datetime(2027, 1, 31, 9, tzinfo=UTC)",
            )
        return given.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return given
