"""The reference system without inboxes, with additional sinks."""

from __future__ import annotations

import sys

from harness import App
from harness.nodes.command import KEPT
from scenarios.topology import TOPICS, todo

REQUIREMENTS = "services/requirements.txt"


def sink(name: str, kind: str, *, inbox: bool = False) -> App:
    """An app that records arrivals.

    Args:
        name: the app's name.
        kind: the kind of sink, see `loadtests.sink`.
        inbox: record the deliveries of its sidecar.
    """
    command = [sys.executable, "-m", "loadtests.sink", kind, "{host}", "{port}"]
    return App(name, command=command, health="/healthz", requirements=REQUIREMENTS, inbox=inbox)


ECHO = App(
    "load-echo",
    command=[
        sys.executable, "-m", "uvicorn", "loadtests.echo:app", "--host", "{host}",
        "--port", "{port}", "--no-access-log", "--log-level", "warning",
        "--timeout-keep-alive", str(KEPT),
    ],
    health="/healthz",
    requirements=REQUIREMENTS,
)  # fmt: skip
"""An app that is called through two sidecars and directly."""

SINK = sink("load-sink", "app")
RAW = "load-raw:3"
load = todo(inbox=False, topics=[*TOPICS, "load:3", RAW], more=[SINK, ECHO])
watched = todo(
    inbox=False,
    topics=[*TOPICS, "load:3", "load-watched:3", RAW],
    more=[SINK, sink("watched-sink", "watched", inbox=True)],
)
"""Two sinks, one of them behind an inbox."""
