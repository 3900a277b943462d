"""Which event of one run corresponds to which of another, although ids and times differ."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from harness.bundle.model import EventStory
from harness.replay.substitution import TIME

_ID = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{16,64}\b"
)
"""Ids as programs make them."""

_PORT = re.compile(r"(127\.0\.0\.1|localhost):\d+")

Pair = tuple[EventStory | None, EventStory | None]


def neutral(text: str, world: str) -> str:
    """A text without what differs from run to run: the world's name, ids, times and ports."""
    text = text.replace(world, "<id>") if world else text
    return _PORT.sub(r"\1:<port>", TIME.sub("<time>", _ID.sub("<id>", text)))


def pairs(
    old: Sequence[EventStory], new: Sequence[EventStory], worlds: tuple[str, str]
) -> list[Pair]:
    """Every event of two runs, in the order of the first; those without a counterpart alone.

    Events correspond that have the same topics, type and data, and of those that are left, the
    same topics and type, each in the order in which they came.
    """

    def whole(world: str) -> Callable[[EventStory], Hashable]:
        return lambda each: (*_kind(each), neutral(each.data, world))

    left, right = list(range(len(old))), list(range(len(new)))
    found: dict[int, int] = {}
    levels = ((whole(worlds[0]), whole(worlds[1])), (_kind, _kind))
    for of_old, of_new in levels:
        places = defaultdict[Hashable, list[int]](list)
        for number in right:
            places[of_new(new[number])].append(number)
        for number in left:
            if waiting := places[of_old(old[number])]:
                found[number] = waiting.pop(0)
        left = [number for number in left if number not in found]
        right = [number for number in right if number not in found.values()]
    matched: list[Pair] = [
        (each, new[found[number]] if number in found else None) for number, each in enumerate(old)
    ]
    return [*matched, *((None, new[number]) for number in right)]


def _kind(each: EventStory) -> tuple[Hashable, ...]:
    facts = each.facts
    return (tuple(map(str, facts.get("topics", ()))), str(facts.get("type", "")))
