"""The programs of a load run: Locust, and the references alongside; none exceeds its budget."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from harness.deadline import Deadline, ticks
from harness.endpoint import LOOPBACK
from harness.errors import ConfigError
from harness.load.measure.collector import Collector
from harness.load.model.profile import Profile
from harness.load.model.result import Criterion
from harness.ports import free_port
from harness.provision.child import mortal

Progress = Callable[[float, Mapping[str, Mapping[str, float]]], None]

GRACE = 60.0
"""Seconds that Locust may take to start and stop, in addition to its profile's."""

LAST = 10.0
"""Seconds from SIGTERM, on which Locust saves its data, to SIGKILL."""

SAID = 1500
"""The number of characters of a log that are shown."""


class Generator:
    """Locust in a separate process.

    Args:
        profile: the load to send.
        locustfile: the users.
        folder: the folder for its files.
        environment: its variables.
        processes: the number of processes over which the load is spread.
        guard: returns why the run must stop now; "" to continue.
        progress: called each second with the progress.
        grace: seconds in addition to those of the profile.
    """

    def __init__(
        self, profile: Profile, locustfile: Path, folder: Path, environment: Mapping[str, str], *,
        processes: int = 1, guard: Callable[[], str] = lambda: "",
        progress: Progress = lambda _elapsed, _names: None, grace: float = GRACE,
    ) -> None:  # fmt: skip
        self._profile = profile
        self._locustfile = locustfile
        self._results = folder / "results.json"
        self._log = folder / "locust.log"
        self._environment = {**environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        self._processes = processes
        self._guard = guard
        self._progress = progress
        self._grace = grace

    def run(self, collector: Collector) -> str:
        """Run it to its end and add its measurements; return why it was cut short, if it was.

        Raises:
            ConfigError: the users could not be started.
        """
        with self._log.open("w") as log:
            locust = subprocess.Popen(
                mortal(self._command()), stdout=subprocess.PIPE, stderr=log, text=True,
                env=self._environment,
            )  # fmt: skip
        try:
            why = self._follow(locust)
        finally:
            end(locust)
        if self._results.is_file():
            collector.absorb(_read(self._results))
        elif not why:
            raise ConfigError(
                f"the users of {self._locustfile} could not be run", last=self.last_words()
            )
        return why

    def last_words(self) -> str:
        """The end of its log."""
        return self._log.read_text()[-SAID:].strip()

    def _follow(self, locust: subprocess.Popen[str]) -> str:
        assert locust.stdout is not None
        # A daemon thread closes it: another holder of the pipe must not block this process.
        threading.Thread(target=self._read, args=[locust.stdout], daemon=True).start()
        for _ in ticks(Deadline(self._profile.seconds + self._grace), 0.2):
            if locust.poll() is not None:
                return ""
            if why := self._guard():
                return why
        return (
            f"Locust did not end: it was still running {self._grace:g} s after the profile's "
            f"{self._profile.seconds:g} s, and was ended"
        )

    def _read(self, lines: IO[str]) -> None:
        began = time.monotonic()
        with lines:
            for line in lines:
                with contextlib.suppress(json.JSONDecodeError):
                    self._progress(time.monotonic() - began, json.loads(line))

    def _command(self) -> list[str]:
        profile, classes = self._profile, [*self._profile.rates]
        count = len(classes) * profile.lanes
        steps = [[step.rate, step.seconds] for step in profile.steps]
        words = [
            "--headless", "--only-summary", "--progress", "--exit-code-on-error", "0",
            "--users", str(count), "--spawn-rate", str(count),
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
        brokers: the bootstrap address.
        profile: its ``raw_kafka`` contains the topic and the rate per second.
        folder: the folder for its files.
    """

    def __init__(self, brokers: str, profile: Profile, folder: Path) -> None:
        self._file, self._log = folder / "raw.json", folder / "raw.log"
        assert profile.raw_kafka is not None
        words = [brokers, profile.raw_kafka.topic, f"{profile.raw_kafka.rate}"]
        program = [sys.executable, "-m", "harness.load.generate.references", *words]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                mortal([*program, f"{profile.seconds}", str(self._file)]),
                stdin=subprocess.PIPE,
                stderr=log,
            )

    def begin(self) -> None:
        """Start measuring, together with the load; only once."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # it has crashed, which `finish` reports
                self._process.stdin.write(b"begin\n")
                self._process.stdin.close()

    def finish(self, collector: Collector, patience: float = 30.0) -> Criterion:
        """Wait for its end, add its measurements, and report whether they are complete."""
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        running = self._process.poll() is None
        end(self._process)
        if self._file.is_file():
            collector.absorb(_read(self._file))
        said = self._log.read_text()[-SAID:].strip().splitlines()[-1:]
        if running:
            said = [f"still running after {patience:g} s, and was ended", *said]
        met = not running and self._process.returncode == 0
        fact = "measured to its end" if met else f"raw Kafka: {': '.join(said) or 'crashed'}"
        return Criterion("references", met, fact)

    def close(self) -> None:
        """Stop it, whatever its progress."""
        self._hang_up()
        end(self._process)

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def _read(file: Path) -> Any:
    """The data in a file of measurements; None, which nothing accepts, if it is damaged."""
    try:
        return json.loads(file.read_text())
    except ValueError:
        return None


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = LAST) -> None:
    """Stop a process, and first give it the chance to save its data."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.poll() is None:
        process.kill()
        process.wait()
