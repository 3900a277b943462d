"""The programs of a load run: Locust, and the references alongside; none exceeds its budget.

They run under the supervisor of the stack, beside its nodes: whatever happens to this process, they
end with the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import IO, Any

from harness.core.deadline import Deadline, Observation, poll, ticks
from harness.core.endpoint import LOOPBACK
from harness.core.errors import ConfigError
from harness.core.kafka_access import Brokers, client_settings
from harness.core.ports import free_port
from harness.load.measure.collector import Collector
from harness.load.model.pairs import CONNECTION
from harness.load.model.profile import Profile
from harness.load.model.result import Criterion
from harness.nodes.process import Process
from harness.runtime.base import Instance, State

Progress = Callable[[float, Mapping[str, Mapping[str, float]]], None]
Start = Callable[[Process], Instance]
"""Starts a program beside the nodes of the stack: `Stack.add`."""

GRACE = 60.0
"""Seconds that Locust may take to start and stop, in addition to its profile's."""

LAST = 10.0
"""Seconds from SIGTERM, on which Locust saves its data, to SIGKILL."""

_numbers = count(1)

SAID = 1500
"""The number of characters of a log that are shown."""


class Generator:
    """Locust in a separate process.

    Args:
        start: starts it.
        profile: the load to send.
        locustfile: the users.
        folder: the folder for its files.
        environment: variables added to those of the stack.
        processes: the number of processes over which the load is spread.
        guard: returns why the run must stop now; "" to continue.
        progress: called each second with the progress.
        grace: seconds in addition to those of the profile.
    """

    def __init__(
        self, start: Start, profile: Profile, locustfile: Path, folder: Path,
        environment: Mapping[str, str], *, processes: int = 1,
        guard: Callable[[], str] = lambda: "", progress: Progress = lambda _elapsed, _names: None,
        grace: float = GRACE,
    ) -> None:  # fmt: skip
        self._start = start
        self._profile = profile
        self._locustfile = locustfile
        self._results = folder / "results.json"
        self._lines = folder / "progress.json"
        self._environment = environment
        self._processes = processes
        self._guard = guard
        self._progress = progress
        self._grace = grace

    def run(self, collector: Collector) -> str:
        """Run it to its end and add its measurements; return why it was cut short, if it was.

        Raises:
            ConfigError: the users could not be started.
        """
        self._lines.touch()
        locust = self._start(program("load-locust", self._command(), self._environment))
        self._log = locust.log
        try:
            why = self._follow(locust)
        finally:
            locust.stop(LAST)
        if self._results.is_file():
            collector.absorb(_read(self._results))
        elif not why:
            raise ConfigError(
                f"the users of {self._locustfile} could not be run", last=self.last_words()
            )
        return why

    def last_words(self) -> str:
        """The end of its log."""
        return _tail(self._log)

    def _follow(self, locust: Instance) -> str:
        began = time.monotonic()
        with self._lines.open() as lines:
            for _ in ticks(Deadline(self._profile.seconds + self._grace), 0.2):
                for line in _whole_lines(lines):
                    self._progress(time.monotonic() - began, json.loads(line))
                if locust.state is State.EXITED:
                    return ""
                if why := self._guard():
                    return why
        return (
            f"Locust did not end: it was still running {self._grace:g} s after the profile's "
            f"{self._profile.seconds:g} s, and was ended"
        )

    def _command(self) -> list[str]:
        profile, classes = self._profile, [*self._profile.rates]
        users = str(len(classes) * profile.lanes)
        steps = [[step.rate, step.seconds] for step in profile.steps]
        words = [
            "--headless", "--only-summary", "--exit-code-on-error", "0",
            "--progress", str(self._lines),
            "--users", users, "--spawn-rate", users,
            "--run-time", f"{profile.seconds + 10:.0f}s", "--stop-timeout", "5",
            "--rates", json.dumps(dict(profile.rates)), "--steps", json.dumps(steps),
            "--lanes", str(profile.lanes), "--arrivals", profile.arrivals,
            "--seed", str(profile.seed), "--max-in-flight", str(profile.max_in_flight),
            "--results", str(self._results),
        ]  # fmt: skip
        if self._processes > 1:
            words += ["--processes", str(self._processes), *master_words()]
        return [sys.executable, "-m", "locust", "-f", str(self._locustfile), *words, *classes]


