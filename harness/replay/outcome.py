"""Whether a replay has reproduced a failure: a pure function of two bundles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from harness.bundle.model import Bundle, Cause, EventStory
from harness.replay.pairing import neutral, pairs

Basis = Literal["cause", "paths"]


@dataclass(frozen=True)
class Outcome:
    """What a replay has shown.

    Attributes:
        reproduced: whether the failure came again.
        basis: ``cause`` if the same rule has found the same cause for the same event; ``paths`` if
            the recorded failure has no cause that is known, and everything that can be compared is
            the same instead: the paths of the test's events, what apps answered to deliveries that
            name the test, and to the test itself.
        recorded, now: the causes, in words; "" if there is none.
    """

    reproduced: bool
    basis: Basis
    recorded: str
    now: str


def outcome_of(recorded: Bundle, now: Bundle) -> Outcome:
    """Compare the bundle of a failed test with that of its replay.

    Args:
        recorded: of the failed test.
        now: of the replay, with its causes.
    """
    if not recorded.causes:
        return Outcome(_same_paths(recorded, now), "paths", "", _sentence(now))
    cause = recorded.causes[0]
    again = next((each for each in now.causes if _is_same(cause, each, recorded, now)), None)
    told = again.sentence if again else _sentence(now)
    return Outcome(again is not None, "cause", cause.sentence, told)


def took_the_same_path(recorded: Bundle, now: Bundle) -> bool:
    """Whether the event of the recorded cause has gone where it went; False if there is none."""
    title = recorded.causes[0].event if recorded.causes else ""
    found = pairs(recorded.events, now.events, (recorded.world, now.world))
    return any(
        old is not None and new is not None and old.title == title and path_of(old) == path_of(new)
        for old, new in found
    )


def path_of(event: EventStory) -> list[Any]:
    """What became of an event, without ids and times: published, stored, delivered, dead."""
    facts = event.facts
    tries = [
        (each.get("app"), each.get("status"), each.get("outcome"), bool(each.get("dead_letter")))
        for each in facts.get("attempts", ())
    ]
    published = [each.get("status") for each in facts.get("published", ())]
    stored = len(facts.get("stored", ()))
    return [published, stored, tries, len(facts.get("dead_letters", ()))]


def _is_same(old: Cause, new: Cause, recorded: Bundle, now: Bundle) -> bool:
    if old.rule != new.rule:
        return False
    if not old.event:
        return True
    found = pairs(recorded.events, now.events, (recorded.world, now.world))
    return any(
        before is not None
        and after is not None
        and (before.title, after.title) == (old.event, new.event)
        for before, after in found
    )


def _same_paths(recorded: Bundle, now: Bundle) -> bool:
    found = pairs(recorded.events, now.events, (recorded.world, now.world))
    own = [(old, new) for old, new in found if old is not None and old.own]
    answers = [_answers(each) for each in (recorded, now)]
    paths = all(new is not None and path_of(old) == path_of(new) for old, new in own)
    return bool(own or answers[0]) and paths and answers[0] == answers[1]


def _answers(bundle: Bundle) -> list[str]:
    """What apps and sidecars have answered in a test, whatever the order."""
    delivered = [
        neutral(f"{each.node}: {each.what}", bundle.world)
        for each in bundle.timeline
        if each.source == "delivery" and each.own
    ]
    inputs = bundle.recording.inputs if bundle.recording else ()
    asked = [
        neutral(f"{each.what} {each.given.get('path')} {each.answer.get('status')}", bundle.world)
        for each in inputs
        if each.kind in ("call", "request")
    ]
    return sorted([*delivered, *asked])


def _sentence(bundle: Bundle) -> str:
    return bundle.causes[0].sentence if bundle.causes else ""
