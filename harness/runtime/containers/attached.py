"""A runtime that starts nothing: it uses the containers of a running compose project."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from docker.models.containers import Container

from harness.core.closing import Closing
from harness.core.endpoint import LOOPBACK, Endpoint
from harness.core.errors import ConfigError, HarnessError, LaunchError
from harness.core.journal import Entry
from harness.core.launch import Launch
from harness.runtime.containers.engine import refusals
from harness.runtime.containers.engine_events import EngineEvents
from harness.runtime.containers.project_container import ProjectContainer
from harness.runtime.external import ExternalInstance

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
WORKING_DIR = "com.docker.compose.project.working_dir"
"""Labels that docker-compose 1 and Compose v2 both set."""


class AttachedRuntime(Closing):
    """Finds a launch's container by its service name; closing this stops none of them.

    Args:
        environment: the variables that a process on the host inherits.
        folder: the compose project's folder.
        all_running: whether a service that is not running is an error.

    Raises:
        ConfigError: no project of that folder is running.
    """

    name = "attached"
    borrowed = True
    gateway = "host-gateway"
    inherited: Mapping[str, str] = {}

    def __init__(
        self, environment: Mapping[str, str], folder: Path, *, all_running: bool = True
    ) -> None:
        self._engine_events = EngineEvents.of_own(environment)
        self._instances: list[ProjectContainer] = []
        self._all_running = all_running
        self._looking = threading.Lock()
        try:
            project = self._project(folder)
            self._mark = f"{PROJECT}={project}"
            self._containers = self._services()
            self._engine_events.begin(self._mark, SERVICE)
            self._engine_events.require()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """The harness's own folder, with copies of their logs."""
        return self._engine_events.processes.folder

    @property
    def owner(self) -> int:
        """The harness's supervisor; it owns nothing of the project."""
        return self._engine_events.processes.owner

    def log(self, name: str) -> Path:
        """The log file of a service."""
        return self._engine_events.log(name)

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Nothing is reserved: the project already has its ports."""
        return Endpoint(LOOPBACK, wanted or 1)

    def turn(
        self, guard: Callable[[], None], waits: Callable[[], None]
    ) -> AbstractContextManager[None]:
        """Nothing is started."""
        return nullcontext()

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Everything already exists."""

    def start(self, launch: Launch) -> ProjectContainer:
        """The container of a service.

        Raises:
            LaunchError: all services must run, and the project has none, or it is not running.
        """
        found = self._containers.get(launch.name)
        if self._all_running and (found is None or found.status != "running"):
            raise LaunchError(
                f"the compose project has no running service {launch.name!r}",
                last="no container of it" if found is None else f"its container is {found.status}",
                hint="docker compose up -d; `dapr-harness render compose --check` reports drift",
            )
        self.log(launch.name).touch(mode=0o600)
        instance = ProjectContainer(self, launch, found, self._engine_events.engine)
        self._engine_events.adopt(instance)
        self._instances.append(instance)
        return instance

    def external(self, launch: Launch) -> ExternalInstance:
        """A compose project has none, and nothing is held."""
        return self._engine_events.processes.external(launch)

    def open_ports(self, launch: Launch) -> None:
        """Nothing is held."""

    def operation(self, act: str, name: str) -> AbstractContextManager[dict[str, Any]]:
        """Act on a node while other clients wait; they are informed."""
        return self._engine_events.processes.operation(act, name)

    def note(self, entry: Entry) -> None:
        """Add an entry to the run's journal."""
        self._engine_events.processes.note(entry)

    def catch_up(self) -> None:
        """Look at each container: others restart and replace them without a word to this one."""
        with self._looking:
            found = self._services()
            for each in self._instances:
                known = each.container_id
                each.follow(found.get(each.name))
                if each.container_id != known:
                    self._engine_events.adopt(each)

    @property
    def alive(self) -> bool:
        """Whether anything of the project runs, be it a container that is not known yet."""
        if any(each.exit_code is None for each in self._instances):
            return True
        try:
            return bool(self._list(self._mark, running=True))
        except HarnessError:
            return False  # the engine is gone, and all containers with it

    def states(self) -> dict[str, str]:
        """The state of each container: running, paused or exited."""
        return {
            each.name: "exited"
            if each.exit_code is not None
            else "paused"
            if each.frozen
            else "running"
            for each in self._instances
        }

    @property
    def since(self) -> float:
        """When the first of its containers was started, in seconds since the epoch."""
        began = (str(each.attrs["State"]["StartedAt"]) for each in self._containers.values())
        found = [datetime.fromisoformat(each).timestamp() for each in began if each]
        return min((each for each in found if each > 0), default=0.0)

    def share(self) -> None:
        """Nothing to do: it is compose's."""

    def leave(self) -> int:
        """The project stays."""
        return -1

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Nothing to do: closing stops nothing."""

    def close(self) -> None:
        """Stop listening."""
        self._engine_events.close()

    def _project(self, folder: Path) -> str:
        """The name of the project in a folder."""
        found = self._list(f"{WORKING_DIR}={folder}")
        if not found:
            raise ConfigError(
                f"no compose project of {folder} is up",
                hint=f"docker compose -f {folder / 'compose.yaml'} up -d",
            )
        return found[0].labels[PROJECT]

    def _services(self) -> dict[str, Container]:
        """Containers by service. Compose takes over containers of a project of this name in another
        folder if they do not differ, and they keep that folder's label."""
        return {each.labels[SERVICE]: each for each in self._list(self._mark)}

    def _list(self, label: str, *, running: bool = False) -> list[Container]:
        with refusals("looking for the compose project"):
            found = self._engine_events.engine.client.containers.list(
                all=not running, filters={"label": label}, ignore_removed=True, sparse=running
            )
        return list(found)
