"""What one load process has measured, and how several are put together."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator
from typing import Any

INTENDED, SERVICE, WAKE, LAG = "intended", "service", "wake", "lag"
DISTRIBUTIONS = (INTENDED, SERVICE, WAKE, LAG)
"""From when it was due, from when it was sent, from when its slot was opened, to its reply; and how
late its slot was opened."""

FORMAT = 2
"""Of what is drained; another version of this module may have another."""

RECENT = 200
"""How many last requests the progress of a name is of."""

Key = tuple[int, str, str]
Duration = tuple[str, float, float]
"""Name, when it was due, how long it took; in seconds."""

Answer = tuple[str, float, float, float, float]
"""Name, when it was due, opened, sent and answered; in seconds."""


class Collector:
    """Answers as they came, and counts by second and name.

    Seconds are those of ``time.monotonic``, which processes of one machine share, so that parts of
    several processes fit together. Histograms are made of it afterwards: a new one takes a tenth of
    a millisecond and 190 kB, and 50 of them at the turn of each second made every slot behind them
    5 ms late.
    """

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.durations: list[Duration] = []
        self.counts: Counter[Key] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.acknowledged: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self.cpu: dict[str, list[tuple[int, float]]] = {}
        self._recent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))

    def answered(self, name: str, due: float, opened: float, sent: float, done: float) -> None:
        """One request that was answered well; times of ``time.monotonic``."""
        self.counts[int(due), name, "ok"] += 1
        self.answers.append((name, due, opened, sent, done))
        self._recent[name].append(done - due)

    def took(self, name: str, due: float, seconds: float) -> None:
        """One thing that was no request of ours: how long after it was due."""
        self.counts[int(due), name, "ok"] += 1
        self.durations.append((name, due, seconds))

    def values(self) -> Iterator[tuple[str, str, float, float]]:
        """Each value: its name, its distribution, when it was due, its seconds."""
        for name, due, opened, sent, done in self.answers:
            yield name, INTENDED, due, done - due
            yield name, SERVICE, due, done - sent
            yield name, WAKE, due, done - opened
            yield name, LAG, due, opened - due
        for name, due, seconds in self.durations:
            yield name, INTENDED, due, seconds

    def due(self, name: str, at: float) -> None:
        """One request that had to be sent."""
        self.counts[int(at), name, "offered"] += 1

    def failed(self, name: str, due: float, error: str) -> None:
        """One request that was refused, not answered, or answered badly."""
        self.counts[int(due), name, "failed"] += 1
        self.errors[name, error] += 1

    def drain(self) -> dict[str, Any]:
        """Everything so far as plain data; what comes later is in the next one."""
        taken = {
            "format": FORMAT,
            "answers": self.answers,
            "durations": self.durations,
            "counts": [[*key, count] for key, count in self.counts.items()],
            "errors": [[*key, count] for key, count in self.errors.items()],
            "acknowledged": dict(self.acknowledged),
            "cpu": self.cpu,
        }
        self.__init__()  # type: ignore[misc]  # as new
        return taken

    def absorb(self, taken: dict[str, Any]) -> None:
        """Add what another process has drained.

        What a worker of another version tells cannot be read: it counts as a failure, so that no
        run is called whole that is not.
        """
        if taken.get("format") != FORMAT:
            self.failed("workers", time.monotonic(), f"format {taken.get('format')}, not {FORMAT}")
            return
        for name, due, opened, sent, done in taken["answers"]:
            self.answers.append((name, due, opened, sent, done))
            self._recent[name].append(done - due)
        self.durations += [(name, due, seconds) for name, due, seconds in taken["durations"]]
        for second, name, kind, count in taken["counts"]:
            self.counts[second, name, kind] += count
        for name, error, count in taken["errors"]:
            self.errors[name, error] += count
        for lane, numbers in taken["acknowledged"].items():
            self.acknowledged[lane] += [(number, due) for number, due in numbers]
        for process, samples in taken["cpu"].items():
            self.cpu.setdefault(process, []).extend((s, p) for s, p in samples)

    def progress(self) -> dict[str, dict[str, float]]:
        """What each name has come to so far, and how its last requests were."""
        found = dict[str, dict[str, float]]()
        for (_, name, kind), count in self.counts.items():
            row = found.setdefault(name, {"offered": 0, "ok": 0, "failed": 0})
            row[kind] += count
        for name, values in self._recent.items():
            ordered = sorted(values)
            found[name]["p50"] = ordered[len(ordered) // 2] * 1000
            found[name]["p99"] = ordered[len(ordered) * 99 // 100] * 1000
        return found

    def used(self, process: str, percent: float) -> None:
        """What a load process has used of a core in the last second."""
        self.cpu.setdefault(process, []).append((int(time.monotonic()), percent))
