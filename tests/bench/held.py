"""A stack of about thirty processes, in a process of its own: ``held.py FOLDER``.

It writes the pid of the stack's supervisor and its run folder, and ends with its standard input.
"""

from __future__ import annotations

import sys
from pathlib import Path

from harness import App, Settings, Topology, running
from tests.projects import HELLO_APP

APPS = 10
"""Each has a recorder and a sidecar."""


def main() -> None:
    """Start it, and hold it."""
    folder = Path(sys.argv[1])
    (folder / "hello.py").write_text(HELLO_APP)
    command = [sys.executable, "hello.py", "{port}"]
    apps = [
        App(f"hello-{number}", command=command, cwd=folder, inbox=True) for number in range(APPS)
    ]
    with running(Topology(*apps), Settings.load()) as stack:
        sys.stdout.write(f"{stack.owner} {stack.folder}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
