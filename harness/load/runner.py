"""A whole load run: generator, references and sampling in parallel, then the figures."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import ConfigError
from harness.load import judgement, references
from harness.load.budgets import Budgets
from harness.load.collector import UNFINISHED, Collector
from harness.load.compare import SCHEMA
from harness.load.generator import GRACE, Generator, Progress, References
from harness.load.judgement import Mark
from harness.load.noise import loopback_echo
from harness.load.outcomes import Ledger
from harness.load.overheads import overhead
from harness.load.pairs import REFERENCES, pairs_of, title
from harness.load.profile import Profile
from harness.load.receivers import DEAD, DRAIN, Receivers
from harness.load.result import (
    began,
    figures,
    generator_cpu,
    growth,
    lag_p99,
    rounds_of,
    since,
)
from harness.load.sampling import ConsumerLag, Sampler
from harness.load.surroundings import environment, null_server
from harness.load.targets import VARIABLE, targets_of
from harness.roles import HasTopics
from harness.runtime.base import State
from harness.stack import Stack
from harness.topology import Topology


class LoadRun:
    """One run of a profile on a running stack.

    Args:
        stack: the stack.
        profile: the load to send.
        locustfile: the users; they declare where their requests arrive.
        budgets: the maximum ratios, by ``name / beside``.
        processes: the number of Locust processes over which the load is spread.
        progress: called each second with the progress.
        grace: seconds that Locust may take in addition to the profile's.
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
        grace: float = GRACE,
    ) -> None:
        require_raw_topic(stack.topology, profile)
        self._stack = stack
        self._profile = profile
        self._locustfile = locustfile
        self._budgets = budgets or {}
        self._progress = progress
        self._options: dict[str, Any] = {"processes": processes, "grace": grace}
        self._marks: list[Mark] = []

    def run(self) -> dict[str, Any]:
        """The result: complete, or up to the point where the stack died.

        Raises:
            ConfigError: the users could not be started.
        """
        start, noise = datetime.now(UTC), [loopback_echo()]
        collector = Collector()
        with ExitStack() as opened:
            # In the run's folder, which the supervisor removes even after kill -9.
            folder = Path(opened.enter_context(
                tempfile.TemporaryDirectory(prefix="load-", dir=self._stack.folder)
            ))  # fmt: skip
            null = opened.enter_context(null_server())
            targets = targets_of(
                self._stack.addresses(), self._stack.book.token("dapr-api"), null.http
            )
            # Wall clock minus monotonic: jobs and rows use the former, requests the latter.
            offset = time.time() - time.monotonic()
            pids = {name: each.pid for name, each in self._stack.instances.items()}
            sampler, lag = Sampler(pids), ConsumerLag(self._brokers())
            opened.enter_context(sampler)
            opened.enter_context(lag)
            variables = {**self._stack.settings.environment, VARIABLE: targets.text()}
            died = self._generate(collector, folder, variables)
            patience = DEAD if died else DRAIN
            receivers = Receivers(self._stack, targets, offset, patience)
            ledgers = receivers.ledgers(collector)
        noise.append(loopback_echo())
        return {
            "schema": SCHEMA,
            "profile": asdict(self._profile),
            "began": start.isoformat(timespec="seconds"),
            "environment": environment(self._stack),
            "died": died,
            "noise": noise,
            **self._samples(collector, sampler, lag),
            **self._judged(collector, ledgers, (noise[0], noise[1]), died),
        }

    def _brokers(self) -> str:
        nodes = self._stack.topology.nodes
        book = self._stack.book
        exports = [book.exports(each.name) for each in nodes if isinstance(each, HasTopics)]
        return exports[0]["brokers"] if exports else ""

    def _generate(self, collector: Collector, folder: Path, variables: Mapping[str, str]) -> str:
        """Run Locust, with raw Kafka alongside; return why the run was cut short, if it was."""
        raw = (
            References(self._brokers(), self._profile, folder) if self._profile.raw_kafka else None
        )
        told = self._progress

        def progress(elapsed: float, names: Mapping[str, Mapping[str, float]]) -> None:
            if raw is not None:
                raw.begin()
            told(elapsed, names)

        generator = Generator(
            self._profile, self._locustfile, folder, variables,
            guard=self._death, progress=progress, **self._options,
        )  # fmt: skip
        try:
            died = generator.run(collector)
            collector.close()
            missed = judgement.users(self._profile.rates, collector.lanes)
            if not missed.met:
                missed = judgement.users(
                    self._profile.rates, collector.lanes, generator.last_words()
                )
            self._marks = [missed]
            if raw is not None:
                self._marks.append(raw.finish(collector, 0.0 if died else 30.0))
        finally:
            if raw is not None:
                raw.close()
        return died

    def _death(self) -> str:
        for name, instance in self._stack.instances.items():
            if instance.state is State.EXITED:
                return f"{name} exited with code {instance.exit_code} under load"
        return ""

    def _samples(self, collector: Collector, sampler: Sampler, lag: ConsumerLag) -> dict[str, Any]:
        """What the stack and the generator used, in seconds from the first request."""
        zero = began(collector)
        processes = {name: since(zero, rows) for name, rows in sampler.samples.items()}
        return {
            "generator": generator_cpu(collector),
            "processes": {
                name: {"samples": rows, "growth": growth(rows, self._profile.warmup)}
                for name, rows in processes.items()
            },
            "consumer_lag": {
                group: since(zero, rows)
                for group, rows in lag.samples.items()
                if not group.startswith(references.GROUP)
            },
        }

    def _judged(
        self,
        collector: Collector,
        ledgers: Mapping[str, Ledger],
        noise: tuple[float, float],
        died: str,
    ) -> dict[str, Any]:
        profile = self._profile
        names = figures(collector, profile.warmup)
        rounds = rounds_of(collector, profile.warmup)
        pairs = pairs_of(collector.lanes, bool(profile.raw_kafka))
        found = [each for pair in pairs if (each := overhead(*pair, rounds)) is not None]
        late = lag_p99(collector, profile.warmup)
        marks = [
            *judgement.validity(self._cpu(collector), late, *sent(names), noise),
            *self._marks,
            *judgement.arrivals_seen(ledgers),
        ]
        own = {name: row for name, row in names.items() if name not in REFERENCES}
        kept = [
            judgement.errors(own, profile.errors),
            *judgement.losses(ledgers, profile.twice),
            *judgement.lateness(own, profile.late),
            *judgement.thresholds(self._budgets, found, [*map(title, pairs)]),
        ]
        return {
            "names": names,
            "ledgers": {name: each.plain() for name, each in ledgers.items()},
            "overheads": [asdict(each) for each in found],
            "validity": [asdict(each) for each in marks],
            "valid": all(each.met for each in marks) and not died,
            "thresholds": [asdict(each) for each in kept],
            "knee": knee_of(names, profile),
            "late": late,
        }

    def _cpu(self, collector: Collector) -> dict[str, list[float]]:
        """The generator's CPU, second by second after the warm-up."""
        return {
            name: [percent for at, percent in rows if at >= self._profile.warmup]
            for name, rows in generator_cpu(collector).items()
        }


