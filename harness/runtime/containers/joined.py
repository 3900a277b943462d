"""The containers of a run that another client has started."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from docker.models.containers import Container
from testcontainers.core.network import Network

from harness.core.launch import Build, Launch
from harness.runtime.attached import AttachedProcesses, Run
from harness.runtime.containers import agent
from harness.runtime.containers.engine import refusals
from harness.runtime.containers.engine_events import EngineEvents
from harness.runtime.containers.own_container import OwnContainer
from harness.runtime.containers.ownership import labels_of
from harness.runtime.containers.runtime import ContainerRuntime
from harness.runtime.instance import ProcessInstance


class JoinedContainers(ContainerRuntime):
    """Uses the containers of a run; closing it leaves the run running if it has other clients.

    Args:
        run: the run.
        environment: the variables that a process which is added on the host inherits.
        reference: returns the image reference for a launch's image.
        user: returns the account that an image must run as; "" for its own.
        whole: what an added launch with ``inherits`` inherits on the host instead.
    """

    def __init__(
        self,
        run: Run,
        environment: Mapping[str, str],
        reference: Callable[[str | Build], str],
        user: Callable[[str | Build], str] = lambda _: "",
        *,
        whole: Mapping[str, str] | None = None,
    ) -> None:
        self._run = run
        self._found: dict[str, Container] = {}
        super().__init__(environment, reference, user, whole=whole)

    def _make_engine_events(
        self, environment: Mapping[str, str], whole: Mapping[str, str] | None
    ) -> EngineEvents:
        def processes(
            told: Callable[[str], None], heard: Callable[[Mapping[str, object]], None]
        ) -> AttachedProcesses:
            self._processes = AttachedProcesses(self._run, environment, told, heard, whole=whole)
            return self._processes

        return EngineEvents(processes)

    def _open(self) -> None:
        self.run = self.folder.name
        self.labels = labels_of(self.run, self.owner)
        self._network = Network()
        self._network.name = self._network_name()

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Find the nodes of the run.

        Raises:
            ConfigError: the run is not one of these launches.
        """
        self._run.check(launches)
        self._processes.adopt([each for each in launches if each.on_host])
        self._engine_events.follow(lost=self._processes.helpers_lost)
        mark = f"{agent.RUN_LABEL}={self.run}"
        with refusals("looking for the containers of the stack"):
            found = self._engine_events.engine.client.containers.list(
                all=True, filters={"label": mark}
            )
        self._found = {each.labels.get(agent.NODE_LABEL, ""): each for each in found}

    def start(self, launch: Launch) -> OwnContainer | ProcessInstance:
        """The container of a node of the run; a node that is added is started.

        Raises:
            LaunchError: it is not running.
        """
        if launch.on_host:
            return self._processes.start(launch)
        if (container := self._found.get(launch.name)) is None:
            return super().start(launch)
        instance = OwnContainer(self, launch, container)
        self._engine_events.adopt(instance)
        state = container.attrs["State"]
        if not state["Running"]:
            instance.ended(int(state["ExitCode"]))
        instance.frozen = bool(state["Paused"])
        code = None if state["Running"] else instance.exit_code
        self._run.require_running(launch, {"code": code, "paused": state["Paused"]})
        return instance
