"""Progress and warnings as plain lines on pytest's terminal."""

from __future__ import annotations

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from harness.core.journal import Entry

EVERY = 30.0
"""Seconds between two progress lines."""


class Lines:
    """Shows provisioning as plain lines, bypassing pytest's capture."""

    def __init__(self, config: pytest.Config) -> None:
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._terminal = config.pluginmanager.get_plugin("terminalreporter")
        self._capture = config.pluginmanager.get_plugin("capturemanager")

    def say(self, line: str) -> None:
        """Write one line."""
        if self._terminal is not None:
            free = self._capture.global_and_fixture_disabled() if self._capture else nullcontext()
            with free:
                self._terminal.write_line(f"dapr-harness: {line}")

    def hear(self, entry: Entry) -> None:
        """Show the warnings of a start."""
        if entry.kind == "node.warned":
            self.say(f"warning: {entry.node}: {entry.facts['warning']}")

    def begin(self, what: str) -> None:
        """A slow step begins."""
        self._began[what] = self._told[what] = time.monotonic()
        self.say(f"{what} ...")

    def advance(self, what: str, fact: str) -> None:
        """The step is still running: print a line every half minute."""
        if time.monotonic() - self._told[what] > EVERY:
            self._told[what] = time.monotonic()
            elapsed = f"{time.monotonic() - self._began[what]:.0f} s"
            self.say(f"{what}: {', '.join(filter(None, [elapsed, fact]))} ...")

    def end(self, what: str, fact: str) -> None:
        """The step is done."""
        self.say(f"{what}: {fact}")
