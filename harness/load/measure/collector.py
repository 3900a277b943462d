"""The measurements of one load process, and how those of several are combined."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from harness.load.measure.ranks import ranked
from harness.load.model.declared import Declared
from harness.load.model.measurements import (
    Acknowledged,
    Answer,
    Count,
    CpuSample,
    Duration,
    Measurements,
    Unanswered,
    read_measurements,
)
from harness.load.model.typed import Damaged

INTENDED, SERVICE, WAKE, LAG = "intended", "service", "wake", "lag"
DISTRIBUTIONS = (INTENDED, SERVICE, WAKE, LAG)
"""The time to the response since the request was due, was sent, and had its slot opened; and how
late its slot was opened."""

RECENT = 200
"""The number of latest requests that the progress of a name covers."""

UNFINISHED = "not answered when the run ended"
"""The failure of a request about which nothing else is known."""

Key = tuple[int, str, str]
T = TypeVar("T")


class Collector:
    """Responses as they arrived, and counts by second and name.

    Times are those of ``time.monotonic``, which all processes on one machine share, so that the
    data of several processes can be combined. Histograms are created afterwards: creating one takes
    a tenth of a millisecond and 190 kB, and creating 50 of them every second made all slots behind
    them 5 ms late.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.durations: list[Duration] = []
        self.counts: Counter[Key] = Counter()
        self.errors: Counter[Key] = Counter()
        self.unanswered: list[Unanswered] = []
        self.lanes: dict[str, str] = {}
        self.declared: dict[str, Declared] = {}
        self.acknowledged: defaultdict[str, list[Acknowledged]] = defaultdict(list)
        self.cpu: dict[str, list[CpuSample]] = {}
        self._recent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))

    def answered(self, name: str, due: float, opened: float, sent: float, done: float) -> None:
        """Record a successful request; times are those of ``time.monotonic``."""
        self.counts[int(due), name, "ok"] += 1
        self.answers.append((name, due, opened, sent, done))
        self._recent[name].append(done - due)

    def took(self, name: str, due: float, seconds: float) -> None:
        """Record how long after its due time something other than our request happened."""
        self.counts[int(due), name, "ok"] += 1
        self.durations.append(Duration(name, due, seconds))

    def acknowledge(self, lane: str, number: int, due: float) -> None:
        """Record an acknowledged request of a lane."""
        self.acknowledged[lane].append((number, due))

    def end(self) -> float:
        """The latest time of any recorded data."""
        answered = max((done for *_, done in self.answers), default=0.0)
        took = max((due + seconds for _, due, seconds in self.durations), default=0.0)
        return max(answered, took, *(second + 1.0 for second, _, _ in self.counts), 0.0)

    def values(self, *, failed: bool = True) -> Iterator[tuple[str, str, float, float]]:
        """Each value: its name, its distribution, its due time, its seconds.

        Args:
            failed: include requests without a response, as if they took until the end of the run.
        """
        for name, due, opened, sent, done in self.answers:
            yield name, INTENDED, due, done - due
            yield name, SERVICE, due, done - sent
            yield name, WAKE, due, done - opened
            yield name, LAG, due, opened - due
        for name, due, seconds in self.durations:
            yield name, INTENDED, due, seconds
        end = self.end()
        for name, due in self.unanswered if failed else ():
            yield name, INTENDED, due, end - due

    def close(self) -> None:
        """Count due requests about which nothing more will be known."""
        for (second, name, kind), count in list(self.counts.items()):
            if kind == "offered":
                known = self.counts[second, name, "ok"] + self.counts[second, name, "failed"]
                for _ in range(count - known):
                    self.missed(name, second + 0.999, UNFINISHED)

    def due(self, name: str, at: float) -> None:
        """Record a request that had to be sent."""
        self.counts[int(at), name, "offered"] += 1

    def failed(self, name: str, due: float, error: str) -> None:
        """Record a request with a bad response."""
        self.counts[int(due), name, "failed"] += 1
        self.errors[int(due), name, error] += 1

    def missed(self, name: str, due: float, error: str) -> None:
        """Record a refused or unanswered request: it took at least until the end of the run."""
        self.failed(name, due, error)
        self.unanswered.append(Unanswered(name, due))

    def never(self, name: str, due: float) -> None:
        """Record an expected result that did not arrive, in the same way."""
        self.counts[int(due), name, "lost"] += 1
        self.unanswered.append(Unanswered(name, due))

    def drain(self, *, master: bool = False) -> dict[str, Any]:
        """Return all data so far as plain data; later data is in the next call's result.

        Args:
            master: it includes the data of other processes.
        """
        taken = Measurements(
            answers=self.answers,
            durations=self.durations,
            counts=[Count(*key, count) for key, count in self.counts.items()],
            errors=[Count(*key, count) for key, count in self.errors.items()],
            unanswered=self.unanswered,
            lanes=self.lanes,
            acknowledged=dict(self.acknowledged),
            cpu=self.cpu,
            master=master,
        )
        declared = {name: asdict(each) for name, each in self.declared.items()}
        self.__init__()  # type: ignore[misc]  # reset
        # Not asdict: it would copy each of some hundred thousand rows, which are plain already.
        return {**vars(taken), "declared": declared}

    def absorb(self, data: Any) -> Measurements:
        """Add the data that another process has drained, and return it.

        Data that cannot be read, such as that of a worker of another version, counts as a failure,
        so that an incomplete run is not reported as complete.
        """
        try:
            taken = read_measurements(data)
        except Damaged as error:
            self.failed("workers", time.monotonic(), str(error))
            return Measurements()
        self._add(taken)
        return taken

    def _add(self, taken: Measurements) -> None:
        self.answers += taken.answers
        for name, due, _, _, done in taken.answers:
            self._recent[name].append(done - due)
        self.durations += taken.durations
        for second, name, kind, count in taken.counts:
            self.counts[second, name, kind] += count
        for second, name, error, count in taken.errors:
            self.errors[second, name, error] += count
        self.unanswered += taken.unanswered
        self.lanes |= taken.lanes
        self.declared |= taken.declared
        _extend(self.acknowledged, taken.acknowledged)
        _extend(self.cpu, taken.cpu)

    def progress(self) -> dict[str, dict[str, float]]:
        """The totals of each name so far, and the latencies of its last requests."""
        found = dict[str, dict[str, float]]()
        for (_, name, kind), count in self.counts.items():
            row = found.setdefault(name, {"offered": 0, "ok": 0, "failed": 0, "lost": 0})
            row[kind] += count
        for name, values in self._recent.items():
            ordered = sorted(values)
            found[name]["p50"] = ranked(ordered, 0.5) * 1000
            found[name]["p99"] = ranked(ordered, 0.99) * 1000
        return found

    def used(self, process: str, percent: float) -> None:
        """Record the share of a core that a load process used in the last second."""
        self.cpu.setdefault(process, []).append(CpuSample(int(time.monotonic()), percent))


def _extend(lists: dict[str, list[T]], more: Mapping[str, list[T]]) -> None:
    for key, rows in more.items():
        lists.setdefault(key, []).extend(rows)
