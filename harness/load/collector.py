"""What one load process has measured, second by second, and how several are put together."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from typing import Any

from hdrh.histogram import HdrHistogram

from harness.load.histograms import decode, empty, encode, record

INTENDED, SERVICE, WAKE, LAG = "intended", "service", "wake", "lag"
DISTRIBUTIONS = (INTENDED, SERVICE, WAKE, LAG)
"""From when it was due, from when it was sent, from when its slot was opened, to its reply; and how
late its slot was opened."""

FORMAT = 1
"""Of what is drained; another version of this module may have another."""

RECENT = 200
"""How many last requests the progress of a name is of."""

Key = tuple[int, str, str]


class Collector:
    """Histograms and counts by second and name.

    Seconds are those of ``time.monotonic``, which processes of one machine share, so that parts of
    several processes fit together.
    """

    def __init__(self) -> None:
        self.histograms: defaultdict[Key, HdrHistogram] = defaultdict(empty)
        self.counts: Counter[Key] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.acknowledged: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self.cpu: dict[str, list[tuple[int, float]]] = {}
        self._recent: defaultdict[str, deque[float]] = defaultdict(lambda: deque(maxlen=RECENT))

    def answered(self, name: str, due: float, opened: float, sent: float, done: float) -> None:
        """One request that was answered well; times of ``time.monotonic``."""
        second = int(due)
        self.counts[second, name, "ok"] += 1
        self._recent[name].append(done - due)
        for distribution, value in (
            (INTENDED, done - due),
            (SERVICE, done - sent),
            (WAKE, done - opened),
            (LAG, opened - due),
        ):
            record(self.histograms[second, name, distribution], value)

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
            "histograms": [[*key, encode(each)] for key, each in self.histograms.items()],
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
        for second, name, distribution, text in taken["histograms"]:
            self.histograms[second, name, distribution].add(decode(text))
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
        # Not of the histograms: their percentiles take a millisecond each, which slots would wait.
        for name, values in self._recent.items():
            ordered = sorted(values)
            found[name]["p50"] = ordered[len(ordered) // 2] * 1000
            found[name]["p99"] = ordered[len(ordered) * 99 // 100] * 1000
        return found

    def used(self, process: str, percent: float) -> None:
        """What a load process has used of a core in the last second."""
        self.cpu.setdefault(process, []).append((int(time.monotonic()), percent))
