"""One session of a test run, in a process of its own: ``session.py start|attach NAME``.

It writes when its imports were done and when the stack was ready, in seconds of
``time.monotonic``, and ends with its standard input.
"""

from __future__ import annotations

import sys
import time

from harness import Settings, Stack, running
from harness.stack.registry import Registry
from scenarios.topology import reference


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
