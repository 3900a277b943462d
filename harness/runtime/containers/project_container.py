"""The container of a service of a compose project, which compose may stop, remove or replace."""

from __future__ import annotations

import signal

from docker.models.containers import Container

from harness.core.errors import ConfigError
from harness.core.launch import Launch
from harness.runtime.containers.engine import Engine
from harness.runtime.containers.instance import ContainerInstance, Owner, beginning_of, pid_of

REMOVED = "the compose project has no container of it"


class ProjectContainer(ContainerInstance):
    """The container of a service. What is said of it holds for the one that compose has now.

    Args:
        runtime: the project.
        launch: what was planned for the service.
        container: its container; None if there is none.
        engine: the engine that may have one later.
    """

    def __init__(
        self, runtime: Owner, launch: Launch, container: Container | None, engine: Engine
    ) -> None:
        # Of what does not exist, the engine tells nothing.
        none = Container({"Id": "", "State": {}}, client=engine.client)
        super().__init__(runtime, launch, container or none)
        self._apply(container)

    def follow(self, container: Container | None) -> None:
        """Take over what the engine tells of the service now.

        Args:
            container: its container; None if there is none.
        """
        if container is not None:
            began = beginning_of(container)
            other = container.id != self.container_id or began > self._since
            self._container = container
            if container.attrs["State"]["Running"] and (other or self.exit_code is not None):
                self._since = began
                self._begun(pid_of(container))
                self.mark_running()
        self._apply(container)

    def restart(self, grace: float | None = None) -> None:
        """Stop the container and start it again: same ports, same data.

        Raises:
            ConfigError: it was removed; only compose can create it.
        """
        if not self.container_id:
            raise ConfigError(
                f"{self.name} cannot be restarted",
                last=REMOVED,
                hint=f"`docker compose up -d {self.name}` creates it",
            )
        super().restart(grace)

    def _apply(self, container: Container | None) -> None:
        if container is None:
            self._container = Container({"Id": "", "State": {}}, client=self._container.client)
            self.frozen = False
            if self.exit_code is None:
                self.ended(-int(signal.SIGKILL), REMOVED)
            return
        state = container.attrs["State"]
        self.frozen = bool(state["Paused"])
        # One that was started here meanwhile has begun later than the engine told.
        is_now = beginning_of(container) >= self._since
        if is_now and not state["Running"] and self.exit_code is None:
            self.ended(int(state["ExitCode"]))