def master_words() -> list[str]:
    """Options for the port of Locust's processes: the default is 5557 on every interface."""
    port = str(free_port())
    return ["--master-bind-host", LOOPBACK, "--master-bind-port", port, "--master-port", port]


class References:
    """The same operations without Dapr: `harness.load.generate.references`, alongside the load.

    Args:
        start: starts it.
        brokers: the bootstrap address, with credentials if it requires them.
        profile: its ``raw_kafka`` contains the topic and the rate per second.
        folder: the folder for its files.
    """

    def __init__(self, start: Start, brokers: Brokers, profile: Profile, folder: Path) -> None:
        raw = profile.raw_kafka
        assert raw is not None
        self._file, self._signal = folder / "raw.json", folder / "raw.begin"
        self._begun = False
        os.mkfifo(self._signal)
        words = [raw.topic, f"{raw.rate}", f"{profile.seconds}", *self._files()]
        command = [sys.executable, "-m", "harness.load.generate.references", *words]
        # Not an argument: every account on the machine can see command lines.
        told = {CONNECTION: json.dumps(client_settings(brokers))}
        self._instance = start(program("load-references", command, told))

    def _files(self) -> list[str]:
        return [str(self._file), str(self._signal)]

    def begin(self) -> None:
        """Start measuring, together with the load; only once."""
        self._begun = self._begun or self._say(b"begin\n")

    def finish(self, collector: Collector, patience: float = 30.0) -> Criterion:
        """Wait for its end, add its measurements, and report whether they are complete."""
        self._hang_up()
        ended = poll(lambda: Observation(self._ended()), Deadline(patience), interval=0.1).ok
        code = self._instance.exit_code
        self.close()
        if self._file.is_file():
            collector.absorb(_read(self._file))
        said = _tail(self._instance.log).splitlines()[-1:]
        if not ended:
            said = [f"still running after {patience:g} s, and was ended", *said]
        met = ended and code == 0
        fact = "measured to its end" if met else f"raw Kafka: {', '.join(said) or 'crashed'}"
        return Criterion("references", met, fact)

    def close(self) -> None:
        """Stop it, whatever its progress."""
        self._hang_up()
        self._instance.stop(LAST)

    def _ended(self) -> bool:
        return self._instance.state is State.EXITED

    def _hang_up(self) -> None:
        if not self._begun:
            self._begun = self._say(b"")

    def _say(self, text: bytes) -> bool:
        """Write to the pipe from which it reads; False if it does not read yet, or has crashed."""
        try:
            pipe = os.open(self._signal, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        with contextlib.suppress(BrokenPipeError):
            os.write(pipe, text)
        os.close(pipe)
        return True


def program(name: str, command: list[str], variables: Mapping[str, str]) -> Process:
    """A program of a load run, which finds the modules that this process finds.

    Its name is its own: a stack may have several runs, and keeps the names of what has ended.
    """
    found = {**variables, "PYTHONPATH": os.pathsep.join(sys.path)}
    return Process(f"{name}-{next(_numbers)}", command, env=found, on_host=True, exit_ok=True)


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-SAID:].strip()


def _whole_lines(lines: IO[str]) -> Iterator[str]:
    """The lines that were written since the last call, but for one without its end."""
    while True:
        at = lines.tell()
        line = lines.readline()
        if not line.endswith("\n"):
            lines.seek(at)
            return
        yield line


def _read(file: Path) -> Any:
    """The data in a file of measurements; None, which nothing accepts, if it is damaged."""
    try:
        return json.loads(file.read_text())
    except ValueError:
        return None
