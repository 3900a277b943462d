"""The reference system without inboxes, and a sink beside it."""

from __future__ import annotations

import sys

from harness import App
from scenarios.topology import TOPICS, todo

SINK = App(
    "load-sink",
    command=[
        sys.executable, "-m", "uvicorn", "loadtests.sink:app", "--host", "{host}",
        "--port", "{port}", "--no-access-log", "--log-level", "warning",
    ],
    health="/healthz",
    requirements="services/requirements.txt",
)  # fmt: skip

load = todo(inbox=False, topics=[*TOPICS, "load:3", "load-raw:3"], more=[SINK])
