"""One container of the containers runtime."""

from __future__ import annotations

import signal
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from docker.errors import NotFound
from docker.models.containers import Container

from harness.core.deadline import Deadline, Observation, poll
from harness.core.errors import HarnessError, InstanceDied, LaunchError, TeardownError
from harness.core.launch import Launch
from harness.runtime.base import BaseInstance
from harness.runtime.containers.engine import refusals

FREEZING = 10.0
"""Seconds within which the engine must have frozen a container."""

GONE = 15.0
"""Seconds after SIGKILL within which the engine must report a container's exit."""


class Owner(Protocol):
    """The part of the runtime that an instance uses."""

    def log(self, name: str) -> Path:
        """The log file of a node."""
        ...

    def open_ports(self, launch: Launch) -> None:
        """Release the ports that a launch publishes, just before it starts."""
        ...

    def operation(self, act: str, name: str) -> AbstractContextManager[dict[str, Any]]:
        """Act on a node while other clients wait; they are informed."""
        ...


class ContainerInstance(BaseInstance):
    """A launch that runs in a container. Killable, pausable, restartable.

    Attributes:
        frozen: whether it is paused.
    """

    def __init__(self, runtime: Owner, launch: Launch, container: Container) -> None:
        super().__init__(launch)
        self._runtime = runtime
        self._container = container
        self._ended = threading.Event()
        self.frozen = False
        self.pid = pid_of(container)
        self._since = beginning_of(container)

    def __repr__(self) -> str:
        return f"<{self.name} {self.state.value} container={self._container.short_id}>"

    @property
    def container_id(self) -> str:
        """The engine's id."""
        return str(self._container.id)

    def memory(self) -> int:
        """Bytes of memory as its engine counts them, without cached files; 0 if it does not run."""
        told: Any = {}
        with suppress(NotFound, HarnessError), refusals(f"measuring {self.name}"):
            told = self._container.stats(stream=False, one_shot=True)
        told = told.get("memory_stats", {})
        cached = told.get("stats", {})
        # The names of version 1 and 2 of control groups.
        files = cached.get("total_inactive_file", cached.get("inactive_file", 0))
        return max(0, int(told.get("usage", 0)) - int(files))

    @property
    def log(self) -> Path:
        """The file that receives both output streams from the first byte on."""
        return self._runtime.log(self.name)

    def ended(self, code: int, reason: str = "", at: int | None = None) -> None:
        """Called by the runtime when the container has exited and its log is complete.

        Args:
            code: its exit code.
            reason: why it exited, if more is known.
            at: when, in epoch nanoseconds; now if None.
        """
        if at is not None and at < self._since:
            return  # another client has started it again
        # As in a shell: 128 plus the number of the signal.
        self._exit_code = 128 - code if 128 < code < 160 else code
        self.exit_reason = reason or self.exit_reason
        self._ended.set()

    def heard(self, entry: Mapping[str, Any], *, own: bool) -> None:
        """Called by the runtime with each entry of the run's journal about this node."""
        kind, act = entry["kind"], entry.get("act")
        if kind == "node.ready":
            self.mark_running()
        elif kind == "operation.begun":
            self.announce(str(act), entry["by"], own=own)
        elif kind == "operation.ended" and not own and entry.get("pid"):
            if container := entry.get("container"):
                self._container = _without_asking(self._container, str(container))
            if act == "restart":
                self._begun(int(entry["pid"]))
            self.frozen = act == "pause"

    def stop(self, grace: float | None = None) -> None:
        """Send the stop signal, then SIGKILL after the grace period; wait until it is gone."""
        self.expect_exit()
        if not self._ended.is_set():
            with self._runtime.operation("stop", self.name):
                self._stop(grace)

    def kill(self) -> None:
        """Send SIGKILL to everything in the container; wait until it is gone."""
        self.expect_exit()
        if not self._ended.is_set():
            with self._runtime.operation("kill", self.name):
                self._kill()

    def pause(self) -> None:
        """Freeze everything in the container."""
        with self._runtime.operation("pause", self.name) as result:
            self._require_life()
            seen = poll(self._freeze, Deadline(FREEZING))
            if not seen.ok:
                raise LaunchError(
                    f"pausing {self.name} failed",
                    expected="a frozen cgroup",
                    last=seen.fact,
                    budget=FREEZING,
                    hint="look at the engine's log",
                )
            self.frozen = True
            result["pid"] = self.pid

    def resume(self) -> None:
        """Let it continue."""
        with self._runtime.operation("resume", self.name) as result:
            self._resume()
            result["pid"] = self.pid

    def restart(self, grace: float | None = None) -> None:
        """Stop the container and start it again: same ports, same data."""
        self.expect_exit()
        with self._runtime.operation("restart", self.name) as result:
            self._stop(grace)
            self._start()
            result["pid"] = self.pid

    def _stop(self, grace: float | None) -> None:
        if self._ended.is_set():
            return
        if self.frozen:
            self._resume()
        self._signal(self.launch.stop_signal)
        if not self._ended.wait(self.launch.grace if grace is None else grace):
            self._kill()

    def _kill(self) -> None:
        if self._ended.is_set():
            return
        self._signal(signal.SIGKILL)
        self.frozen = False
        if not self._ended.wait(GONE):
            raise TeardownError(
                f"the container of {self.name} ({self._container.short_id}) survived SIGKILL",
                budget=GONE,
                hint="ask the engine: docker inspect, docker events",
            )

    def _resume(self) -> None:
        self._require_life()
        with refusals(f"resuming {self.name}"):
            self._container.unpause()
        self.frozen = False

    def _start(self) -> None:
        self._exit_code = None
        self._ended.clear()
        self._runtime.open_ports(self.launch)
        with refusals(f"starting the container of {self.name}"):
            self._container.start()
            self._container.reload()
        self._since = beginning_of(self._container)
        self._begun(pid_of(self._container))

    def _begun(self, pid: int) -> None:
        self.pid, self._exit_code, self._ready, self.frozen = pid, None, False, False
        self.exit_expected = False
        self._ended.clear()

    def _freeze(self) -> Observation:
        """Send one request to the engine. If a container's threads do not stop soon enough (a JVM
        under load), runc gives up, thaws it and reports this."""
        try:
            with refusals(f"pausing {self.name}"):
                self._container.pause()
        except LaunchError as error:
            if "unable to freeze" not in error.last:
                raise
            return Observation(False, error.last)
        return Observation(True)

    def _signal(self, number: signal.Signals) -> None:
        try:
            with refusals(f"signalling {self.name}"):
                self._container.kill(signal=number.name)
        except NotFound:
            self.ended(-int(signal.SIGKILL), "its container was removed by someone else")
        except Exception:
            # It may have exited by itself in the meantime.
            if not self._ended.wait(1):
                raise

    def _require_life(self) -> None:
        if self._ended.is_set():
            raise InstanceDied(f"{self.name} has ended", last=f"exit code {self._exit_code}")


def _without_asking(other: Container, identity: str) -> Container:
    """A container of the same engine."""
    return Container({"Id": identity}, client=other.client, collection=other.collection)


def beginning_of(container: Container) -> int:
    """When the container was started, in epoch nanoseconds; 0 if it is not known."""
    began = str(container.attrs.get("State", {}).get("StartedAt") or "")
    if not began:
        return 0
    return int(datetime.fromisoformat(began).timestamp() * 1_000_000) * 1000


def pid_of(container: Container) -> int:
    """The container's first process, as its engine's machine sees it."""
    return int(container.attrs["State"].get("Pid") or 0)