def sent(names: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """The number of the profile's requests that were due after the warm-up, and of those sent.

    Requests that were refused because too many were in flight, or whose fate is unknown, were not
    sent.
    """
    rows = [each for each in names.values() if each["kind"] == "request"]
    offered = sum(each["offered"] for each in rows)
    unsent = sum(
        count
        for each in rows
        for error, count in each["errors"].items()
        if error.startswith("refused") or error == UNFINISHED
    )
    return offered, offered - unsent


def knee_of(names: Mapping[str, Any], profile: Profile) -> dict[str, Any] | None:
    """The rate of a ramp at which the p99 has doubled, by the median second of each step."""
    if profile.knee not in names:
        return None
    seconds, traffic = names[profile.knee]["seconds"], names[profile.knee]["traffic"]
    rows, begun = [], 0.0
    for step in profile.steps:
        end = begun + step.seconds
        # The part of the first step that belongs to the warm-up does not count.
        low = max(begun, profile.warmup)
        inside = [row[-1] for row in seconds if low <= row[0] < end]
        due = [row[1] for row in traffic if low <= row[0] < end]
        if inside and due:
            rows.append((statistics.fmean(due), statistics.median(inside)))
        begun = end
    return {"steps": rows, "rate": judgement.knee(rows)}


def require_raw_topic(topology: Topology, profile: Profile) -> None:
    """Check that raw Kafka can be measured alongside the load, if the profile requires it.

    Raises:
        ConfigError: the topology has no broker with that topic.
    """
    if not profile.raw_kafka:
        return
    wanted = profile.raw_kafka["topic"]
    topics: Sequence[str] = [
        topic for node in topology.nodes if isinstance(node, HasTopics) for topic, _ in node.topics
    ]
    if wanted not in topics:
        raise ConfigError(
            f"the profile {profile.name} measures raw Kafka on the topic {wanted!r}",
            expected=f"a broker with this topic: Broker(topics=[{wanted!r}, ...])",
            last=f"topics {', '.join(topics) or 'none'}",
            hint="or leave raw_kafka out of the profile",
        )
