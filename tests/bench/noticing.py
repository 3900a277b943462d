"""B4: from the moment that a program listens until its node is ready, against looks each second."""

from __future__ import annotations

import random
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from harness import Endpoint, Process, Settings, Topology, running
from harness.core.deadline import Deadline, poll
from harness.core.endpoint import LOOPBACK
from harness.core.journal import Entry
from harness.core.ports import free_port
from harness.ready.tcp import TcpCheck
from tests.bench.numbers import Figures, Measure, at_most, bootstrap, paired
from tests.bench.start import POLL

STARTS, PROGRAMS = 5, 6
"""More programs at a time would measure how they compete for the processors."""

LISTENS = """\
import select, socket, sys, time

select.select([], [], [], float(sys.argv[2]))
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
at = time.monotonic()
with open(sys.argv[3], "w") as file:
    file.write(str(at))
while True:
    listener.accept()[0].close()
"""
GATE, MOONSHOT = at_most(0.05), at_most(2)


@dataclass(frozen=True)
class Lag:
    """Seconds from the moment that a program listened until it was noticed."""

    harness: float
    polled: float


def noticing(settings: Settings, starts: int = STARTS) -> Figures:
    """Programs that listen at random moments; both look at the same program at the same time."""
    settings, draw = replace(settings, runtime="processes"), random.Random(4)
    lags = [lag for _ in range(starts) for lag in _lags(settings, draw)]
    own = [1000 * each.harness for each in lags]
    return {
        "programs": len(lags),
        "B4 lag, ms": Measure(
            median(own), "of the readiness of a port", None, MOONSHOT, *bootstrap(own), tuple(own)
        ),
        f"lag of looks every {POLL:g} s, ms (median)": 1000 * median(each.polled for each in lags),
        "B4 lag": paired(
            [each.harness / each.polled for each in lags],
            f"looks every {POLL:g} s, as testcontainers-python has them",
            GATE,
        ),
    }


def _lags(settings: Settings, draw: random.Random) -> list[Lag]:
    with tempfile.TemporaryDirectory() as scratch:
        nodes = [_program(Path(scratch), number, draw) for number in range(PROGRAMS)]
        watcher = _Watcher({node.name: node.port or 0 for node in nodes})
        with running(Topology(*nodes), settings, watch=watcher.hear) as stack:
            ready = {each.node: each.at for each in stack.journal if each.kind == "node.ready"}
            polled = watcher.noticed()
        listened = {name: float((Path(scratch) / name).read_text()) for name in polled}
    return [Lag(ready[name] - at, polled[name] - at) for name, at in listened.items()]


def _program(folder: Path, number: int, draw: random.Random) -> Process:
    name = f"program-{number}"
    after = 0.5 + draw.random()
    command = [sys.executable, "-S", "-c", LISTENS, "{port}", str(after), str(folder / name)]
    return Process(name, command, port=free_port())


class _Watcher:
    """Looks at programs from the moment that they have been started, at another interval."""

    def __init__(self, ports: dict[str, int]) -> None:
        self._ports = ports
        self._found: dict[str, float] = {}
        self._threads: list[threading.Thread] = []

    def hear(self, entry: Entry) -> None:
        """An entry of the journal, from one of several threads."""
        if entry.kind == "node.started" and entry.node in self._ports:
            thread = threading.Thread(target=self._look, args=[entry.node])
            self._threads.append(thread)
            thread.start()

    def noticed(self) -> dict[str, float]:
        """When each program was noticed."""
        for thread in self._threads:
            thread.join()
        return self._found

    def _look(self, name: str) -> None:
        check = TcpCheck(Endpoint(LOOPBACK, self._ports[name]))
        assert poll(check.observe, Deadline(60), interval=POLL).ok, check
        self._found[name] = time.monotonic()
