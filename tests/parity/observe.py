"""The same stories on any runtime, and everything that can be seen of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from harness import DaprError, Stack, World
from harness.probe.events import Event
from harness.ready.loopback import ask

INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+(Z|[+-]\d\d:\d\d)?")
DRAWN = re.compile(r"(?<=/events/)([a-z-]+(?:/[a-z-]+)?)/[\w-]{22}(?![\w-])")
"""A route of a subscription; its last part is drawn when daprd asks for it."""

APPS = ("backend-service", "notification-service", "recurring-task-service", "frontend")
CONVERSATION = {"messages": [{"role": "user", "text": "Hello", "at": None}]}


def observe(stack: Stack) -> dict[str, Any]:
    """Tell the stories; what was seen, by path, with ids and times replaced by words.

    The words are given in the order in which the stories meet what they stand for, so equal
    behaviour gives equal words.
    """
    with World(stack) as world:
        names = Words(world.id)
        seen = {
            "task story": _tasks(world, names),
            "state story": _state(world, names),
            "reminder story": _reminder(world, names),
            "metadata": {app: _metadata(world, app) for app in APPS},
            "addresses": {app: _addresses(world, app) for app in APPS},
        }
    return dict(_flat(seen))


class Words:
    """Words for what is different in every run."""

    def __init__(self, world: str) -> None:
        self._known = {world: "WORLD"}

    def call(self, value: str, word: str) -> None:
        """From now on, say a word for this value."""
        self._known.setdefault(value, word)

    def replace(self, value: Any) -> Any:
        """The same value in words."""
        text = json.dumps(value, default=str, sort_keys=True)
        for known, word in self._known.items():
            text = text.replace(known, word)
        return json.loads(DRAWN.sub(r"\1/WORD", INSTANT.sub("INSTANT", text)))


def _tasks(world: World, names: Words) -> dict[str, Any]:
    """Two tasks live through everything a task can live through, side by side."""
    user, backend = world.name("ada"), world.app("backend-service")
    tasks = []
    for number in (1, 2):
        made = backend.post(f"/api/{user}/tasks", json={"title": f"Task {number}"}).json()
        names.call(made["id"], f"TASK{number}")
        tasks.append(f"/api/{user}/tasks/{made['id']}")
    answers = [
        backend.put(tasks[0], json={"title": "Renamed"}).status_code,
        backend.post(f"{tasks[1]}/complete").status_code,
        backend.post(f"{tasks[0]}/complete").status_code,
        backend.delete(tasks[1]).status_code,
        backend.get(tasks[1]).status_code,
        backend.post(f"/api/{user}/tasks", json={"title": ""}).status_code,
    ]
    ids = [path.rpartition("/")[2] for path in tasks]
    # Task by task: the two may lie on two partitions, between which there is no order.
    events = [each for one in ids for each in world.topic("task-events").collect(3, subject=one)]
    rows = _notifications(world, names, user, events)
    return {
        "answers": answers,
        "events per key": _per_key(events, names),
        "notification rows": rows,
        "deliveries": _deliveries(world, names, events),
    }


def _state(world: World, names: Words) -> dict[str, Any]:
    """A conversation, two writers with one ETag, a restart of the sidecar; and Dapr's own row."""
    backend, talk = world.app("backend-service"), f"/api/{world.name('ada')}/conversations/c1"
    answers = [backend.put(talk, json=CONVERSATION).status_code]
    etag = backend.get(talk).headers["etag"]
    answers += [
        backend.put(talk, json=CONVERSATION, headers={"if-match": etag}).status_code
        for _ in range(2)
    ]
    world.stack.restart("backend-service-daprd")
    kept = backend.get(talk).json()
    stored = [row for row in world.table("state").rows() if world.id in str(row["key"])]
    return {
        "answers": answers,
        "kept": kept,
        "rows": names.replace([{"key": row["key"], "value": _value(row)} for row in stored]),
    }


