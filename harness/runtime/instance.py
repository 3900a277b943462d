"""One process of the processes runtime."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.core.files import write_private
from harness.core.launch import Launch
from harness.runtime.base import BaseInstance, Instance
from harness.runtime.proc import cpu_of


class Owner(Protocol):
    """The part of the runtime that an instance uses."""

    def home(self, name: str) -> Path:
        """The folder of a node."""
        ...

    def spawn(self, instance: ProcessInstance) -> None:
        """Start the process of an instance, which has none."""
        ...

    def log(self, name: str) -> Path:
        """The log file of a node."""
        ...

    def operate(self, op: str, name: str, **facts: Any) -> dict[str, Any]:
        """Have the supervisor carry out an operation on a node."""
        ...


class ProcessInstance(BaseInstance):
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
        if not self._ended.is_set():
            self._runtime.operate("stop", self.name, grace=grace)

    def kill(self) -> None:
        """Send SIGKILL to the process and its descendants; wait until it is gone."""
        self.expect_exit()
        if not self._ended.is_set():
            self._runtime.operate("kill", self.name)

    def pause(self) -> None:
        """Send SIGSTOP to the process and its descendants."""
        self._runtime.operate("pause", self.name)

    def resume(self) -> None:
        """Send SIGCONT to the process and its descendants."""
        self._runtime.operate("resume", self.name)

    def change_files(self, removed: Iterable[str], written: Mapping[str, str]) -> None:
        """Remove files of its launch and write others, whether it runs or not."""
        home = self._runtime.home(self.name)
        for name in removed:
            (home / name).unlink(missing_ok=True)
        for name, text in written.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            write_private(home / name, text)

    def relaunch(self, launch: Launch) -> None:
        """Start another launch of the same node, which has been stopped: same ports, same data."""
        self.launch = launch
        self._runtime.spawn(self)

    def restart(self, grace: float | None = None) -> None:
        """Stop and start the same launch again: same ports, same data."""
        self.expect_exit()
        self._runtime.operate("restart", self.name, grace=grace)


def used_by(instance: Instance) -> dict[str, float]:
    """What the process of an instance has used so far, as facts of a journal entry: ``cpu``, in
    seconds. A container may be on another machine, so nothing is known of it."""
    used = cpu_of(instance.pid) if isinstance(instance, ProcessInstance) else None
    return {} if used is None else {"cpu": used}
