"""What became of an event so far, in one word."""

from __future__ import annotations

from collections.abc import Mapping, Set

from harness.inspection.model import Fate
from harness.ledger.model import EventPath

Subscribed = Mapping[str, Mapping[str, bool]]
"""The apps that subscribe to each topic, and whether their deliveries are recorded."""


def fate_of(path: EventPath, subscribed: Subscribed, now: int) -> Fate:
    """What became of an event.

    ========================  ====================================================================
    ``dead_letter``           a sidecar has given it up and published it to a dead-letter topic
    ``retrying``              an app has not accepted it so far
    ``dropped``               an app has dropped it
    ``delivered``             every app that it was delivered to has accepted it
    ``rejected``              no sidecar has acknowledged it, and the broker does not have it
    ``expired``               its time to live is over, and no recorded app received it
    ``in_flight``             a recorded app subscribes to its topic, and has not received it
    ``not_recorded``          apps subscribe to its topic, and none of them is recorded
    ``unhandled``             no app subscribes to its topic
    ========================  ====================================================================

    Args:
        path: what is known of the event.
        subscribed: the apps that subscribe to each topic.
        now: nanoseconds since the epoch.
    """
    if path.dead_letters or any(each.dead_letter for each in path.attempts):
        return "dead_letter"
    found = {path.outcome_of(app) for app in path.apps}
    if found:
        return _delivered(found)
    if not path.records and not any(each.accepted for each in path.publications):
        return "rejected"
    if path.has_expired(now):
        return "expired"
    return _waiting(path, subscribed)


def _delivered(found: Set[str | None]) -> Fate:
    if "retry" in found:
        return "retrying"
    return "dropped" if "drop" in found else "delivered"


def _waiting(path: EventPath, subscribed: Subscribed) -> Fate:
    if path.records and not path.originals:
        return "in_flight"  # a row of an outbox
    recorded = [each for topic in path.topics for each in subscribed.get(topic, {}).values()]
    if not recorded:
        return "unhandled"
    return "in_flight" if any(recorded) else "not_recorded"
