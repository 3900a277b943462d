"""The programs of a load run: Locust, and the references beside it; none outlives its budget."""

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
from typing import IO

from harness.deadline import Deadline, ticks
from harness.errors import ConfigError
from harness.load.collector import Collector
from harness.load.judgement import Mark
from harness.load.profile import Profile
from harness.provision.child import mortal

Progress = Callable[[float, Mapping[str, Mapping[str, float]]], None]

GRACE = 60.0
"""Seconds that Locust may take to start and to end, besides its profile's."""

LAST = 10.0
"""Seconds from SIGTERM, upon which Locust writes down what it has, to SIGKILL."""

SAID = 1500
"""Characters of a log that are told."""


class Generator:
    """Locust in a process of its own.

    Args:
        profile: what is sent.
        locustfile: the users.
        folder: for its files.
        environment: its variables.
        processes: over how many the load is spread.
        guard: says why the run must end now, "" while it need not.
        progress: told each second how far it is.
        grace: seconds besides those of the profile.
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
        """Run it to its end, and add what it has measured; returns why it was cut short, if it was.

        Raises:
            ConfigError: the users could not be run.
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
            collector.absorb(json.loads(self._results.read_text()))
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
        # A daemon, which closes it: whoever else holds the pipe open must not hold this process.
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
            words += ["--processes", str(self._processes)]
        return [sys.executable, "-m", "locust", "-f", str(self._locustfile), *words, *classes]


class References:
    """What the same things cost without Dapr: `harness.load.references`, beside the load.

    Args:
        brokers: where.
        profile: its ``raw_kafka`` says on which topic, and how many a second.
        folder: for its files.
    """

    def __init__(self, brokers: str, profile: Profile, folder: Path) -> None:
        self._file, self._log = folder / "raw.json", folder / "raw.log"
        words = [brokers, profile.raw_kafka["topic"], f"{profile.raw_kafka['rate']}"]
        program = [sys.executable, "-m", "harness.load.references", *words]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                mortal([*program, f"{profile.seconds}", str(self._file)]),
                stdin=subprocess.PIPE,
                stderr=log,
            )

    def begin(self) -> None:
        """Now that the load does; once."""
        assert self._process.stdin is not None
        if not self._process.stdin.closed:
            with contextlib.suppress(BrokenPipeError):  # it has crashed, which `finish` tells
                self._process.stdin.write(b"begin\n")
                self._process.stdin.close()

    def finish(self, collector: Collector, patience: float = 30.0) -> Mark:
        """Wait for its end, add what it has measured, and say whether it is all of it."""
        self._hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(patience)
        running = self._process.poll() is None
        end(self._process)
        if self._file.is_file():
            collector.absorb(json.loads(self._file.read_text()))
        said = self._log.read_text()[-SAID:].strip().splitlines()[-1:]
        if running:
            said = [f"still running after {patience:g} s, and was ended", *said]
        met = not running and self._process.returncode == 0
        fact = "measured to its end" if met else f"raw Kafka: {': '.join(said) or 'crashed'}"
        return Mark("references", met, fact)

    def close(self) -> None:
        """End it, however far it is."""
        self._hang_up()
        end(self._process)

    def _hang_up(self) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], patience: float = LAST) -> None:
    """End a process: first so that it can write down what it has."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.poll() is None:
        process.kill()
        process.wait()
