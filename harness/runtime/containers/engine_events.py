"""Observes containers: the agent writes their logs and reports their exits."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness.core.closing import Closing
from harness.core.errors import LaunchError
from harness.runtime.containers import agent
from harness.runtime.containers.engine import Engine
from harness.runtime.containers.instance import ContainerInstance
from harness.runtime.processes import ProcessRuntime

AGENT_ENDED = "the agent that watched the container engine has ended"
MakeProcesses = Callable[
    [Callable[[str], None], Callable[[Mapping[str, Any]], None]], ProcessRuntime
]
STARTING = 20.0
"""Seconds within which the agent must have started; it takes 50 ms."""


class EngineEvents(Closing):
    """A supervisor with an agent, and the containers that it observes.

    Args:
        processes: makes the runtime of the processes on the host, which passes on the lines of the
            agent and the entries of the run's journal.

    Attributes:
        engine: the engine.
        processes: the processes on the host, and the supervisor.
    """

    def __init__(self, processes: MakeProcesses) -> None:
        self.engine = Engine()
        self._lock = threading.Lock()
        self._instances: dict[str, ContainerInstance] = {}
        self._early: dict[str, tuple[int, str, int | None]] = {}
        self._watching = threading.Event()
        self._lost = ""
        self.processes = processes(self._told, self._heard)

    @classmethod
    def of_own(
        cls, environment: Mapping[str, str], whole: Mapping[str, str] | None = None
    ) -> EngineEvents:
        """With a supervisor of its own.

        Args:
            environment: the variables that every process on the host inherits.
            whole: the environment that a launch with ``inherits`` inherits there instead.
        """
        return cls(lambda told, heard: ProcessRuntime(environment, told, heard, whole=whole))

    def log(self, name: str) -> Path:
        """The log file of a node."""
        return self.processes.log(name)

    def begin(self, label: str, node_label: str) -> None:
        """Start the agent for all containers with a label; another label has the node's name."""
        logs = str(self.processes.folder / "logs")
        self.processes.request("listen", argv=self._agent("watch", label, logs, node_label))

    def follow(self, *, lost: bool) -> None:
        """Use the agent that another client has started; it may have ended."""
        self._watching.set()
        if lost:
            self._lose(AGENT_ENDED)

    def sweep_at_the_end(self, label: str) -> None:
        """Have everything with this label removed at the end, whatever happens."""
        self.processes.request("at_end", argv=self._agent("sweep", label))

    def require(self) -> None:
        """Wait until the agent receives the engine's events.

        Raises:
            LaunchError: it does not.
        """
        if not self._watching.wait(STARTING) or self._lost:
            raise LaunchError(
                "the agent of the run does not watch the engine",
                last=self._lost or "it said nothing",
                budget=STARTING,
                hint=f"look at {self.processes.folder / 'logs' / 'supervisor.log'}",
            )

    def adopt(self, instance: ContainerInstance) -> None:
        """Inform an instance when its container exits, or that it has already exited."""
        with self._lock:
            others = {key: each for key, each in self._instances.items() if each is not instance}
            self._instances = {**others, instance.container_id: instance}
            early = self._early.pop(instance.container_id, None)
            if self._lost:
                early = (-int(signal.SIGKILL), self._lost, None)
        if early is not None:
            instance.ended(*early)

    def close(self) -> None:
        """Stop everything that the supervisor holds.

        Raises:
            TeardownError: something could not be removed.
        """
        try:
            self.processes.close()
        finally:
            self._lose("the run was closed")
            self.engine.close()

    def _agent(self, verb: str, *rest: str) -> list[str]:
        address = self.engine.address
        return [sys.executable, "-I", "-S", agent.__file__, verb, address, *rest]

    def _heard(self, entry: Mapping[str, Any]) -> None:
        """Handle an entry of the run's journal: another client may act on a container."""
        with self._lock:
            found = [each for each in self._instances.values() if each.name == entry["node"]]
        for instance in found:
            known = instance.container_id
            instance.heard(entry, own=entry.get("client") == self.processes.number)
            if instance.container_id != known:
                self.adopt(instance)

    def _told(self, line: str) -> None:
        """Handle a line from the agent; an empty line means that it has exited."""
        if not line:
            self._lose(AGENT_ENDED)
            return
        try:
            self._hear(json.loads(line))
        except (ValueError, TypeError, KeyError, AttributeError):
            self._lose(f"the agent that watches the container engine cannot be read: {line!r}")

    def _hear(self, facts: dict[str, Any]) -> None:
        if facts.get("watching"):
            self._watching.set()
        elif "lost" in facts:
            self._lose(f"the container engine has gone: {facts['lost']}")
        else:
            end = (int(facts["code"]), str(facts["reason"]), int(facts["at"]))
            with self._lock:
                instance = self._instances.get(facts["id"])
                if instance is None:
                    self._early[facts["id"]] = end
            if instance is not None:
                instance.ended(*end)

    def _lose(self, reason: str) -> None:
        """No container is observed any longer: the first reason applies to all of them."""
        with self._lock:
            self._lost = self._lost or reason
            reason = self._lost
            instances = list(self._instances.values())
        self._watching.set()
        for instance in instances:
            if instance.exit_code is None:
                instance.ended(-int(signal.SIGKILL), reason)
