"""A whole load run: generator, references and sampling side by side, then the figures."""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from harness.deadline import Deadline, ticks
from harness.endpoint import LOOPBACK, Endpoint
from harness.errors import ConfigError, InstanceDied
from harness.load import references
from harness.load.budgets import Budgets
from harness.load.collector import Collector
from harness.load.judgement import Mark, knee, thresholds, validity
from harness.load.noise import loopback_echo
from harness.load.overheads import Overhead, overhead
from harness.load.profile import Profile
from harness.load.result import (
    DELIVERED,
    LANES,
    NOTIFIED,
    figures,
    generator_cpu,
    growth,
    lag_p99,
    rounds_of,
    take_received,
    take_rows,
)
from harness.load.sampling import ConsumerLag, Sampler
from harness.load.surroundings import environment, null_server, rows_made, rows_of_sink
from harness.load.targets import VARIABLE, Targets, targets_of
from harness.ports import free_port
from harness.runtime.base import State
from harness.stack import Stack

Progress = Callable[[float, Mapping[str, Mapping[str, float]]], None]
PAIRS = (
    ("invoke by two sidecars", "invoke directly"),
    ("publish", references.ACKNOWLEDGED),
    ("publish by gRPC", references.ACKNOWLEDGED),
    (DELIVERED, references.DELIVERED),
    ("job due-time error", references.TIMER),
    *((name, "floor") for name in ("publish", "state get", "page creates a task")),
)
"""What is shown beside what: each pair was measured in the same seconds."""

PAIR_NAMES = tuple(f"{name} / {beside}" for name, beside in PAIRS)
"""As budgets name them."""


def master_words() -> list[str]:
    """Where Locust's processes meet: by default port 5557 of every interface, for every run."""
    port = str(free_port())
    return ["--master-bind-host", LOOPBACK, "--master-bind-port", port, "--master-port", port]


