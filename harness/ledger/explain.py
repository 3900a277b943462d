"""Explains the path of an event in words: a conclusion, then a line for each step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from harness.ledger.keys import KeyOperation, KeyPath
from harness.ledger.model import Attempt, EventPath, JobPath, Publication, Record

DOES = {
    "success": "daprd acknowledges the event",
    "retry": "daprd delivers it again, if its resiliency policy allows that",
    "drop": "daprd gives it up at once",
}
"""What follows from each outcome."""

MILLISECOND = 1_000_000
"""Nanoseconds. A broker's record time is cut off there."""

LONGEST = 120
"""The number of characters of an answer that are shown."""


def explain(path: EventPath) -> str:
    """What happened to an event: the conclusion, and a line for each step, in the order of time."""
    lines = (f"  {_clock(time)}  {text}" for time, text in steps_of(path))
    return "\n".join([f"{name_of(path)}: {conclusion(path)}", *lines])


def steps_of(path: EventPath) -> list[tuple[int, str]]:
    """A line of text for each step, with its time in nanoseconds since the epoch, in order."""
    asked = [each.time for each in path.publications]
    steps = [
        *((each.time, _published(each)) for each in path.publications),
        *((_after(each.time, asked), _stored(each)) for each in path.records),
        *((each.time, text) for each, text in _attempts(path)),
    ]
    return sorted(steps, key=lambda row: row[0])


def explain_job(path: JobPath) -> str:
    """What happened to a job: a line for each step, in the order of time."""
    lines = (f"  {_clock(time)}  {text}" for time, text in steps_of_job(path))
    return "\n".join([f"job {path.name} of {path.app}:", *lines])


def steps_of_job(path: JobPath) -> list[tuple[int, str]]:
    """A line of text for each step, with its time in nanoseconds since the epoch, in order."""
    steps = [
        *((each.time, f"{each.node}: {each.what}") for each in path.calls),
        *((each.time, f"{each.node} fires it: {each.what}") for each in path.firings),
        *((each.time, f"delivered to {each.node}: {_answered(each)}") for each in path.attempts),
    ]
    return sorted(steps, key=lambda row: row[0])


def explain_key(path: KeyPath) -> str:
    """What happened to a key: a line for each operation, in the order of time."""
    of = f" of {path.app}" if path.app else ""
    lines = (f"  {_clock(each.time)}  {_operated(each)}" for each in path.operations)
    return "\n".join([f"key {path.key}{of} in {path.store}:", *lines])


def _operated(each: KeyOperation) -> str:
    what = {"read": "reads it", "write": f"writes {_short(each.value)}", "delete": "deletes it"}
    only = f" over version {each.etag}" if each.etag else ""
    ttl = "" if each.ttl is None else f" for {each.ttl} s"
    status = "no response" if each.status is None else f"status {each.status}"
    seen = {True: f": {_short(each.value)}", False: ": there is no such key"}
    read = seen[each.found] if each.found is not None else ""
    took = f"{each.took * 1000:.1f} ms"
    return f"{_by(each.app, each.node)} {what[each.kind]}{ttl}{only}: {status} after {took}{read}"


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _by(app: str, sidecar: str) -> str:
    return app if app == sidecar else f"{app}, through the sidecar of {sidecar},"


def _after(stored: int, asked: Sequence[int]) -> int:
    """The time of a record, which is cut off at milliseconds, not before that of its request."""
    same = [each for each in asked if stored <= each < stored + MILLISECOND]
    return max([stored, *same])


def name_of(path: EventPath) -> str:
    """What the event is called: its id and type, or else its position."""
    topics = ", ".join(path.topics)
    if path.id:
        return f"event {path.id} ({path.type or 'no type'}) on {topics or 'no topic'}"
    if path.records:
        return f"the record at {path.records[0].position}, which is not a CloudEvent"
    return f"an event on {topics or 'no topic'}"


def conclusion(path: EventPath) -> str:
    """What became of it, in one sentence per app."""
    if not path.attempts:
        return _undelivered(path)
    told = [_outcome(path, app) for app in path.apps]
    if path.dead_letters:
        told.append(f"it is a dead letter at {path.dead_letters[-1].position}")
    elif dead := [each for each in path.attempts if each.dead_letter and told]:
        told.append(f"its dead letter on {dead[-1].topic} was delivered to {dead[-1].app}")
    return "; ".join(told) or "only its dead letter was delivered"


def _undelivered(path: EventPath) -> str:
    if path.dead_letters:
        return f"not delivered to any app; it is a dead letter at {path.dead_letters[-1].position}"
    if path.originals and path.expires:
        return f"not delivered to any app; it expires at {path.expires}"
    if path.originals:
        return "on the broker, and not delivered to any app that is recorded"
    if path.records:
        return "in the outbox of a sidecar, and not published"
    if any(each.accepted for each in path.publications):
        return "acknowledged, and not found on the topology's own Kafka"
    return "rejected, and not on the topology's own Kafka"


def _outcome(path: EventPath, app: str) -> str:
    found = path.attempts_of(app)
    if number := path.accepted_in(app):
        return f"delivered to {app} in attempt {number}" if number > 1 else f"delivered to {app}"
    if found[-1].outcome == "drop":
        return f"dropped by {app} ({_answered(found[-1])})"
    return f"not accepted by {app} in {len(found)} attempts (the last: {_answered(found[-1])})"


def _published(each: Publication) -> str:
    status = "no response" if each.status is None else f"status {each.status}"
    by = _by(each.app, each.sidecar)
    return f"{by} publishes it to {each.topic}: {status} after {each.took * 1000:.1f} ms"


def _stored(each: Record) -> str:
    of = f", as the dead letter of {each.dead_letter_of}" if each.dead_letter_of else ""
    return f"stored at {each.position}{of}{', as a row of an outbox' if each.outbox else ''}"


def _attempts(path: EventPath) -> Iterator[tuple[Attempt, str]]:
    count: dict[tuple[str, bool], int] = {}
    for each in path.attempts:
        key = (each.app, each.dead_letter)
        node = each.app if each.node == each.app else f"{each.app} ({each.node})"
        count[key] = count.get(key, 0) + 1
        what = "dead letter delivered" if each.dead_letter else "delivered"
        took = f"{_answered(each)} after {each.took * 1000:.1f} ms"
        yield each, f"{what} to {node}, attempt {count[key]}: {took}; {DOES[each.outcome]}"


def _answered(each: Attempt) -> str:
    by = f" by a fault of the inbox {each.failed} the app" if each.failed else ""
    answer = " ".join(each.answer.split())
    short = answer if len(answer) <= LONGEST else f"{answer[: LONGEST - 3]}..."
    return f"status {each.status}{by} {short}".rstrip()


def _clock(time: int) -> str:
    return datetime.fromtimestamp(time / 1e9, UTC).strftime("%H:%M:%S.%f")[:-3]
