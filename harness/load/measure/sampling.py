"""The behaviour of a stack under load, by second: its processes and its consumer groups."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import psutil

from harness.core.kafka_access import Brokers
from harness.load.model.result import LagSample, ProcessSample
from harness.ready.kafka import admin_of, committed_offsets, end_offsets

Samples = dict[str, list[ProcessSample]]
"""By node; times are those of ``time.monotonic``."""

Lags = dict[str, list[LagSample]]
"""By consumer group; times are those of ``time.monotonic``."""


class Looking:
    """Samples repeatedly inside a ``with`` block."""

    period: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def look(self, at: float) -> None:
        """Take one sample at this time."""
        raise NotImplementedError

    def _run(self) -> None:
        while True:
            self.look(time.monotonic())
            if self._over.wait(self.period):
                return


class Sampler(Looking):
    """The resources of each node's process and its descendants, such as PostgreSQL's backends.

    Args:
        pids: the stack's processes, by node.
    """

    def __init__(self, pids: Mapping[str, int]) -> None:
        super().__init__()
        self._pids = dict(pids)
        self.samples: Samples = {name: [] for name in pids}

    def look(self, at: float) -> None:
        """Sample each process."""
        known, below = _processes()
        for name, pid in self._pids.items():
            percent, memory = 0.0, 0
            for process in _tree(pid, known, below):
                with contextlib.suppress(psutil.Error):
                    used = process.memory_info()
                    # Memory that children share with their parent is counted once.
                    memory += used.rss if process.pid == pid else used.rss - used.shared
                    percent += process.cpu_percent()
            if memory:
                self.samples[name].append(ProcessSample(at, percent, memory))


def _processes() -> tuple[dict[int, psutil.Process], dict[int, list[int]]]:
    """All processes of this machine by pid, and the child pids of each."""
    known, below = dict[int, psutil.Process](), defaultdict[int, list[int]](list)
    # The objects are kept from one sample to the next, which the percentages require.
    for process in psutil.process_iter(["ppid"]):
        known[process.pid] = process
        below[process.info["ppid"]].append(process.pid)
    return known, below


def _tree(
    pid: int, known: Mapping[int, psutil.Process], below: Mapping[int, Sequence[int]]
) -> Iterator[psutil.Process]:
    if pid in known:
        yield known[pid]
        for child in below.get(pid, ()):
            yield from _tree(child, known, below)


class ConsumerLag(Looking):
    """The lag of each consumer group behind the end of its topics.

    Sidecars commit once a second, so the records of the last second always count as lag.

    Args:
        brokers: the bootstrap address; "" if there is none.
    """

    period = 2.0

    def __init__(self, brokers: Brokers) -> None:
        super().__init__()
        self._admin = admin_of(brokers) if brokers else None
        self.samples: Lags = {}

    def look(self, at: float) -> None:
        """Sample each group; a broker that does not respond is reported elsewhere."""
        from confluent_kafka import KafkaException

        if self._admin is None:
            return
        with contextlib.suppress(KafkaException, TimeoutError):
            for group, read in committed_offsets(self._admin).items():
                ends = end_offsets(self._admin, sorted({topic for topic, _ in read}))
                behind = sum(
                    max(ends[topic][number] - max(offset, 0), 0)
                    for (topic, number), offset in read.items()
                )
                self.samples.setdefault(group, []).append(LagSample(at, behind))
