"""``ledger``, ``explain``, ``redeliver`` and ``topics``: where the events of a stack went."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.console import add_row, err, out, print_json, print_row, table
from harness.cli.stacks import Follow, Json, Lines, NameOrFile
from harness.core.deadline import Deadline, ticks
from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from harness.inspection.inspection import Inspection
    from harness.inspection.model import EventDetail, EventRow, TopicRow

Event = Annotated[str, typer.Argument(metavar="EVENT", help="Its id, or its key in the ledger.")]

INTERVAL = 0.5
"""Seconds between two looks at the ledger."""


def ledger(
    name: NameOrFile = "default",
    topic: Annotated[str | None, typer.Option(help="Only events of this topic.")] = None,
    text: Annotated[
        str | None, typer.Option(help="Only events whose id, type, topic or data has this text.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only later ones, such as 2030-01-31T12:00Z.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The number of events, the newest.")] = 200,
    follow: Follow = False,
    as_json: Lines = False,
) -> None:
    """Show every event since the stack was started, whoever published it, and its outcome."""
    wanted: dict[str, Any] = {"topic": topic, "text": text, "since": _time(since)}
    with inspected(name) as seen:
        page = seen.events(**wanted, limit=limit)
        warn(page.missing)
        if page.truncated and not as_json:
            err.print(f"the last {len(page.rows)} of {page.total} events", markup=False)
        _show(page.rows, as_json=as_json)
        for _ in ticks(Deadline(math.inf), INTERVAL) if follow else ():
            if not seen.alive:
                err.print(f"stack {name!r} has ended")
                return
            page = seen.events(**wanted, after=page.next, limit=limit)
            _show(page.rows, as_json=as_json)


def explain(event: Event, name: NameOrFile = "default", as_json: Json = False) -> None:
    """Explain where one event went: who published it, who received it when, and what they answered.

    The lines of all logs that mention it follow.
    """
    with inspected(name) as seen:
        found = seen.event(event)
    warn(found.missing)
    if as_json:
        print_json(found.as_json())
        return
    for line in _told(found):
        out.print(line, markup=False, soft_wrap=True)


def redeliver(
    event: Event,
    name: NameOrFile = "default",
    app: Annotated[
        str | None,
        typer.Option(help="The app whose sidecar publishes; by default, one that can."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Publish the data of an event again, to its topic and with its type.

    This is a new publication: every subscriber of the topic receives it, under a new id.
    """
    with inspected(name) as seen:
        done = seen.redeliver(event, app=app)
    if as_json:
        print_json(done.as_json())
        return
    out.print(f"event {event}: {done.note}", markup=False, soft_wrap=True)


def topics(
    name: NameOrFile = "default",
    partitions: Annotated[
        bool, typer.Option("--partitions", help="Each partition with its consumer groups.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the topics: their records, subscribers, dead-letter topics, and what is unhandled."""
    with inspected(name) as seen:
        found = seen.overview()
    warn(found.missing)
    if as_json:
        print_json([each.as_json() for each in found.topics])
        return
    if partitions:
        _show_partitions(found.topics)
        return
    made = table("topics", "topic", "pub/sub", "records", "subscribers")
    for each in found.topics:
        add_row(made, each.name, each.pubsub, str(each.records), _subscribers(each))
    out.print(made)


def _show_partitions(topics: Iterable[TopicRow]) -> None:
    made = table(
        "partitions", "topic", "partition", "end offset", "group", "offset", "lag", "reads"
    )
    for topic in topics:
        for part in topic.partitions:
            place = topic.name, str(part.number), str(part.end)
            for each in part.groups:
                known = (each.offset, each.lag)
                figures = ("none" if number is None else str(number) for number in known)
                add_row(made, *place, each.group, *figures, "yes" if each.reads else "no")
            if not part.groups:
                add_row(made, *place, "", "", "", "")
    out.print(made)


def inspected(name: str) -> Inspection:
    """What may be seen of a stack; imported here because other commands do not need it.

    Raises:
        ConfigError: no stack of this name is up.
    """
    from harness.inspection.inspection import Inspection

    return Inspection.of(name)


def _show(rows: Iterable[EventRow], *, as_json: bool) -> None:
    for row in rows:
        if as_json:
            print_row(row.as_json())
            continue
        apps = ", ".join(row.apps)
        words = (clock(row.at), row.outcome, row.topic, row.type, row.id or row.key, apps)
        out.print("  ".join(filter(None, words)), markup=False, soft_wrap=True)


def _told(found: EventDetail) -> Iterable[str]:
    yield f"{found.path['title']}: {found.conclusion}"
    yield from (f"  {line}" for line in found.explanation)
    yield f"data: {found.data}{'...' if found.truncated else ''}"
    if found.path["trace"]:
        yield f"trace: {found.path['trace']}"
    if found.logs:
        yield "in the logs:"
    yield from (f"  {clock(each.at)}  {each.node}: {each.text}" for each in found.logs)


def _subscribers(topic: TopicRow) -> str:
    return "\n".join(
        f"{each.app}{'' if each.recorded else ' (not recorded)'}"
        f"{f', dead letters to {each.dead_letter}' if each.dead_letter else ''}"
        f"{f', {each.lag} unhandled' if each.lag else ''}"
        for each in topic.subscribers
    )


def warn(missing: Iterable[str]) -> None:
    """Say what could not be read, on standard error."""
    for each in missing:
        err.print(f"warning: {each}", markup=False, soft_wrap=True)


def clock(seconds: float) -> str:
    """A time of day, UTC's, with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%S.%f")[:-3]


def _time(text: str | None) -> float:
    """Seconds since the epoch; a time without a zone is UTC's, as all times that are shown.

    Raises:
        ConfigError: it is not a time.
    """
    if text is None:
        return 0.0
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(
            f"--since {text!r} is not a time",
            expected="ISO 8601, such as 2030-01-31T12:00:00Z",
            last=str(error),
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
