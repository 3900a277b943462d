"""What of a timeline with virtual time is the same in a second run, as lines of text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from urllib.parse import unquote

from harness.core.observation import Occurrence

TEST = "<test>"
"""What stands for the id of a world."""

IDS = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{32}\b", re.I
)
"""UUIDs and trace ids. They are numbered in the order in which they are first mentioned."""


def history(timeline: Sequence[Occurrence]) -> list[str]:
    """What of a timeline with virtual time is the same in a second run of the test.

    There is a line for each firing of the scheduler, with its moment, attempt and outcome, for what
    an inbox has recorded of it, and for each entry of the journal, such as a restart. Times of the
    real clock, process ids and ports are left out, the id of the test is ``<test>``, and UUIDs and
    trace ids are numbered.
    """
    deliveries = [each for each in timeline if each.source == "delivery"]
    own = sorted({each.world for each in timeline if each.world})
    numbers: dict[str, str] = {}

    def number(match: re.Match[str]) -> str:
        return numbers.setdefault(match[0].lower(), f"<id {len(numbers) + 1}>")

    lines = (line for each in timeline for line in _lines(each, deliveries))
    return [IDS.sub(number, _without(own, line)) for line in lines]


def _without(worlds: Iterable[str], line: str) -> str:
    for each in worlds:
        line = line.replace(each, TEST)
    return line


def _lines(each: Occurrence, deliveries: Iterable[Occurrence]) -> Iterator[str]:
    if each.source == "journal":
        yield f"{each.node} {each.what.split()[0]}"
    elif each.source == "firing":
        yield each.what
        yield from (_delivered(one) for one in deliveries if _is_of(one, each))


def _is_of(delivery: Occurrence, firing: Occurrence) -> bool:
    """Whether the delivery happened during the firing, and because of it."""
    ended = firing.time + round((firing.took or 0.0) * 1e9)
    path = unquote(delivery.what.split()[1])
    return firing.time <= delivery.time <= ended and path == _path(firing.payload["name"])


def _path(name: str) -> str:
    """Where daprd delivers a job with this full name."""
    kind, _, *owner, job = name.split("||")
    if kind == "app":
        return f"/job/{job}"
    return f"/actors/{'/'.join(owner)}/method/remind/{job}"


def _delivered(delivery: Occurrence) -> str:
    data = json.dumps(delivery.payload, sort_keys=True, ensure_ascii=False, default=str)
    return f"    {delivery.node}: {delivery.what} {data}"
