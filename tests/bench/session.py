"""One session of a test run, in a process of its own: ``session.py start|attach NAME``.

It writes when its imports were done and when the stack was ready, in seconds of
``time.monotonic``, and ends with its standard input.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from harness import Settings, Stack, running
from harness.stack.registry import Registry
from scenarios.topology import reference

ROOT = Path(__file__).parent.parent.parent


def environment(settings: Settings) -> dict[str, str]:
    """What makes a session in a process of its own load these settings, from this checkout."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "DAPR_HARNESS_RUNTIME": settings.runtime,
        "DAPR_HARNESS_BROKER": settings.broker,
        "DAPR_HARNESS_OFFLINE": "yes",
        "DAPR_HARNESS_STATE_DIR": str(settings.state_dir),
    }


def main() -> None:
    """Start the reference stack and share it, or attach to it."""
    what, name = sys.argv[1:]
    imported = time.monotonic()
    settings = Settings.load()
    starts = what == "start"
    made = running(reference, settings) if starts else Stack.attach(name, reference, settings)
    with made as stack:
        ready = time.monotonic()
        if starts:
            Registry(settings.state_dir).record(stack, name)
        sys.stdout.write(f"{imported} {ready}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