def _reminder(world: World, names: Words) -> dict[str, Any]:
    """A reminder fires once, not early; its job is gone afterwards."""
    user, backend = world.name("eve"), world.app("backend-service")
    due = datetime.now(UTC) + timedelta(seconds=2)
    names.call(due.isoformat(), "DUE")
    body = {"title": "Call mum", "remind_at": due.isoformat()}
    task = backend.post(f"/api/{user}/tasks", json=body).json()
    names.call(task["id"], "REMINDED")
    job = world.eventually(lambda: _job(world, f"reminder-task-{task['id']}"))
    event = world.topic("reminders").next(type="com.taskmanager.reminder.due", subject=task["id"])
    fired = world.inbox("backend-service").next(path=f"/job/reminder-task-{task['id']}")
    return {
        "job before": names.replace(job),
        "event": names.replace(_event(event)),
        "early": event.time < due - timedelta(milliseconds=1),
        "job result": [fired.method, fired.status, fired.app_status],
        "notification rows": _notifications(world, names, user, [event]),
    }


def _job(world: World, name: str) -> dict[str, Any]:
    try:
        return world.sidecar("backend-service").get_job(name)
    except DaprError as error:
        # The outbox has not told the sidecar yet.
        raise AssertionError(str(error)) from None


def _notifications(
    world: World, names: Words, user: str, events: list[Event]
) -> list[dict[str, Any]]:
    """The notifications of some events once each has one, in the order of the events."""
    for number, event in enumerate(events):
        names.call(event.id, f"EVENT{number}")
    table = world.table("notifications")
    ids = {event.id for event in events}
    world.eventually(lambda: ids <= {row["event_id"] for row in table.rows(user_id=user)})
    shown = ("event_id", "user_id", "task_id", "kind", "message")
    rows = [{key: row.get(key) for key in shown} for row in table.rows(user_id=user)]
    rows = [row for row in rows if row["event_id"] in ids]
    order = [event.id for event in events]
    return [
        names.replace(row) for row in sorted(rows, key=lambda r: order.index(str(r["event_id"])))
    ]


def _per_key(events: list[Event], names: Words) -> dict[str, Any]:
    found: dict[str, list[Any]] = {}
    for event in events:
        found.setdefault(names.replace(event.key or ""), []).append(names.replace(_event(event)))
    return found


def _event(event: Event) -> dict[str, Any]:
    """All of an event but its instants, and what is made of them."""
    own = ("time", "traceid", "traceparent", "tracestate", "id", "proof")
    envelope = {key: value for key, value in event.envelope.items() if key not in own}
    return {"envelope": _timeless(envelope), "has": sorted(event.envelope)}


def _deliveries(world: World, names: Words, events: list[Event]) -> list[Any]:
    """What the notification service was handed of some events, and what it answered."""
    inbox = world.inbox("notification-service")
    told = [inbox.next(id=event.id) for event in events if event.topic == "task-events"]
    return [
        names.replace([each.method, each.path, each.type, each.subject, each.status])
        for each in told
    ]


def _metadata(world: World, app: str) -> Any:
    endpoint, token = world.sidecar_address(app)
    url = f"{endpoint.http}/v1.0/metadata"
    answer = ask("GET", url, headers={"dapr-api-token": token})
    found = json.loads(DRAWN.sub(r"\1/WORD", answer.text))
    # A set in daprd, listed in any order.
    found["enabledFeatures"] = sorted(found["enabledFeatures"])
    for each in ("components", "subscriptions"):
        found[each] = sorted(found.get(each, []), key=lambda item: json.dumps(item, sort_keys=True))
    return found


def _addresses(world: World, app: str) -> dict[str, Any]:
    """Whether this machine reaches it, past what differs in numbers."""
    return {"app": world.app(app).get("/healthz").json(), "url": world.url(app).split(":")[1]}


def _value(row: dict[str, Any]) -> Any:
    value = row["value"]
    return json.loads(bytes(value)) if isinstance(value, bytes | memoryview) else value


def _timeless(value: Any) -> Any:
    """The same without the instants in an event's data."""
    if isinstance(value, dict):
        return {key: _timeless(each) for key, each in value.items() if not key.endswith("_at")}
    return value


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves by their path."""
    pairs: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    if not pairs:
        yield path, value
    for key, each in pairs:
        yield from _flat(each, f"{path}/{key}" if path else str(key))
