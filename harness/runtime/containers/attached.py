"""A runtime that starts nothing: the containers of a compose project that is up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from docker.models.containers import Container

from harness.closing import Closing
from harness.endpoint import LOOPBACK, Endpoint
from harness.errors import ConfigError, LaunchError
from harness.launch import Launch
from harness.runtime.containers.engine import refusals
from harness.runtime.containers.instance import ContainerInstance
from harness.runtime.containers.watch import Watch

PROJECT = "com.docker.compose.project"
SERVICE = "com.docker.compose.service"
WORKING_DIR = "com.docker.compose.project.working_dir"
"""Labels that docker-compose 1 and Compose v2 both set."""


class AttachedRuntime(Closing):
    """Finds a launch's container by the name of its service; closing it ends nothing of theirs.

    Args:
        environment: the variables that a process on the host inherits.
        folder: the compose project's folder.

    Raises:
        ConfigError: no project of that folder is up.
    """

    name = "attached"
    borrowed = True
    gateway = "host-gateway"
    inherited: Mapping[str, str] = {}

    def __init__(self, environment: Mapping[str, str], folder: Path) -> None:
        self._watch = Watch(environment)
        try:
            project = self._project(folder)
            self._containers = self._of(project)
            self._watch.begin(f"{PROJECT}={project}", SERVICE)
            self._watch.require()
        except BaseException:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Our own folder: what was heard of their logs."""
        return self._watch.processes.folder

    @property
    def owner(self) -> int:
        """Our supervisor; it owns nothing of the project."""
        return self._watch.processes.owner

    def log(self, name: str) -> Path:
        """The log file of a service."""
        return self._watch.log(name)

    def reserve(self, wanted: int | None = None) -> Endpoint:
        """Nothing is held: the project has its ports already."""
        return Endpoint(LOOPBACK, wanted or 1)

    def prepare(self, launches: Sequence[Launch]) -> None:
        """Everything is there."""

    def start(self, launch: Launch) -> ContainerInstance:
        """The container of a service.

        Raises:
            LaunchError: the project has none, or it does not run.
        """
        found = self._containers.get(launch.name)
        if found is None or found.status != "running":
            raise LaunchError(
                f"the compose project has no running service {launch.name!r}",
                last="no container of it" if found is None else f"its container is {found.status}",
                hint="docker compose up -d; `dapr-harness render compose --check` tells of drift",
            )
        self.log(launch.name).touch(mode=0o600)
        instance = ContainerInstance(self, launch, found)
        self._watch.adopt(instance)
        return instance

    def open_ports(self, launch: Launch) -> None:
        """Nothing is held."""

    def detach(self, leftovers: Sequence[Path] = ()) -> None:
        """Nothing would end."""

    def close(self) -> None:
        """Stop listening."""
        self._watch.close()

    def _project(self, folder: Path) -> str:
        """The name of a folder's project."""
        found = self._list(f"{WORKING_DIR}={folder}")
        if not found:
            raise ConfigError(
                f"no compose project of {folder} is up",
                hint=f"docker compose -f {folder / 'compose.yaml'} up -d",
            )
        return found[0].labels[PROJECT]

    def _of(self, project: str) -> dict[str, Container]:
        """By service. Compose takes over containers that a project of this name in another folder
        has left, where nothing of them differs, and they keep the label of that folder."""
        return {each.labels[SERVICE]: each for each in self._list(f"{PROJECT}={project}")}

    def _list(self, label: str) -> list[Container]:
        with refusals("looking for the compose project"):
            found = self._watch.engine.client.containers.list(all=True, filters={"label": label})
        return list(found)
