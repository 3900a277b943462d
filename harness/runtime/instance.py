"""One process of the processes runtime."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any, Protocol

from harness.errors import TeardownError
from harness.launch import Launch
from harness.runtime.base import Life


class Owner(Protocol):
    """The part of the runtime that an instance uses."""

    def log(self, name: str) -> Path:
        """The log file of a node."""
        ...

    def request(self, op: str, **facts: Any) -> dict[str, Any]:
        """Send a request to the supervisor."""
        ...

    def spawn(self, instance: ProcessInstance) -> None:
        """Start the process of an instance."""
        ...


class ProcessInstance(Life):
    """A launch that runs as a child of the supervisor. Killable, pausable, restartable."""

    def __init__(self, runtime: Owner, launch: Launch) -> None:
        super().__init__(launch)
        self._runtime = runtime
        self.pid = 0
        self._ended = threading.Event()

    def __repr__(self) -> str:
        return f"<{self.name} {self.state.value} pid={self.pid}>"

    @property
    def log(self) -> Path:
        """The file that receives both output streams from the first byte on."""
        return self._runtime.log(self.name)

    def begun(self, pid: int) -> None:
        """Called by the runtime when the process has started."""
        self.pid, self._exit_code, self._ready = pid, None, False
        self.exit_expected = False
        self._ended.clear()

    def ended(self, code: int) -> None:
        """Called by the runtime when the process has exited."""
        self._exit_code = code
        self._ended.set()

    def stop(self, grace: float | None = None) -> None:
        """Send SIGTERM, then SIGKILL after the grace period; wait until it is gone."""
        self.expect_exit()
        if self._ended.is_set():
            return
        # A stopped process does not handle SIGTERM until it is continued.
        self._signal(signal.SIGCONT)
        self._runtime.request("signal_one", pid=self.pid, signal=int(self.launch.stop_signal))
        if not self._ended.wait(self.launch.grace if grace is None else grace):
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the process and its descendants; wait until it is gone."""
        self.expect_exit()
        if self._ended.is_set():
            return
        self._signal(signal.SIGKILL)
        if not self._ended.wait(10):
            raise TeardownError(
                f"{self.name} (pid {self.pid}) survived SIGKILL",
                budget=10,
                hint="look at its state in /proc; one in uninterruptible I/O cannot be killed",
            )

    def pause(self) -> None:
        """Send SIGSTOP to the process and its descendants."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Send SIGCONT to the process and its descendants."""
        self._signal(signal.SIGCONT)

    def restart(self, grace: float | None = None) -> None:
        """Stop and start the same launch again: same ports, same data."""
        self.stop(grace)
        self._runtime.spawn(self)

    def _signal(self, number: signal.Signals) -> None:
        self._runtime.request("signal", pid=self.pid, signal=int(number))
