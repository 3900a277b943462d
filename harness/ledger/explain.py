"""Explains the path of an event in words: a conclusion, then a line for each step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

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
    by = (
        each.app
        if each.app == each.sidecar
        else f"{each.app}, through the sidecar of {each.sidecar},"
    )
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
