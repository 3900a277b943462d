"""A whole load run: generator, references and sampling in parallel, then the figures."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.core.errors import ConfigError
from harness.core.kafka_access import Brokers, access_of
from harness.core.roles import HasTopics
from harness.core.topology import Topology
from harness.load.generate import references
from harness.load.generate.floor import null_server
from harness.load.generate.generator import GRACE, Generator, Progress, References
from harness.load.judge import criteria
from harness.load.judge.evaluation import Facts, evaluate
from harness.load.measure.collector import Collector
from harness.load.measure.environment import environment
from harness.load.measure.figures import began, generator_cpu, growth, since
from harness.load.measure.noise import loopback_echo
from harness.load.measure.receivers import DEAD, DRAIN, Receivers
from harness.load.measure.sampling import ConsumerLag, Sampler
from harness.load.model.budgets import Budgets
from harness.load.model.pairs import REFERENCES
from harness.load.model.profile import Profile
from harness.load.model.result import Criterion, LagSample, ProcessUse, Result
from harness.load.model.targets import VARIABLE, targets_of
from harness.runtime.base import State
from harness.stack.stack import Stack


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
        self._marks: list[Criterion] = []
        self._unmeasured: dict[str, str] = {}

    def run(self) -> Result:
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
            addresses = self._stack.addresses()
            null = opened.enter_context(null_server(self._stack))
            targets = targets_of(addresses, self._stack.book.token("dapr-api"), null)
            # Wall clock minus monotonic: jobs and rows use the former, requests the latter.
            offset = time.time() - time.monotonic()
            pids = {name: each.pid for name, each in self._stack.instances.items()}
            sampler, lag = Sampler(pids), ConsumerLag(self._brokers())
            opened.enter_context(sampler)
            opened.enter_context(lag)
            died = self._generate(collector, folder, {VARIABLE: targets.text()})
            patience = DEAD if died else DRAIN
            receivers = Receivers(self._stack, targets, offset, patience)
            ledgers = receivers.ledgers(collector)
        noise.append(loopback_echo())
        facts = Facts(ledgers, (noise[0], noise[1]), self._budgets, self._marks, self._unmeasured)
        found = evaluate(self._profile, collector, facts)
        return Result(
            profile=self._profile,
            began=start.isoformat(timespec="seconds"),
            environment=environment(self._stack),
            died=died,
            noise=facts.noise,
            generator=generator_cpu(collector),
            processes=processes_of(collector, sampler, self._profile.warmup),
            consumer_lag=consumer_lag_of(collector, lag),
            names=found.names,
            ledgers=ledgers,
            overheads=found.overheads,
            validity=found.validity,
            valid=all(each.met for each in found.validity) and not died,
            thresholds=found.thresholds,
            knee=found.knee,
            late=found.late,
        )

    def _brokers(self) -> Brokers:
        nodes = self._stack.topology.nodes
        book = self._stack.book
        exports = [book.exports(each.name) for each in nodes if isinstance(each, HasTopics)]
        return access_of(exports[0]) if exports else ""

    def _generate(self, collector: Collector, folder: Path, variables: Mapping[str, str]) -> str:
        """Run Locust, with raw Kafka alongside; return why the run was cut short, if it was."""
        add, raw = self._stack.add, None
        if self._profile.raw_kafka:
            raw = References(add, self._brokers(), self._profile, folder)
        told = self._progress

        def progress(elapsed: float, names: Mapping[str, Mapping[str, float]]) -> None:
            if raw is not None:
                raw.begin()
            told(elapsed, names)

        generator = Generator(
            add, self._profile, self._locustfile, folder, variables,
            guard=self._death, progress=progress, **self._options,
        )  # fmt: skip
        try:
            died = generator.run(collector)
            collector.close()
            missed = criteria.users(self._profile.rates, collector.lanes)
            if not missed.met:
                missed = criteria.users(
                    self._profile.rates, collector.lanes, generator.last_words()
                )
            self._marks = [missed]
            if raw is not None:
                complete = raw.finish(collector, 0.0 if died else 30.0)
                self._marks.append(complete)
                if not complete.met:
                    self._unmeasured = dict.fromkeys(REFERENCES, complete.fact)
        finally:
            if raw is not None:
                raw.close()
        return died

    def _death(self) -> str:
        for name, instance in self._stack.instances.items():
            if instance.state is State.EXITED:
                return f"{name} exited with code {instance.exit_code} under load"
        return ""


def processes_of(collector: Collector, sampler: Sampler, warmup: float) -> dict[str, ProcessUse]:
    """What each process of the stack used, in seconds from the first request."""
    zero = began(collector)
    samples = {name: since(zero, rows) for name, rows in sampler.samples.items()}
    return {name: ProcessUse(rows, growth(rows, warmup)) for name, rows in samples.items()}


def consumer_lag_of(collector: Collector, lag: ConsumerLag) -> dict[str, list[LagSample]]:
    """The lag of each consumer group but those of references, from the first request."""
    zero = began(collector)
    return {
        group: since(zero, rows)
        for group, rows in lag.samples.items()
        if not group.startswith(references.GROUP)
    }


def require_raw_topic(topology: Topology, profile: Profile) -> None:
    """Check that raw Kafka can be measured alongside the load, if the profile requires it.

    Raises:
        ConfigError: the topology has no broker with that topic.
    """
    if not profile.raw_kafka:
        return
    wanted = profile.raw_kafka.topic
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
