"""What one load process has measured, and how several are put together."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Any

from harness.load.ranks import ranked

INTENDED, SERVICE, WAKE, LAG = "intended", "service", "wake", "lag"
DISTRIBUTIONS = (INTENDED, SERVICE, WAKE, LAG)
"""From when it was due, from when it was sent, from when its slot was opened, to its reply; and how
late its slot was opened."""

FORMAT = 3
"""Of what is drained; another version of this module may have another."""

RECENT = 200
"""How many last requests the progress of a name is of."""

UNFINISHED = "not answered when the run ended"
"""What a request has failed of when nothing is known of it."""

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
        self.errors: Counter[Key] = Counter()
        self.unanswered: list[tuple[str, float]] = []
        self.lanes: dict[str, dict[str, Any]] = {}
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

    def lane(self, name: str, user: str, ways: Sequence[str], outcome: Any) -> None:
        """One lane that has begun: whose it is, and what it declares."""
        self.lanes[name] = {"user": user, "ways": list(ways), "outcome": outcome}

    def end(self) -> float:
        """The last moment that anything is known of."""
        answered = max((done for *_, done in self.answers), default=0.0)
        took = max((due + seconds for _, due, seconds in self.durations), default=0.0)
        return max(answered, took, *(second + 1.0 for second, _, _ in self.counts), 0.0)

    def values(self) -> Iterator[tuple[str, str, float, float]]:
        """Each value: its name, its distribution, when it was due, its seconds.

        What was not answered took until the end of the run at least, and counts as that.
        """
        for name, due, opened, sent, done in self.answers:
            yield name, INTENDED, due, done - due
            yield name, SERVICE, due, done - sent
            yield name, WAKE, due, done - opened
            yield name, LAG, due, opened - due
        for name, due, seconds in self.durations:
            yield name, INTENDED, due, seconds
        end = self.end()
        for name, due in self.unanswered:
            yield name, INTENDED, due, end - due

    def close(self) -> None:
        """Count what was due and of which nothing more will be known."""
        for (second, name, kind), count in list(self.counts.items()):
            if kind == "offered":
                known = self.counts[second, name, "ok"] + self.counts[second, name, "failed"]
                for _ in range(count - known):
                    self.missed(name, second + 0.999, UNFINISHED)

    def due(self, name: str, at: float) -> None:
        """One request that had to be sent."""
        self.counts[int(at), name, "offered"] += 1

    def failed(self, name: str, due: float, error: str) -> None:
        """One request that was answered badly."""
        self.counts[int(due), name, "failed"] += 1
        self.errors[int(due), name, error] += 1

    def missed(self, name: str, due: float, error: str) -> None:
        """One request that was refused or not answered: it took to the end of the run at least."""
        self.failed(name, due, error)
        self.unanswered.append((name, due))

    def never(self, name: str, due: float) -> None:
        """One thing that was no request of ours and did not come: likewise."""
        self.counts[int(due), name, "lost"] += 1
        self.unanswered.append((name, due))

    def drain(self) -> dict[str, Any]:
        """Everything so far as plain data; what comes later is in the next one."""
        taken = {
            "format": FORMAT,
            "answers": self.answers,
            "durations": self.durations,
            "counts": [[*key, count] for key, count in self.counts.items()],
            "errors": [[*key, count] for key, count in self.errors.items()],
            "unanswered": self.unanswered,
            "lanes": self.lanes,
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
        for second, name, error, count in taken["errors"]:
            self.errors[second, name, error] += count
        self.unanswered += [(name, due) for name, due in taken["unanswered"]]
        self.lanes |= taken["lanes"]
        for lane, numbers in taken["acknowledged"].items():
            self.acknowledged[lane] += [(number, due) for number, due in numbers]
        for process, samples in taken["cpu"].items():
            self.cpu.setdefault(process, []).extend((s, p) for s, p in samples)

    def progress(self) -> dict[str, dict[str, float]]:
        """What each name has come to so far, and how its last requests were."""
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
        """What a load process has used of a core in the last second."""
        self.cpu.setdefault(process, []).append((int(time.monotonic()), percent))
