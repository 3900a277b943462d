"""The processes of a run that another client has started."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.errors import LaunchError
from harness.core.launch import Launch
from harness.runtime.instance import ProcessInstance
from harness.runtime.processes import ProcessRuntime
from harness.runtime.supervisor_client import SupervisorClient


@dataclass(frozen=True)
class Run:
    """A run that is up, and what a new client expects of it.

    Attributes:
        folder: the run's folder.
        owner: the process id of its supervisor.
        check: called with all launches before anything else; raises if they are not the run's.
        all_running: whether every required node must be running.
    """

    folder: Path
    owner: int
    check: Callable[[Sequence[Launch]], None]
    all_running: bool = True

    def require_running(self, launch: Launch, state: Mapping[str, Any]) -> None:
        """Check a node that others depend on.

        Args:
            launch: the node.
            state: its ``code`` (None while it runs), whether it is ``paused``, and ``why``.

        Raises:
            LaunchError: it is not running.
        """
        if not self.all_running or not launch.required:
            return
        code = state["code"]
        if code is not None and not (launch.exit_ok and code == 0):
            raise LaunchError(
                f"{launch.name} is not running in the stack",
                expected="every node running",
                last=", ".join(filter(None, [f"it exited with code {code}", state.get("why")])),
                hint=f"`dapr-harness restart {launch.name}`, or `down` and `up` again",
            )
        if state.get("paused"):
            raise LaunchError(
                f"{launch.name} is paused in the stack",
                expected="every node running",
                last=str(state.get("why", "")),
                hint=f"`dapr-harness resume {launch.name}`",
            )


class AttachedProcesses(ProcessRuntime):
    """Uses the processes of a run; closing it leaves the run running if it has other clients.

    Args:
        run: the run.
        environment: the variables that a process which is added inherits.
        told: called with each line that a helper of the supervisor prints.
        heard: called with each entry of the run's journal.
        whole: what an added launch with ``inherits`` inherits instead.
    """

    def __init__(
        self,
        run: Run,
        environment: Mapping[str, str],
        told: Callable[[str], None] = lambda _: None,
        heard: Callable[[Mapping[str, Any]], None] = lambda _: None,
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run
        self._rows: dict[str, dict[str, Any]] = {}
        self.helpers_lost = False
        super().__init__(environment, told, heard, whole=whole)

    def _open(self, environment: Mapping[str, str], whole: Mapping[str, str]) -> None:
        self.folder, self.owner = self._run.folder, self._run.owner
        self._supervisor = SupervisorClient.connect(self.folder, self.owner, self)
        # Each client has a folder of its own.
        self._inherit(environment, whole, self.folder / f"path-{secrets.token_hex(4)}")

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Find the nodes of the run.

        Raises:
            ConfigError: the run is not one of these launches.
        """
        self._run.check(launches)
        self.adopt(launches)

    def adopt(self, launches: Sequence[Launch]) -> None:
        """Follow the processes of these launches from now on."""
        with self._lock:
            self._instances |= {each.name: self.made(each) for each in launches}
        state = self.request("state")
        self.helpers_lost = state["helpers_lost"]
        self._rows = state["nodes"]
        for name, row in self._rows.items():
            if instance := self._instances.get(name):
                instance.begun(row["pid"])
                if row["code"] is not None:
                    instance.exit_reason = row["why"]
                    instance.ended(row["code"])
        # Everything after that state, and nothing before it.
        self.request("subscribe", after=state["seq"])

    def start(self, launch: Launch) -> ProcessInstance:
        """The process of a node of the run; a node that is added is started.

        Raises:
            LaunchError: it is not running.
        """
        row = self._rows.get(launch.name)
        if row is None:
            return super().start(launch)
        self._run.require_running(launch, row)
        return self._instances[launch.name]
