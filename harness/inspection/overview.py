"""What a stack consists of now: put together from what its parts report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from harness.core.observation import Occurrence
from harness.core.roles import Recorder
from harness.inspection.fates import Subscribed
from harness.inspection.model import ComponentRow, JobRow, Subscriber, TopicRow
from harness.inspection.partitions import Partitions
from harness.inspection.parts import Inspection
from harness.ledger.model import Ledger
from harness.stack.stack import Stack


def recorded_apps(stack: Stack) -> set[str]:
    """The nodes whose deliveries are recorded."""
    return {each.records for each in stack.topology.nodes if isinstance(each, Recorder)}


def subscribed(seen: Sequence[Inspection], recorded: set[str]) -> Subscribed:
    """The apps that subscribe to each topic, and whether their deliveries are recorded."""
    found: dict[str, dict[str, bool]] = {}
    for each in seen:
        for topic in (row.topic for row in each.metadata.subscriptions) if each.metadata else ():
            found.setdefault(topic, {})[each.sidecar.app_id] = each.sidecar.app_id in recorded
    return found


def topic_rows(
    seen: Sequence[Inspection],
    recorded: set[str],
    ledger: Ledger,
    known: Partitions,
) -> list[TopicRow]:
    """Every topic that has a subscriber, an event or a partition.

    Args:
        seen: what the sidecars report.
        recorded: the apps whose deliveries are recorded.
        ledger: everything that is known.
        known: what the broker tells.
    """
    subscribers: dict[str, list[Subscriber]] = {}
    pubsubs: dict[str, str] = {}
    for each in seen:
        app = each.sidecar.app_id
        for row in each.metadata.subscriptions if each.metadata else ():
            pubsubs.setdefault(row.topic, row.pubsub)
            lag = known.lags.get((app, row.pubsub, row.topic))
            made = Subscriber(app, row.routes, row.dead_letter_topic, app in recorded, lag)
            subscribers.setdefault(row.topic, []).append(made)
            if row.dead_letter_topic:
                pubsubs.setdefault(row.dead_letter_topic, row.pubsub)
    records = Counter(each.position.topic for path in ledger.events for each in path.records)
    for path in ledger.events:
        for asked in path.publications:
            pubsubs.setdefault(asked.topic, asked.pubsub)
    return [
        TopicRow(
            name,
            pubsubs.get(name, ""),
            records[name],
            subscribers.get(name, []),
            known.rows.get(name, ()),
        )
        for name in sorted({*records, *subscribers, *pubsubs, *known.rows})
    ]


def component_rows(seen: Sequence[Inspection]) -> list[ComponentRow]:
    """Every component, loaded or declared."""
    versions: dict[str, str] = {}
    apps: dict[tuple[str, str], list[str]] = {}
    failed: dict[tuple[str, str], dict[str, str]] = {}
    for each in seen:
        versions |= (
            {row.name: row.version for row in each.metadata.components} if each.metadata else {}
        )
        for part in each.parts:
            if part.kind == "component":
                place = part.name, part.detail
                apps.setdefault(place, [])
                if part.up:
                    apps[place].append(each.sidecar.app_id)
                else:
                    failed.setdefault(place, {})[each.sidecar.app_id] = part.error
    return [
        ComponentRow(name, kind, versions.get(name, ""), found, failed.get((name, kind), {}))
        for (name, kind), found in sorted(apps.items())
    ]


def job_rows(
    ledger: Ledger, scheduled: Mapping[str, Iterable[Mapping[str, object]]]
) -> list[JobRow]:
    """Every job that a scheduler has, or that was observed.

    Args:
        ledger: everything that is known.
        scheduled: the jobs of each app whose scheduler was asked, as in daprd's JSON.
    """
    found = {(app, str(job["name"])): job for app, jobs in scheduled.items() for job in jobs}
    seen = {(each.app, each.name): each for each in ledger.jobs}
    rows = []
    for app, name in sorted({*found, *seen}):
        job = found.get((app, name), {})
        attempts = seen[app, name].attempts if (app, name) in seen else ()
        rows.append(
            JobRow(
                app,
                name,
                str(job.get("schedule", "")),
                str(job.get("dueTime", "")),
                str(job.get("repeats", "")),
                (app, name) in found if app in scheduled else None,
                len(attempts),
                attempts[-1].outcome if attempts else "",
            )
        )
    return rows


def delivery_row(each: Occurrence, clean: Callable[[str], str]) -> dict[str, Any]:
    """A delivery to an app, as JSON data.

    Args:
        each: the delivery.
        clean: masks secrets.
    """
    facts = each.facts
    return {
        "at": each.time / 1e9,
        "app": each.node,
        "path": clean(facts["path"]),
        "event": clean(each.correlation.get("event", "")),
        "status": facts["status"],
        "failed": facts["failed"],
        "took": each.took,
        "answer": clean(facts["answer"])[:ANSWER],
    }


ANSWER = 4_000
"""The number of characters of an app's answer that are shown."""
