"""Which names are compared: both names of a pair are measured in the same seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

ACKNOWLEDGED, DELIVERED, TIMER = "raw Kafka acknowledged", "raw Kafka to consumer", "asyncio timer"
REFERENCES = (ACKNOWLEDGED, DELIVERED, TIMER)
"""What `harness.load.references` measures alongside the load: not requests of the profile."""

FLOOR = "floor"
JOB_FIRED = "job due-time error"
BESIDE = {"event": (ACKNOWLEDGED, DELIVERED), "job": ("", TIMER), "row": ("", "")}
"""By kind of outcome: what its requests and what its outcome are compared with."""

Pair = tuple[str, str]
FIRST: tuple[Pair, ...] = (
    ("invoke by two sidecars", "invoke directly"),
    ("publish", ACKNOWLEDGED),
    ("publish by gRPC", ACKNOWLEDGED),
    ("publish to handler", DELIVERED),
    (JOB_FIRED, TIMER),
)
"""The pairs that are shown first."""


def pairs_of(lanes: Mapping[str, Mapping[str, Any]], raw: bool) -> list[Pair]:
    """The pairs that a run must have, based on what its lanes declare.

    Args:
        lanes: in the form of `Collector.lane`.
        raw: whether there are references alongside the load.
    """
    names = {way for each in lanes.values() for way in each["ways"]}
    found = dict.fromkeys(pair for pair in FIRST if names.issuperset(pair))
    for each in lanes.values():
        outcome = each["outcome"]
        if outcome and raw:
            request, end = BESIDE[outcome["kind"]]
            found |= dict.fromkeys((way, request) for way in each["ways"] if request)
            found |= {(outcome["name"], end): None} if end else {}
    if FLOOR in names:
        found |= dict.fromkeys((name, FLOOR) for name in sorted(names - {FLOOR}))
    order = {pair: number for number, pair in enumerate(FIRST)}
    return sorted(found, key=lambda pair: order.get(pair, len(order)))


def title(pair: Pair) -> str:
    """The name of a pair in budgets."""
    return " / ".join(pair)


def is_pair(name: str, known: Iterable[Pair] = FIRST) -> bool:
    """Whether a run could have this pair: for user-defined names, only the reference is checked."""
    one, _, beside = name.rpartition(" / ")
    return (one, beside) in known or (bool(one) and beside in (*REFERENCES, FLOOR))
