"""What differs between two runs of a test: a pure function of their bundles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from harness.bundle.model import Bundle, EventStory
from harness.bundle.recording import Given
from harness.replay.differences import surroundings
from harness.replay.outcome import Outcome, outcome_of
from harness.replay.pairing import Pair, neutral, pairs


@dataclass(frozen=True)
class EventChange:
    """An event of both runs whose path differs.

    Attributes:
        old, new: its titles.
        what: how the path differs, in words.
    """

    old: str
    new: str
    what: Sequence[str]


@dataclass(frozen=True)
class Difference:
    """How two runs differ.

    Attributes:
        tests: the tests that failed.
        surroundings: versions, source, nodes and resources that differ, in words.
        inputs: what the tests did and got that differs, in words.
        missing, added: what only the first or only the second run has.
        changed: the events of both whose path differs.
        order: the events of both that came in another order: for each that came earlier in the
            second run, it and the one before which it came.
        same: the number of events with the same path.
        outcome: whether the second run has the failure of the first.
    """

    tests: tuple[str, str]
    surroundings: Sequence[str]
    inputs: Sequence[str]
    missing: Sequence[str]
    added: Sequence[str]
    changed: Sequence[EventChange]
    order: Sequence[str]
    same: int
    outcome: Outcome

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs."""
        found = (self.surroundings, self.inputs, self.missing, self.added, self.changed, self.order)
        return not any(found) and self.tests[0] == self.tests[1]

    def as_json(self) -> dict[str, Any]:
        """The difference as JSON values."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """The difference as text, with nothing about what is the same but its number."""
        if self.tests[0] != self.tests[1]:
            yield f"tests: {self.tests[0]}, and {self.tests[1]}"
        parts = (
            ("surroundings", self.surroundings),
            ("what the test did", self.inputs),
            ("events that did not come", self.missing),
            ("events that came in addition", self.added),
            ("events in another order", self.order),
        )
        for title, found in parts:
            if found:
                yield f"{title}:"
                yield from (f"  {each}" for each in found)
        if self.changed:
            yield "events with another path:"
        for change in self.changed:
            yield f"  {change.old}"
            yield from (f"    {each}" for each in change.what)
        yield f"events with the same path: {self.same}"
        yield f"the failure: {_told(self.outcome)}"


def difference(old: Bundle, new: Bundle) -> Difference:
    """Compare two runs, usually of one test.

    Args:
        old: the first run.
        new: the second one: of another day, another version, or a replay.
    """
    found = pairs(old.events, new.events, (old.world, new.world))
    both = [(before, after) for before, after in found if before and after]
    changes = [
        EventChange(before.title, after.title, what)
        for before, after in both
        if (what := list(_path(before, after)))
    ]
    return Difference(
        (old.test, new.test),
        list(surroundings(old, new)),
        list(_inputs(old, new)),
        [f"{each.title}: {each.conclusion}" for each, other in found if each and not other],
        [f"{each.title}: {each.conclusion}" for other, each in found if each and not other],
        changes,
        list(_order(found, new.events)),
        len(both) - len(changes),
        outcome_of(old, new),
    )


def _path(old: EventStory, new: EventStory) -> Iterator[str]:
    yield from _compared("published", _published(old), _published(new))
    yield from _compared(
        "stored", len(old.facts.get("stored", ())), len(new.facts.get("stored", ()))
    )
    before, after = _tries(old), _tries(new)
    for app in dict.fromkeys([*before, *after]):
        yield from _compared(f"delivered to {app}", before.get(app, []), after.get(app, []))
    dead = [len(each.facts.get("dead_letters", ())) for each in (old, new)]
    yield from _compared("dead letters", *dead)


def _published(event: EventStory) -> list[str]:
    known = event.facts.get("published", ())
    return [f"by {each.get('app')} with status {each.get('status')}" for each in known]


def _tries(event: EventStory) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each in event.facts.get("attempts", ()):
        app = f"{each.get('app')}{' as a dead letter' if each.get('dead_letter') else ''}"
        found.setdefault(app, []).append(f"{each.get('status')} {each.get('outcome')}")
    return found


def _compared(what: str, old: object, new: object) -> Iterator[str]:
    if old != new:
        yield f"{what}: {_shown(old)}, now {_shown(new)}"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"{len(value)} times ({', '.join(map(str, value))})" if value else "never"
    return str(value)


def _order(found: Sequence[Pair], new: Sequence[EventStory]) -> Iterator[str]:
    """Pairs that follow each other in the first run, and not in the second."""
    place = {id(each): number for number, each in enumerate(new)}
    both = [(before, after) for before, after in found if before and after]
    for (first, one), (second, other) in pairwise(both):
        if place[id(other)] < place[id(one)]:
            yield f"{second.title} came before {first.title}"


def _inputs(old: Bundle, new: Bundle) -> Iterator[str]:
    if old.recording is None or new.recording is None:
        return
    before = [_input(each, old.world) for each in old.recording.inputs]
    after = [_input(each, new.world) for each in new.recording.inputs]
    for (name, was), (other, now) in zip(before, after, strict=False):
        if name != other:
            yield f"{name}, now {other}"
            return
        if was != now:
            yield f"{name}: {was}, now {now}"
    if len(before) != len(after):
        longer = before if len(before) > len(after) else after
        which = "only the first run has" if longer is before else "only the second run has"
        for name, _ in longer[min(len(before), len(after)) :]:
            yield f"{which} {name}"


def _input(each: Given, world: str) -> tuple[str, str]:
    """What an input is called, and what came of it."""
    name = f"{each.what} {each.given.get('path', each.target)}"
    status = each.answer.get("status")
    if each.kind not in ("call", "request"):
        return neutral(name, world), ""
    return neutral(name, world), "no response" if status is None else f"status {status}"


def _told(outcome: Outcome) -> str:
    if not outcome.reproduced:
        return (
            f"{outcome.recorded or 'no cause is known'}, now {outcome.now or 'no cause is found'}"
        )
    return (
        f"the same: {outcome.now}" if outcome.now else "no cause is known; the paths are the same"
    )
