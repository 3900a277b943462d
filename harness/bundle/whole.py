"""The bundle of a stack without a test: what is still known since it was started. It blocks."""

from __future__ import annotations

import json
import time
from dataclasses import replace

from harness.bundle.causes import causes_of
from harness.bundle.collect import Collector
from harness.bundle.model import Bundle, Failure
from harness.core.errors import ProbeError
from harness.core.observation import epoch_ns
from harness.probe.records import recent_start
from harness.probe.waiting import unguarded
from harness.ready.kafka import admin_of, recent_starts
from harness.stack.account import Account
from harness.stack.beginning import Beginning, own_brokers
from harness.stack.noted import Noted
from harness.stack.sharing import own_topics
from harness.stack.stack import Stack
from harness.stack.timeline import JOURNAL, Observed

STACK = "stack"
"""The phase of a bundle that is not about a failed test."""

LOG = 2 * 1024 * 1024
"""Bytes of each node's log that are read: the last ones."""

NO_JOURNAL = "when nodes were started, stopped and killed: a compose project keeps no journal"
"""What is missing in the bundle of a compose project."""

RECORDS = 5000
"""The number of records of a broker that are read, in all partitions: the last ones of each."""


class Recent(Beginning):
    """The start of a stack; of its logs, records and events only the last ones are read.

    Args:
        stack: a running stack, or one whose nodes have exited.
        began: when it was started, in seconds since the epoch; None if its journal says so.
    """

    def __init__(self, stack: Stack, began: float | None = None) -> None:
        self._stack = stack
        self.at = _started(stack) if began is None else time.monotonic() - (time.time() - began)
        self.cpu = {}
        sizes = {path: path.stat().st_size for path in self._log_files()}
        self._logs = {path: max(0, size - LOG) for path, size in sizes.items()}
        self.brokers = own_brokers(stack)
        self.offsets = self._recent_offsets()
        self._worlds = []
        self._records = {name: self._recent_record(name) for name in self._ports()}

    def _recent_offsets(self) -> dict[str, dict[int, int]]:
        if not self.brokers:
            return {}
        from confluent_kafka import KafkaException

        try:
            found = recent_starts(admin_of(self.brokers), RECORDS)
        except (KafkaException, TimeoutError):
            return {}  # the bundle says that the broker does not respond
        return own_topics(found, self._stack.book.namespace)

    def _recent_record(self, recorder: str) -> int:
        try:
            return recent_start(self._record_of(recorder))
        except ProbeError:
            return 0  # the bundle says that it does not respond


def bundle_of(stack: Stack, name: str, *, error: str = "", began: float | None = None) -> Bundle:
    """What is known of a stack since it was started, with its probable causes.

    Args:
        stack: a running stack, or one whose nodes have exited.
        name: what the bundle is named after.
        error: what went wrong, if anything did.
        began: when it was started, in seconds since the epoch, if it has no journal that says so.
    """
    beginning = Recent(stack, began)
    observed = Observed(stack, beginning, "", {})
    accounts: list[Account] = []

    def account(*, broker: bool) -> Account:
        accounts.append(Account(observed, Noted(), unguarded, broker=broker))
        return accounts[-1]

    failure = Failure(name, STACK, error, epoch_ns(beginning.at), time.time_ns())
    try:
        found = Collector(observed, account).collect(failure)
    finally:
        for each in accounts:
            each.close()
    # Whoever attaches to a stack, whatever state its nodes are in, has not seen them become ready.
    nodes = [
        replace(each, state="running") if each.state == "starting" else each for each in found.nodes
    ]
    missing = found.missing if began is None else [*found.missing, NO_JOURNAL]
    found = replace(found, nodes=nodes, missing=missing)
    return replace(found, causes=causes_of(found))


def _started(stack: Stack) -> float:
    """When the stack was started, on ``time.monotonic``."""
    file = stack.folder / JOURNAL
    if file.exists():
        with file.open() as lines:
            first = lines.readline()
        if first.endswith("\n"):
            return float(json.loads(first)["at"])
    return min((each.at for each in stack.journal), default=0.0)
