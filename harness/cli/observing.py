"""``events``, ``deliveries`` and ``calls``: what goes by in a stack that is up."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

import typer

from harness.cli.console import err, out, print_row
from harness.cli.stacks import Follow, Lines, NameOrFile
from harness.cli.state import opened
from harness.core.deadline import Deadline, Observation, poll, ticks
from harness.core.errors import ConfigError, HarnessError
from harness.core.kafka_access import Brokers
from harness.core.settings import Settings
from harness.probe.api_calls import Call
from harness.probe.deliveries import Delivery
from harness.probe.events import Event
from harness.probe.recorded import Recorded
from harness.probe.tap import EventTap
from harness.probe.topic_reader import recent_offsets
from harness.probe.waiting import unguarded
from harness.stack.registry import UpStack
from harness.stack.world import World

RECENT = 50
"""The number of existing events that are shown."""

READING = 30.0
"""Seconds within which the existing events must have been read."""

ENDING = 5.0
"""Seconds within which a stack must have ended after its parts are gone."""


def events(
    topic: Annotated[str, typer.Argument(help="The topic.")],
    name: NameOrFile = "default",
    follow: Follow = False,
    start: Annotated[
        str, typer.Option("--from", help="recent (the last 50) or beginning; on Kafka.")
    ] = "recent",
    event_type: Annotated[
        str | None, typer.Option("--type", help="Only CloudEvents of this type.")
    ] = None,
    pubsub: Annotated[
        str, typer.Option(help="The pub/sub component; by default, the topology's Kafka.")
    ] = "",
    as_json: Lines = False,
) -> None:
    """Show the events of a topic, without taking them from any subscriber."""
    if start not in ("recent", "beginning"):
        raise ConfigError(f"--from {start!r}", expected="recent or beginning")

    def show(found: Iterable[Event]) -> None:
        for each in found:
            if event_type is None or each.type == event_type:
                _print(_event_row(each), as_json=as_json)

    with _entered(name) as (up, world):
        brokers = "" if pubsub else world.beginning.brokers
        if brokers:
            _events_of_kafka(brokers, topic, start, show, _while_up(up, follow))
        else:
            _require_follow(follow, topic)
            tap = world.topic(topic, pubsub)
            tap.guard = unguarded
            err.print(f"listening to {topic}; events from now on", markup=False)
            _go_on(lambda: tap.seen, show, 0, _while_up(up, follow))


def deliveries(
    app: Annotated[str, typer.Argument(help="An app with an inbox, or a receiver.")],
    name: NameOrFile = "default",
    follow: Follow = False,
    as_json: Lines = False,
) -> None:
    """Show what daprd has delivered to an app, and how the app responded.

    The app needs `inbox=True` in the topology.
    """
    with _entered(name) as (up, world):
        inbox = world.inbox(app, from_beginning=True)
        _show_recorded(inbox, _while_up(up, follow), as_json=as_json)


def calls(
    app: Annotated[str, typer.Argument(help="An app whose calls are recorded.")],
    name: NameOrFile = "default",
    follow: Follow = False,
    as_json: Lines = False,
) -> None:
    """Show what an app has asked of its sidecar by HTTP, and how the sidecar responded.

    The app needs `calls=True` in the topology.
    """
    with _entered(name) as (up, world):
        recorded = world.calls(app, from_beginning=True)
        _show_recorded(recorded, _while_up(up, follow), as_json=as_json)


def _show_recorded(
    recorded: Recorded[Delivery] | Recorded[Call], more: Callable[[], bool], *, as_json: bool
) -> None:
    """The last items of a record, and then new ones as long as more can arrive."""

    def show(found: Iterable[Delivery | Call]) -> None:
        for each in found:
            _print(asdict(each), as_json=as_json)

    # It can be read even if another node has exited.
    recorded.guard = unguarded
    found = recorded.seen
    show(found[-RECENT:])
    _go_on(lambda: recorded.seen, show, len(found), more)


def _events_of_kafka(
    brokers: Brokers,
    topic: str,
    start: str,
    show: Callable[[Iterable[Event]], None],
    more: Callable[[], bool],
) -> None:
    begin = recent_offsets(brokers, topic, RECENT) if start == "recent" else None
    with EventTap(brokers, topic, begin) as tap:
        found = sorted(tap.up_to_now(Deadline(READING)), key=_in_order)
        show(found[-RECENT:] if start == "recent" else found)
        shown = {(each.partition, each.offset) for each in found}

        def fresh() -> Sequence[Event]:
            return [each for each in tap.seen if (each.partition, each.offset) not in shown]

        _go_on(fresh, show, 0, more)


def _go_on(
    seen: Callable[[], Sequence[Any]],
    show: Callable[[Iterable[Any]], None],
    already: int,
    more: Callable[[], bool],
) -> None:
    """Show new items as long as more can arrive."""
    for _ in ticks(Deadline(math.inf), 0.1):
        if not more():
            return
        try:
            found = seen()
        except HarnessError:
            # What is read ends a moment before its supervisor.
            if poll(lambda: Observation(not more()), Deadline(ENDING)).ok:
                return
            raise
        show(found[already:])
        already = len(found)


@contextmanager
def _entered(name: str) -> Iterator[tuple[UpStack, World]]:
    """A stack that is up, and a world on it."""
    from harness.inspection.opening import opening

    settings = Settings.load()
    opened(settings)
    stack, record = opening(name, settings)
    with stack, World(stack) as world:
        yield record(), world


def _while_up(up: UpStack, follow: bool) -> Callable[[], bool]:
    def more() -> bool:
        alive = follow and up.alive
        if follow and not alive:
            err.print(f"stack {up.name!r} has ended")
        return alive

    return more


def _require_follow(follow: bool, topic: str) -> None:
    if not follow:
        raise ConfigError(
            f"the past events of topic {topic!r} cannot be shown",
            expected="a Kafka topic, which keeps its events",
            hint="-f shows events from now on; docs/taps.md explains the difference",
        )


def _in_order(event: Event) -> tuple[datetime, int, int]:
    return event.time, event.partition, event.offset


def _event_row(event: Event) -> dict[str, Any]:
    row = asdict(event)
    return {**row, "time": event.time.isoformat(timespec="milliseconds")}


def _print(row: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_row(row)
        return
    data = json.dumps(row["data"], ensure_ascii=False, default=str)
    if "offset" in row:
        place = f"{row['partition']}/{row['offset']}"
        words = [row["time"][11:23], place, row["type"], row["key"] or "", data]
    else:
        status = "no response" if row["status"] is None else row["status"]
        words = [f"{row['method']} {row['path']} -> {status}", f"{row['took'] * 1000:.0f} ms"]
        words += [row.get("type", ""), row.get("id", ""), data]
    out.print("  ".join(word for word in words if word), markup=False, soft_wrap=True)
