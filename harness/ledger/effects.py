"""What apps asked of their sidecars while they handled an event."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable

from harness.core.observation import Occurrence


def moment(each: Occurrence) -> float:
    """When it happened, in seconds that go on if the machine's clock is set; else by that clock."""
    return float(each.facts.get("at", each.time / 1e9))


class Effects:
    """Finds the calls of an app in a span of time.

    Args:
        calls: every recorded call.
    """

    def __init__(self, calls: Iterable[Occurrence]) -> None:
        self._calls = defaultdict[str, list[Occurrence]](list)
        for each in calls:
            self._calls[each.node].append(each)
        for found in self._calls.values():
            found.sort(key=moment)
        self._moments = {app: [*map(moment, found)] for app, found in self._calls.items()}

    def during(self, delivery: Occurrence, trace: str) -> tuple[Occurrence, ...]:
        """The calls that the app of a delivery made before it answered.

        Args:
            delivery: one of an event.
            trace: of the event; calls in another trace are left out.
        """
        if delivery.node not in self._calls:
            return ()
        begun, moments = moment(delivery), self._moments[delivery.node]
        first = bisect_left(moments, begun)
        last = bisect_right(moments, begun + (delivery.took or 0.0))
        found = self._calls[delivery.node][first:last]
        return tuple(each for each in found if same_trace(each, trace))


def same_trace(each: Occurrence, trace: str) -> bool:
    """Whether an occurrence is in a trace, as far as both are in one."""
    own = each.correlation.get("trace", "")
    return not (own and trace) or own == trace