class LoadRun:
    """One run of a profile on a stack that is up.

    Args:
        stack: the stack; its sink is ``load-sink`` if it has one.
        profile: what is sent.
        locustfile: the users.
        budgets: ratios that must be kept, by ``name / beside``.
        processes: over how many Locust processes the load is spread.
        progress: told each second how far it is.
    """

    def __init__(
        self,
        stack: Stack,
        profile: Profile,
        locustfile: Path,
        *,
        budgets: Budgets | None = None,
        processes: int = 1,
        progress: Progress = lambda _elapsed, _names: None,
    ) -> None:
        self._stack = stack
        self._profile = profile
        self._locustfile = locustfile
        self._budgets = budgets or {}
        self._count = processes
        self._progress = progress
        self._died: InstanceDied | None = None

    def run(self) -> dict[str, Any]:
        """The result, whole or, when the stack died on the way, as far as it came.

        Raises:
            ConfigError: the users could not be started.
        """
        began, noise = datetime.now(UTC), [loopback_echo()]
        with ExitStack() as opened:
            folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="dapr-load-")))
            targets = self._targets(opened.enter_context(null_server()))
            # Wall clock minus monotonic: rows of a database have the one, requests the other.
            offset = time.time() - time.monotonic()
            pids = {name: each.pid for name, each in self._stack.instances.items()}
            sampler, lag = Sampler(pids), ConsumerLag(self._brokers())
            opened.enter_context(sampler)
            opened.enter_context(lag)
            raw = self._references(folder)
            collector = self._generate(folder, targets, raw)
            ledgers = self._received(collector, targets, offset)
        noise.append(loopback_echo())
        samples = {
            "processes": {
                name: {"samples": rows, "growth": growth(rows)}
                for name, rows in sampler.samples.items()
            },
            "consumer_lag": {
                group: rows
                for group, rows in lag.samples.items()
                if not group.startswith(references.GROUP)
            },
        }
        return self._result(collector, ledgers, samples, noise, began)

    def _targets(self, null: Endpoint) -> Targets:
        token = self._stack.book.token("dapr-api")
        return targets_of(self._stack.addresses(), token, null.http)

    def _brokers(self) -> str:
        nodes = self._stack.topology.nodes
        exports = [each.exports(self._stack.book) for each in nodes if hasattr(each, "topics")]
        return exports[0]["brokers"] if exports else ""

    def _references(self, folder: Path) -> subprocess.Popen[bytes] | None:
        """Raw Kafka and timers beside the load, where the stack has a broker."""
        rate = self._profile.rates.get("Publish")
        brokers = self._brokers()
        if rate is None or not brokers or len(self._profile.steps) > 1:
            return None
        words = [brokers, "load-raw", f"{rate}", f"{self._profile.seconds}"]
        command = [sys.executable, "-m", references.__name__, *words, str(folder / "raw.json")]
        return subprocess.Popen(command)

    def _generate(
        self, folder: Path, targets: Targets, raw: subprocess.Popen[bytes] | None
    ) -> Collector:
        """Run Locust to its end, and put together what its processes have measured."""
        results = folder / "results.json"
        log = (folder / "locust.log").open("w+")
        with log, subprocess.Popen(
            self._command(results), stdout=subprocess.PIPE, stderr=log, text=True,
            env={**self._stack.settings.environment, VARIABLE: targets.text(),
                 "PYTHONPATH": os.pathsep.join(sys.path)},
        ) as locust:  # fmt: skip
            try:
                self._follow(locust)
                locust.wait(30)
            finally:
                for process in (locust, raw):
                    if process is not None and process.poll() is None and self._died:
                        process.terminate()
            if raw is not None:
                raw.wait(30)
            if not results.is_file():
                log.seek(0)
                raise ConfigError(
                    f"the users of {self._locustfile} could not be run",
                    last=log.read()[-1500:],
                )
        collector = Collector()
        for file in (results, folder / "raw.json"):
            if file.is_file():
                collector.absorb(json.loads(file.read_text()))
        return collector

    def _command(self, results: Path) -> list[str]:
        profile, users = self._profile, [*self._profile.rates]
        count = len(users) * profile.lanes
        steps = [[step.rate, step.seconds] for step in profile.steps]
        words = [
            "--headless", "--only-summary", "--progress", "--exit-code-on-error", "0",
            "--users", str(count), "--spawn-rate", str(count),
            "--run-time", f"{profile.seconds + 10:.0f}s", "--stop-timeout", "5",
            "--rates", json.dumps(dict(profile.rates)), "--steps", json.dumps(steps),
            "--lanes", str(profile.lanes), "--arrivals", profile.arrivals,
            "--seed", str(profile.seed), "--max-in-flight", str(profile.max_in_flight),
            "--results", str(results),
        ]  # fmt: skip
        if self._count > 1:
            words += ["--processes", str(self._count), *master_words()]
        return [sys.executable, "-m", "locust", "-f", str(self._locustfile), *words, *users]

    def _follow(self, locust: subprocess.Popen[str]) -> None:
        """Pass on what it says each second; end it when the stack has died."""
        assert locust.stdout is not None
        reading = threading.Thread(target=self._read, args=[locust.stdout])
        reading.start()
        for _ in ticks(Deadline(self._profile.seconds + 60), 0.2):
            if locust.poll() is not None:
                break
            self._died = self._died or self._death()
            if self._died is not None:
                # SIGTERM: it writes down what it has.
                locust.terminate()
                break
        reading.join()

    def _read(self, lines: IO[str]) -> None:
        began = time.monotonic()
        for line in lines:
            with contextlib.suppress(ValueError):
                self._progress(time.monotonic() - began, json.loads(line))

    def _death(self) -> InstanceDied | None:
        for name, instance in self._stack.instances.items():
            if instance.state is State.EXITED:
                return InstanceDied(
                    f"{name} exited with code {instance.exit_code} under load",
                    hint="the report tells what was measured until then",
                )
        return None

    def _received(
        self, collector: Collector, targets: Targets, offset: float
    ) -> dict[str, dict[str, int]]:
        """What has come out at the other end."""
        if self._died or "load-sink" not in targets.apps:
            return {}
        prefixes = tuple(each for beginnings in LANES.values() for each in beginnings)
        expected = sum(
            len(rows) for lane, rows in collector.acknowledged.items() if lane.startswith(prefixes)
        )
        rows = rows_of_sink(targets.app("load-sink"), expected)
        ledgers = take_received(collector, rows)
        made = rows_made(self._stack)
        if made is not None:
            ledgers[NOTIFIED] = take_rows(collector, made, offset)
        return ledgers

    def _result(
        self,
        collector: Collector,
        ledgers: Mapping[str, Mapping[str, int]],
        samples: Mapping[str, Any],
        noise: Sequence[float],
        began: datetime,
    ) -> dict[str, Any]:
        names = figures(collector, self._profile.warmup)
        rounds = rounds_of(collector, self._profile.warmup)
        found = [overhead(one, beside, rounds) for one, beside in PAIRS]
        overheads: list[Overhead] = [each for each in found if each is not None]
        sent = {name: each for name, each in names.items() if each["offered"]}
        offered = sum(each["offered"] for each in sent.values())
        done = sum(each["ok"] + each["failed"] for each in sent.values())
        refused = sum(c for (_, e), c in collector.errors.items() if e.startswith("refused"))
        generator = generator_cpu(collector)
        late = lag_p99(collector, self._profile.warmup)
        marks = validity(
            generator,
            late,
            offered,
            done - refused,
            (noise[0], noise[1]),
        )
        kept = [*thresholds(self._budgets, overheads), *self._errors(names, ledgers)]
        return {
            "schema": 1,
            "profile": asdict(self._profile),
            "began": began.isoformat(timespec="seconds"),
            "environment": environment(self._stack),
            "died": str(self._died) if self._died else "",
            "names": names,
            "ledgers": ledgers,
            "overheads": [asdict(each) for each in overheads],
            "validity": [asdict(each) for each in marks],
            "valid": all(each.met for each in marks) and not self._died,
            "thresholds": [asdict(each) for each in kept],
            "knee": self._knee(names),
            "noise": list(noise),
            "late": late,
            "generator": generator,
            **samples,
        }

    def _errors(
        self, names: Mapping[str, Any], ledgers: Mapping[str, Mapping[str, int]]
    ) -> list[Mark]:
        """Every request that was no success counts, and every event that was lost."""
        offered = sum(each["offered"] for each in names.values())
        failed = sum(each["failed"] for each in names.values())
        share = failed / offered if offered else 1.0
        marks = [
            Mark("errors", share <= self._profile.errors, f"{failed} of {offered}, {share:.2%}")
        ]
        for name, each in ledgers.items():
            if each["acknowledged"]:
                fact = f"{each['lost']} of {each['acknowledged']}, {each['twice']} came twice"
                marks.append(Mark(f"lost: {name}", not each["lost"], fact))
        return marks

    def _knee(self, names: Mapping[str, Any]) -> dict[str, Any] | None:
        """Of a ramp: where the p99 of publishing has doubled, by the median second of a step."""
        steps, rate = self._profile.steps, self._profile.rates.get("Publish")
        if len(steps) < 4 or rate is None or "publish" not in names:
            return None
        rows, begun = [], -self._profile.warmup
        for step in steps:
            end = begun + step.seconds
            inside = [row for row in names["publish"]["seconds"] if begun <= row[0] < end]
            if inside:
                rows.append((rate * step.rate, statistics.median(each[4] for each in inside)))
            begun = end
        return {"steps": rows, "rate": knee(rows)}
