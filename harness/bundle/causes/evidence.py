"""What several rules look for in a bundle."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from harness.bundle.model import Bundle, EventStory

MESSAGE = re.compile(r'level=(?:error|fatal|warning) msg="((?:[^"\\]|\\.)*)"')
"""daprd's format of a line that reports a problem."""

SHORTEST = 8
"""The number of characters of an event's id that are shown at least."""


def messages(bundle: Bundle, node: str) -> list[str]:
    """The problems that a sidecar has logged during the test."""
    found = MESSAGE.findall(bundle.logs.get(node, ""))
    return [each.replace('\\"', '"').replace("\\n", " ") for each in found]


def lines_with(bundle: Bundle, pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    """The node and the line of each line of a log that a pattern matches."""
    for node, text in bundle.logs.items():
        for line in text.splitlines():
            if pattern.search(line):
                yield node, line.strip()


def own_events(bundle: Bundle) -> Sequence[EventStory]:
    """The events that mention the test's world; if there are none, all events."""
    return [each for each in bundle.events if each.own] or bundle.events


def names_in(bundle: Bundle) -> Callable[[EventStory], str]:
    """What sentences call the events: by their ids, each as short as it is unique in the bundle.

    A record that is not a CloudEvent is called by its position.
    """
    ids = sorted({str(each.facts["id"]) for each in bundle.events})

    def name(event: EventStory) -> str:
        known = str(event.facts["id"])
        if not known:
            return event.title
        at = bisect_left(ids, known)
        # Of all ids, one of these two has the most characters in common with it.
        beside = [*ids[max(0, at - 1) : at], *ids[at + 1 : at + 2]]
        length = max([SHORTEST, *(1 + _in_common(known, each) for each in beside)])
        return f"event {known if length + 3 >= len(known) else f'{known[:length]}...'}"

    return name


def _in_common(one: str, other: str) -> int:
    """The number of characters with which both begin."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (here, there) in pairs if here != there), min(len(one), len(other)))


def topics_of(event: EventStory) -> str:
    """Its topics, in words."""
    return ", ".join(event.facts["topics"]) or "no topic"


def attempts(event: EventStory, *, dead_letter: bool = False) -> list[dict[str, Any]]:
    """The deliveries of an event, or those of its dead letter."""
    return [each for each in event.facts["attempts"] if each["dead_letter"] == dead_letter]


def sidecars_of(bundle: Bundle) -> dict[str, str]:
    """The app-id of each sidecar."""
    return {each.name: each.app_id for each in bundle.nodes if each.role == "sidecar"}


def subscribers(bundle: Bundle, topic: str) -> list[str]:
    """The sidecars that subscribe to a topic."""
    return [
        name
        for name, metadata in bundle.sidecars.items()
        if any(each.get("topic") == topic for each in metadata.get("subscriptions") or ())
    ]


def dead_letter_topics(bundle: Bundle) -> set[str]:
    """The topics to which sidecars send what could not be delivered."""
    return {
        str(each["deadLetterTopic"])
        for metadata in bundle.sidecars.values()
        for each in metadata.get("subscriptions") or ()
        if each.get("deadLetterTopic")
    }


def waiting_topics(bundle: Bundle) -> set[str]:
    """The topics of the events that no app has received."""
    waiting = (event for event in own_events(bundle) if not attempts(event))
    return {topic for event in waiting for topic in event.facts["topics"]}
