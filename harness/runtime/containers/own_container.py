"""A container that the harness has started, and whose files and command can be changed."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from docker.errors import NotFound
from docker.models.containers import Container

from harness.core.errors import InstanceDied
from harness.core.files import write_home
from harness.core.launch import Launch
from harness.runtime.containers import instance
from harness.runtime.containers.engine import refusals

HOME_FOLDER = "harness"
"""The folder that is copied to ``/harness`` in a container before it starts."""


class Owner(instance.Owner, Protocol):
    """The part of the runtime that a container of its own uses."""

    def home(self, name: str) -> Path:
        """The folder of which a node's container has a copy."""
        ...

    def replace(self, instance: OwnContainer, launch: Launch) -> None:
        """Start another launch of a node in a new container; that of its instance has ended."""
        ...


class OwnContainer(instance.ContainerInstance):
    """A container with a copy of the node's folder."""

    def __init__(self, runtime: Owner, launch: Launch, container: Container) -> None:
        super().__init__(runtime, launch, container)
        self._owner = runtime

    @property
    def container(self) -> Container:
        """The engine's container."""
        return self._container

    def change_files(self, removed: Iterable[str], written: Mapping[str, str]) -> None:
        """Remove files of its launch and write others, whether it runs or not.

        The engine can write files into a container, but not remove them, and an image need not
        have a program that could. What is removed has no contents, which daprd takes for no
        resource; a new container does not have the file.
        """
        home = self._owner.home(self.name)
        gone = dict.fromkeys(removed, "")
        for name in gone:
            (home / name).unlink(missing_ok=True)
        write_home(home, {}, written)
        try:
            with refusals(f"changing files in the container of {self.name}"):
                self._container.put_archive("/", _archive({**gone, **written}))
        except NotFound:
            last = "its container was removed by someone else"
            raise InstanceDied(f"{self.name} has ended", last=last) from None

    def relaunch(self, launch: Launch) -> None:
        """Start another launch of the same node, which has been stopped: same ports, same data."""
        with self._runtime.operation("restart", self.name) as result:
            self._owner.replace(self, launch)
            result |= {"pid": self.pid, "container": self.container_id}

    def replaced(self, launch: Launch, container: Container) -> None:
        """Called by the runtime when another container has taken the place of the former one."""
        self.launch, self._container = launch, container
        self._begun(instance.pid_of(container))


def _archive(files: Mapping[str, str]) -> bytes:
    """Files of a node's folder, for the root of a container."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, text in files.items():
            content = text.encode()
            member = tarfile.TarInfo(f"{HOME_FOLDER}/{name}")
            # As those that it starts with: the image may run as any user.
            member.mode, member.size = 0o644, len(content)
            archive.addfile(member, io.BytesIO(content))
    return made.getvalue()
