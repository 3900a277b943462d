"""Which names are compared: both names of a pair are measured in the same seconds."""

from __future__ import annotations

from collections.abc import Iterable

from harness.load.model.declared import Declared, Pair

ACKNOWLEDGED, DELIVERED, TIMER = "raw Kafka acknowledged", "raw Kafka to consumer", "asyncio timer"
REFERENCES = (ACKNOWLEDGED, DELIVERED, TIMER)
"""What is measured alongside the load, by `generate.references`: not requests of the profile."""

CONNECTION = "DAPR_LOAD_KAFKA"
"""The variable with the settings of their connection to Kafka, as JSON."""

FLOOR = "floor"
BESIDE = {"event": (ACKNOWLEDGED, DELIVERED), "job": ("", TIMER), "row": ("", "")}
"""By kind of outcome: what its requests and what its outcome are compared with."""


def pairs_of(classes: Iterable[Declared], raw: bool) -> list[Pair]:
    """The pairs that a run of these user classes must have, the ones they declare first.

    Args:
        raw: whether there are references alongside the load.
    """
    classes = list(classes)
    names = dict.fromkeys(name for each in classes for name in each.names)
    found = dict.fromkeys(pair for each in classes for pair in each.pairs)
    if raw:
        found |= dict.fromkeys(pair for each in classes for pair in _beside_references(each))
    if FLOOR in names:
        found |= dict.fromkeys((name, FLOOR) for name in names if name != FLOOR)
    return list(found)


def _beside_references(declared: Declared) -> list[Pair]:
    if declared.outcome is None:
        return []
    request, end = BESIDE[declared.outcome.kind]
    pairs = [(name, request) for name in declared.names] + [(declared.outcome.name, end)]
    return [pair for pair in pairs if pair[1]]


def title(pair: Pair) -> str:
    """The name of a pair in budgets."""
    return " / ".join(pair)
