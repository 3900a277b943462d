"""Causes on the path of an event, from the broker to the app."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.bundle.causes.evidence import (
    attempts,
    dead_letter_topics,
    lines_with,
    names_in,
    own_events,
    subscribers,
    topics_of,
    waiting_topics,
)
from harness.bundle.model import Bundle, Cause, EventStory
from harness.core.causes import cause_of

_NO_EVENT = re.compile(r"error deserializing cloud event in pubsub")


def app_rejects_event(bundle: Bundle) -> Iterator[Cause]:
    """An app has answered an event with an error, or has dropped it."""
    called = names_in(bundle)
    for event in own_events(bundle):
        tries = attempts(event)
        by_app = {
            each["app"]: [one for one in tries if one["app"] == each["app"]] for each in tries
        }
        for app, found in by_app.items():
            if any(each["outcome"] == "success" for each in found):
                continue
            last, name = found[-1], f"{called(event)} on {topics_of(event)}"
            if last["failed"]:
                how = f"a fault of the test's inbox fails the delivery to {app} of {name}"
            elif last["outcome"] == "drop":
                how = f"{app} drops {name} with status {last['status']}"
            else:
                times = f", {len(found)} times" if len(found) > 1 else ""
                how = f"{app} answers {name} with status {last['status']}{times}"
            after = "; it is a dead letter now" if event.facts["dead_letters"] else ""
            raised = cause_of(bundle.logs.get(app, ""))
            yield Cause(
                "app_rejects_event",
                f"{how}{after}" + (f": {raised}" if raised else ""),
                [text for _, text in event.steps],
                f"see the log of {app}",
                event.title,
            )


def event_expired(bundle: Bundle) -> Iterator[Cause]:
    """An event was too old when its sidecar read it."""
    expired = re.compile(r"dropping expired pub/sub event (\S+)")
    told = {
        match[1]: line for _, line in lines_with(bundle, expired) if (match := expired.search(line))
    }
    for event in own_events(bundle):
        if event.facts["expires"] and not attempts(event) and event.facts["id"] in told:
            yield Cause(
                "event_expired",
                f"{topics_of(event)}: {names_in(bundle)(event)} expired at "
                f"{event.facts['expires']}, before it could be delivered",
                [told[event.facts["id"]]],
                "give `ttlInSeconds` more time, or find out what has held it up",
                event.title,
            )


def not_a_cloud_event(bundle: Bundle) -> Iterator[Cause]:
    """A record that a sidecar cannot read as a CloudEvent."""
    complaints = [f"{node}: {line}" for node, line in lines_with(bundle, _NO_EVENT)]
    for event in bundle.events:
        if complaints and not event.facts["is_event"] and not attempts(event):
            yield Cause(
                "not_a_cloud_event",
                f"{event.title}, so the sidecar cannot deliver it",
                complaints[-2:],
                'publish through Dapr, or subscribe with the metadata `rawPayload: "true"`',
                event.title,
            )
            return


def subscription_missing(bundle: Bundle) -> Iterator[Cause]:
    """Nobody subscribes to the topic of an event."""
    dead = dead_letter_topics(bundle)
    seen: set[str] = set()
    for event in own_events(bundle):
        for topic in event.facts["topics"]:
            if (
                topic in seen or topic in dead or attempts(event) or not event.facts["stored"]
                or subscribers(bundle, topic)
            ):  # fmt: skip
                continue
            seen.add(topic)
            yield _missing(bundle, event, topic)


def _missing(bundle: Bundle, event: EventStory, topic: str) -> Cause:
    names = re.compile(rf"topic: ['\"]?{re.escape(topic)}\b")
    declared = [
        each for each in bundle.resources
        if each.kind == "Subscription" and names.search(each.text)
    ]  # fmt: skip
    scoped = [f"{each.name!r} at {each.at} is for {', '.join(each.scopes)}" for each in declared]
    told = sorted(
        str(each.get("topic"))
        for metadata in bundle.sidecars.values()
        for each in metadata.get("subscriptions") or ()
    )
    if scoped:
        why = f"the subscription {scoped[0]}, and that app does not have it"
    elif declared:
        why = f"the subscription {declared[0].name!r} at {declared[0].at} is not active"
    else:
        why = f"there are subscriptions to {', '.join(told)}" if told else "there are none at all"
    return Cause(
        "subscription_missing",
        f"no app subscribes to {topic!r}, the topic of {names_in(bundle)(event)}: {why}",
        scoped,
        "compare the topic's name and the subscription's scopes with the app-ids",
        event.title,
    )


def publish_failed(bundle: Bundle) -> Iterator[Cause]:
    """A request to publish was rejected, or had no response."""
    for event in own_events(bundle):
        for each in event.facts["published"]:
            accepted = each["status"] is not None and 200 <= each["status"] <= 299
            if not accepted:
                yield Cause(
                    "publish_failed",
                    f"{each['app']} could not publish to {each['topic']!r}: "
                    + ("no response" if each["status"] is None else f"status {each['status']}"),
                    [text for _, text in event.steps],
                    event=event.title,
                )


def group_without_member(bundle: Bundle) -> Iterator[Cause]:
    """A consumer group has records to read, and no member reads the partition."""
    waiting = waiting_topics(bundle)
    for each in bundle.groups:
        if each.topic in waiting and each.committed < each.end and not each.members:
            yield Cause(
                "group_without_member",
                f"no member of the consumer group {each.name!r} reads "
                f"{each.topic}[{each.partition}]: it is being rebalanced, or its sidecar is away",
                [f"committed {each.committed} of {each.end}"],
                "`await dapr.restart(...)` waits until the group has its partitions again",
            )


def held_up(bundle: Bundle) -> Iterator[Cause]:
    """A consumer group is still busy with earlier events."""
    waiting = waiting_topics(bundle)
    for each in bundle.groups:
        if each.topic in waiting and each.members and 0 <= each.committed < each.end - 1:
            yield Cause(
                "held_up",
                f"the consumer group {each.name!r} is held up at {each.topic}[{each.partition}] "
                f"offset {each.committed}; {each.end - each.committed} records wait",
                hint="see the event at that offset: one that fails is retried before the next",
            )
