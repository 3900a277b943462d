"""A process that somebody else starts and stops: the run only waits for it."""

from __future__ import annotations

from pathlib import Path

from harness.core.launch import Launch
from harness.runtime.base import BaseInstance


class ExternalInstance(BaseInstance):
    """A node without a process of the run. It cannot be killed, paused or restarted."""

    def __init__(self, launch: Launch, log: Path) -> None:
        super().__init__(launch)
        self.pid = 0
        self.log = log

    def __repr__(self) -> str:
        return f"<{self.name} external>"

    def stop(self, grace: float | None = None) -> None:
        """Do nothing: whoever started it stops it."""
