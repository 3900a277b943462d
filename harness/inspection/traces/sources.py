"""Where the spans of a stack come from, and why there may be none. Everything here blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from harness.core.errors import HarnessError, ProbeError
from harness.core.names import EXPORTER
from harness.dapr.resources import DaprResource, mapping
from harness.nodes.receiver import Receiver
from harness.probe.deliveries import DeliveryRecord
from harness.probe.spans import PATH, Span, read_spans, rows_of
from harness.stack.stack import Stack

HOW = (
    'let its Configuration have spec.tracing with samplingRate: "1" and '
    'zipkin.endpointAddress: "${%s.url}/api/v2/spans"; see docs/inspect.md'
)
"""What to do, with the name of a receiver."""

EVERY = 5
"""Seconds after which a sidecar sends its spans."""


class SpanSources:
    """The receivers of a stack, read from their beginning on.

    Args:
        stack: a running stack.

    Attributes:
        unreadable: the number of entries of batches that were no spans.
    """

    def __init__(self, stack: Stack) -> None:
        self.unreadable = 0
        self._stack = stack
        self._records: dict[str, DeliveryRecord] = {}

    def read(self) -> tuple[list[Span], list[ProbeError]]:
        """The spans that are new, and an error for each receiver that does not respond."""
        found: list[Span] = []
        missing: list[ProbeError] = []
        for name in self.receivers():
            try:
                found += self._new(name)
            except ProbeError as error:
                missing.append(error)
        return found, missing

    def receivers(self) -> list[str]:
        """The names of the receivers."""
        return [each.name for each in self._stack.topology.nodes if isinstance(each, Receiver)]

    def untold(self) -> list[str]:
        """What is not recorded, why, and what to do."""
        receivers = self.receivers()
        if not receivers:
            return [self._without_receiver()]
        apps = [each.app for each in self._stack.topology.sidecars() if not self._sends(each.name)]
        if not apps:
            return []
        one = len(apps) == 1
        who = f"the sidecar of {apps[0]}, which sends" if one else f"{_those(apps)}, which send"
        return [f"spans of {who} none to a receiver: {HOW % receivers[0]}"]

    def _new(self, receiver: str) -> Iterator[Span]:
        if receiver not in self._records:
            self._records[receiver] = DeliveryRecord(self._stack.book.endpoint(receiver), 0)
        for each in self._records[receiver].read():
            if each.path == PATH:
                spans = list(read_spans(each))
                self.unreadable += max(0, (len(rows_of(each)) or 1) - len(spans))
                yield from spans

    def _without_receiver(self) -> str:
        nodes = [each.name for each in self._stack.topology.nodes]
        where = "; they go to the collector of `--otlp` only" if EXPORTER in nodes else ""
        return f"spans: the topology has no Receiver(){where}: add one, and {HOW % 'receiver'}"

    def _sends(self, sidecar: str) -> bool:
        """Whether the Configuration of a sidecar has an address for spans, as far as is known."""
        try:
            return sends_spans(self._stack.book.resources(sidecar))
        except HarnessError:
            return True  # of a stack that is not described, nothing can be said


def sends_spans(resources: Sequence[DaprResource]) -> bool:
    """Whether one of the Configurations has daprd send spans in Zipkin's format."""
    for each in resources:
        if each.kind == "Configuration":
            tracing = mapping(mapping(each.body.get("spec")).get("tracing"))
            address = str(mapping(tracing.get("zipkin")).get("endpointAddress") or "")
            if address.endswith(PATH) and str(tracing.get("samplingRate", "")) not in ("", "0"):
                return True
    return False


def nodes_of(stack: Stack) -> dict[str, str]:
    """The sidecar of each app-id that has only one."""
    sidecars = stack.topology.sidecars()
    counts = Counter(each.app_id for each in sidecars)
    return {each.app_id: each.name for each in sidecars if counts[each.app_id] == 1}


def _those(apps: Sequence[str]) -> str:
    return f"the sidecars of {', '.join(apps[:-1])} and {apps[-1]}"
