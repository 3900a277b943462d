"""``demo``: the reference system, three stories on it, and the measured figures."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

import harness
from harness.cli.console import StartProgress, Steps, out
from harness.core.errors import SystemFailure, Unavailable
from harness.core.settings import Settings
from harness.report.waterfall import draw, node_starts
from harness.stack.loading import load_topology
from harness.stack.run import running
from harness.stack.world import World

EVENTS = 40
"""The number of events for the latency figure."""

Figures = dict[str, str]


def demo(
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Never use the network.")
    ] = None,
) -> None:
    """Start the todo application, run three stories on it, show the measured figures, stop it."""
    settings = replace(
        Settings.load(offline=offline), root=_reference(), topology="scenarios.topology:reference"
    )
    shown_start, began = StartProgress(), time.monotonic()
    stack = running(load_topology(settings), settings, progress=Steps(), watch=shown_start)
    figures: Figures = {}
    stack.provision()  # it shows its own progress, and a terminal can have only one live display
    with shown_start.shown():
        stack.start()
    try:
        figures["all nodes ready after"] = f"{stack.took:.2f} s"
        for line in draw(node_starts(stack.journal)):
            out.print(line, soft_wrap=True, markup=False)
        for title, story in STORIES.items():
            with World(stack) as world:
                _play(title, story, world, figures)
    finally:
        stopping = time.monotonic()
        stack.close()
    figures["stopped and cleaned up after"] = f"{time.monotonic() - stopping:.2f} s"
    figures["everything together"] = f"{time.monotonic() - began:.2f} s"
    _print(figures)


def _play(
    title: str, story: Callable[[World, Figures], str], world: World, figures: Figures
) -> None:
    try:
        outcome = story(world, figures)
    except AssertionError as error:
        out.print(f"[red]✗[/] {title}")
        if isinstance(error, SystemFailure):
            raise
        raise SystemFailure(f"the story failed: {title}", last=str(error)) from error
    out.print(f"[green]✓[/] {title}\n  {outcome}", soft_wrap=True)


def events_flow(world: World, figures: Figures) -> str:
    """A task is created, and the notification service receives its event."""
    user, backend = world.name("ada"), world.app("backend-service")
    inbox, delays = world.inbox("notification-service"), []
    for number in range(EVENTS):
        sent = time.monotonic()
        task = _made(backend.post(f"/api/{user}/tasks", json={"title": f"Task {number}"}))
        delays.append(inbox.next(subject=task["id"]).at - sent)
    rows = world.table("notifications")
    world.eventually(lambda: rows.count(user_id=user) == EVENTS)
    figures["request to event handler, p50 of 40"] = f"{statistics.median(delays) * 1000:.1f} ms"
    first = min(rows.rows(user_id=user), key=lambda row: row["created_at"])
    return f"{EVENTS} tasks, {EVENTS} events, {EVENTS} notifications: {first['message']!r} ..."


def state_survives(world: World, figures: Figures) -> str:
    """A conversation survives a restart of its sidecar, and a stale writer is rejected."""
    talk = f"/api/{world.name('ada')}/conversations/c1"
    backend = world.app("backend-service")
    hello = {"messages": [{"role": "user", "text": "Hello", "at": None}]}
    backend.put(talk, json=hello).raise_for_status()
    etag = backend.get(talk).headers["etag"]
    began = time.monotonic()
    world.stack.restart(world.stack.topology.sidecar_of("backend-service").name)
    figures["sidecar restarted and ready after"] = f"{time.monotonic() - began:.2f} s"
    kept = backend.get(talk).json()
    assert kept == hello, kept
    first = backend.put(talk, json=hello, headers={"if-match": etag}).status_code
    second = backend.put(talk, json=hello, headers={"if-match": etag}).status_code
    assert (first, second) == (204, 409), (first, second)
    return "saved, sidecar restarted, read back; writer 1: 204, writer 2 with the old ETag: 409"


def reminder_fires(world: World, figures: Figures) -> str:
    """A reminder fires when it is due, and becomes a notification."""
    user = world.name("ada")
    due = datetime.now(UTC) + timedelta(seconds=1)
    body = {"title": "Call mum", "remind_at": due.isoformat()}
    task = _made(world.app("backend-service").post(f"/api/{user}/tasks", json=body))
    event = world.topic("reminders").next(type="com.taskmanager.reminder.due", subject=task["id"])
    row = world.table("notifications").row(event_id=event.id)
    late = (event.time - due).total_seconds()
    assert late > -0.001, f"fired {-late} s early"
    figures["reminder event after due time"] = f"{late * 1000:.0f} ms"
    return f"due at {due:%H:%M:%S.%f}, published {late * 1000:.0f} ms later: {row['message']!r}"


STORIES = {
    "a task event reaches the notification service": events_flow,
    "conversation state survives, and a stale ETag is refused": state_survives,
    "a reminder fires on time": reminder_fires,
}


def _made(answer: Any) -> dict[str, Any]:
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    return task


def _reference() -> Path:
    """The reference system's folder: next to the package in the repository, else inside it."""
    package = Path(harness.__file__).parent
    for folder in (package.parent, package / "reference"):
        if (folder / "scenarios" / "topology.py").is_file():
            sys.path.insert(0, str(folder))
            return folder
    raise Unavailable("the reference system is not installed", hint="reinstall dapr-harness[demo]")


def _print(figures: Figures) -> None:
    table = Table(title="measured", title_justify="left", show_header=False)
    for what, figure in figures.items():
        table.add_row(what, figure)
    out.print(table)
