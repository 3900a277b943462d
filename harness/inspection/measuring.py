"""What a stack does over time: rates of events and calls, memory and processor time of nodes."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from harness.core.as_json import AsJson
from harness.core.deadline import Deadline, ticks
from harness.core.errors import ConfigError
from harness.core.observation import Occurrence
from harness.inspection.looking import Looking
from harness.inspection.model import NodeRow, Overview
from harness.ledger.model import EventPath, Ledger

SAMPLES = 900
"""The number of samples of each node that are kept: half an hour of the page."""

SPACED = 0.5
"""Seconds between two samples, at least: processor time is reported in hundredths of a second."""

WATCHED = 1.5
"""Seconds during which nodes are sampled for somebody who asks once."""

LONGEST, MOST = 24 * 3600, 1_000
"""Seconds that can be looked back at, and the number of intervals that they are divided into."""

What = Literal["published", "delivered", "failed", "invoked"]


@dataclass(frozen=True)
class Rate(AsJson):
    """How often something happened.

    Attributes:
        what: ``published``, ``delivered`` (an app has accepted it), ``failed`` (an app has not), or
            ``invoked`` (an app has called another one).
        of: the topic of what was published; otherwise the app that received, or called.
        counts: by interval.
    """

    what: What
    of: str
    counts: Sequence[int]


@dataclass(frozen=True)
class Sample(AsJson):
    """What a node used at a time.

    Attributes:
        at: seconds since the epoch.
        memory: bytes.
        cpu: of one core since the sample before, in percent; None of the first one, and after a
            restart.
    """

    at: float
    memory: int
    cpu: float | None


@dataclass(frozen=True)
class NodeSamples(AsJson):
    """The samples of a node, the newest last."""

    node: str
    samples: Sequence[Sample]


@dataclass(frozen=True)
class Metrics(AsJson):
    """What a stack did lately.

    Attributes:
        begin: of the first interval, in seconds since the epoch.
        step: seconds of each interval.
        intervals: their number.
        rates: of what happened at all.
        nodes: samples taken since somebody first looked.
        missing: what could not be read, and why.
    """

    begin: float
    step: float
    intervals: int
    rates: Sequence[Rate]
    nodes: Sequence[NodeSamples]
    missing: Sequence[str] = ()


class Samples:
    """The last samples of each node."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, deque[Sample]] = {}
        self._last: dict[str, tuple[float, float]] = {}
        """Of each node: when it was sampled last, and its processor time then."""

    def add(self, nodes: Sequence[NodeRow], moment: float, at: float) -> None:
        """Take a sample of each node whose memory is known, unless the last one is too new.

        Args:
            nodes: now.
            moment: seconds on a monotonic clock.
            at: seconds since the epoch.
        """
        with self._lock:
            for each in nodes:
                last = self._last.get(each.name)
                if not each.memory or (last and moment - last[0] < SPACED):
                    continue
                sample = Sample(at, each.memory, _share(last, moment, each.cpu_seconds))
                self._kept.setdefault(each.name, deque(maxlen=SAMPLES)).append(sample)
                self._last[each.name] = moment, each.cpu_seconds

    def since(self, begin: float) -> list[NodeSamples]:
        """The samples of each node since a time."""
        with self._lock:
            return [
                NodeSamples(name, [each for each in kept if each.at >= begin])
                for name, kept in self._kept.items()
            ]


def _share(last: tuple[float, float] | None, moment: float, used: float) -> float | None:
    """Percent of a core since the last sample; None if the processor time began anew."""
    if last is None or used < last[1]:
        return None
    return round(100 * (used - last[1]) / (moment - last[0]), 2)


class Measuring(Looking):
    """What may be seen of a stack that is up as numbers over time."""

    def _begin(self) -> None:
        super()._begin()
        self._samples = Samples()

    def overview(self) -> Overview:
        """Nodes, topics, components and jobs now."""
        found = super().overview()
        self._samples.add(found.nodes, time.monotonic(), found.at)
        return found

    def metrics(
        self, *, seconds: float = 300.0, step: float = 5.0, watching: float = 0.0
    ) -> Metrics:
        """Rates of events and calls, and memory and processor time of the nodes.

        Args:
            seconds: how long to look back.
            step: seconds of an interval.
            watching: seconds during which samples of the nodes are taken first; those that were
                taken by `overview` and earlier calls are kept.

        Raises:
            ConfigError: the intervals are too many, too long ago, or none.
        """
        count = _intervals(seconds, step)
        for _ in ticks(Deadline(watching), SPACED) if watching else ():
            self._samples.add(self.nodes(), time.monotonic(), time.time())
        with self._lock:
            ledger, missing = self._read(self.nodes())
            calls = self._account.calls()
        begin = time.time() - count * step
        rates = [*rates_of(ledger, calls, begin, step, count)]
        cleaned = [Rate(each.what, self.clean(each.of), each.counts) for each in rates]
        return Metrics(begin, step, count, cleaned, self._samples.since(begin), missing)


def _intervals(seconds: float, step: float) -> int:
    if not (0 < seconds <= LONGEST and step > 0 and 1 <= round(seconds / step) <= MOST):
        raise ConfigError(
            f"{seconds:g} seconds in intervals of {step:g} cannot be shown",
            expected=f"up to {LONGEST} seconds, in 1 to {MOST} intervals",
        )
    return round(seconds / step)


def rates_of(
    ledger: Ledger, calls: Iterable[Occurrence], begin: float, step: float, count: int
) -> Iterator[Rate]:
    """How often things happened, in the order of their names; nothing of what did not happen.

    Args:
        ledger: everything that is known of events.
        calls: of apps to their sidecars.
        begin: of the first interval, in seconds since the epoch.
        step: seconds of each interval.
        count: the number of intervals.
    """
    found: dict[tuple[What, str], list[int]] = {}
    for what, of, at in (*_of_events(ledger.events), *_of_calls(calls)):
        number = (at / 1e9 - begin) // step
        if 0 <= number < count:
            found.setdefault((what, of), [0] * count)[int(number)] += 1
    yield from (Rate(what, of, counts) for (what, of), counts in sorted(found.items()))


def _of_events(events: Iterable[EventPath]) -> Iterator[tuple[What, str, int]]:
    for path in events:
        stored = [(each.position.topic, each.time) for each in path.originals]
        asked = [(each.topic, each.time) for each in path.publications if each.accepted]
        for topic, at in stored or asked:
            yield "published", topic, at
        for each in path.attempts:
            yield "delivered" if each.outcome == "success" else "failed", each.app, each.time


def _of_calls(calls: Iterable[Occurrence]) -> Iterator[tuple[What, str, int]]:
    for each in calls:
        if each.facts.get("api") == "invoke":
            yield "invoked", each.node, each.time
