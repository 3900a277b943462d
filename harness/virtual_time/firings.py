"""The record of what a scheduler has fired: one line when it is sent, one when it is answered."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from harness.core.observation import Occurrence, correlation_of, epoch_ns
from harness.virtual_time.agenda import Entry, Outcome
from harness.virtual_time.gotime import rfc3339

NO_ANSWER = "no answer"


@dataclass(frozen=True)
class Firing:
    """One attempt to deliver a job.

    Attributes:
        moment: the scheduler's time, in nanoseconds since 1970.
        at: when it was sent, on ``time.monotonic``.
        name: the job's full name.
        attempt: 1, or more after failures of the same firing.
        outcome: ``success``, ``failed``, ``undeliverable``, or `NO_ANSWER`.
        took: seconds until the outcome; None without one.
    """

    moment: int
    at: float
    name: str
    attempt: int
    outcome: str = NO_ANSWER
    took: float | None = None

    def occurrence(self, node: str) -> Occurrence:
        """The same as one record of a timeline.

        Args:
            node: the scheduler.
        """
        moment = rfc3339(self.moment)
        again = f", attempt {self.attempt}" if self.attempt > 1 else ""
        return Occurrence(
            epoch_ns(self.at),
            "firing",
            node,
            f"{self.name} at {moment}{again} -> {self.outcome}",
            correlation_of(job=self.name.rpartition("||")[2]),
            {
                "moment": moment,
                "name": self.name,
                "attempt": self.attempt,
                "outcome": self.outcome,
            },
            self.took,
        )


class Recorder(Protocol):
    """Is told of every firing."""

    def fired(self, moment: int, entry: Entry) -> None:
        """It is sent now."""
        ...

    def answered(self, revision: int, outcome: Outcome) -> None:
        """What became of the firing of the job with this revision."""
        ...


class Unrecorded:
    """Keeps nothing."""

    def fired(self, moment: int, entry: Entry) -> None:
        """Nothing."""

    def answered(self, revision: int, outcome: Outcome) -> None:
        """Nothing."""


class FiringRecord:
    """Firings in a file, which continues that of an earlier process.

    Args:
        path: created if it is not there.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        # Line by line, so that a kill of this process loses nothing.
        self._file = path.open("a", buffering=1, encoding="utf-8")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def fired(self, moment: int, entry: Entry) -> None:
        """It is sent now."""
        attempt = entry.progress.attempts + 1
        self._write(revision=entry.revision, moment=moment, name=entry.name, attempt=attempt)

    def answered(self, revision: int, outcome: Outcome) -> None:
        """What became of the firing of the job with this revision."""
        self._write(revision=revision, outcome=outcome.value)

    def _write(self, **row: Any) -> None:
        self._file.write(json.dumps({"at": time.monotonic(), **row}) + "\n")


def firings_of(lines: Iterable[str]) -> list[Firing]:
    """The firings of a record, in the order in which they were sent."""
    found: list[Firing] = []
    open_: dict[int, int] = {}
    for row in _rows(lines):
        revision = row.pop("revision")
        if "outcome" not in row:
            open_[revision] = len(found)
            found.append(Firing(**row))
        elif (place := open_.pop(revision, None)) is not None:
            sent = found[place]
            found[place] = replace(sent, outcome=row["outcome"], took=row["at"] - sent.at)
    return found


def _rows(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    # A last line without its end is still being written.
    return (json.loads(line) for line in lines if line.endswith("\n"))
