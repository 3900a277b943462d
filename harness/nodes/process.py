"""A program of the system under test that has no sidecar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.core.deadline import Check
from harness.core.errors import ConfigError
from harness.core.launch import Build, InContainer, InProcess, Launch
from harness.core.node import Scope
from harness.nodes.base import BaseNode, main_port
from harness.nodes.command import (
    build_of,
    command_line,
    needs_of,
    port_checks,
    port_exports,
    words_of,
)


@dataclass(frozen=True, init=False)
class Process(BaseNode):
    """A process without a sidecar: a stand-in for an external service, a web server, a worker.

    It listens if its command has a ``{port}`` or it has a fixed one; its environment then contains
    ``APP_HOST`` and ``APP_PORT``. Other nodes refer to it as ``${name.url}``, ``${name.host}`` and
    ``${name.port}``.

    Args:
        name: the node's name.
        command: any command line; ``{port}`` and ``{host}`` stand for the address to listen on.
        env: variables; ``${postgres.dsn}`` and the like are filled, and make that node a
            dependency.
        cwd: the working folder, relative to the project's root.
        needs: nodes that must be ready before it starts.
        health: a path that returns 2xx when it is ready; if None, the port suffices.
        port: a fixed port.
        requirements: what pip installs into its image, a file relative to the project's root.
        image: an existing image instead of one built from ``cwd``.
        on_host: run it on the machine itself even if the rest runs in containers.
        exit_ok: whether exiting with code 0 is expected.
        hermetic: inherit only PATH, HOME, TMPDIR and the locale.
    """

    tools = ("app",)

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    needs: tuple[str, ...]
    health: str | None
    port: int | None
    requirements: Path | None
    image: str
    on_host: bool
    exit_ok: bool
    hermetic: bool

    def __init__(
        self,
        name: str,
        command: str | Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | Path = ".",
        needs: Sequence[str] = (),
        health: str | None = None,
        port: int | None = None,
        requirements: str | Path | None = None,
        image: str = "",
        on_host: bool = False,
        exit_ok: bool = False,
        hermetic: bool = False,
    ) -> None:
        words = words_of(command)
        if not words:
            raise ConfigError(f"process {name!r} has no command", expected="a command line")
        values = dict(env or {})
        given = {
            "name": name,
            "command": words,
            "env": values,
            "cwd": Path(cwd),
            "needs": needs_of(needs, values),
            "health": health,
            "port": port,
            "requirements": None if requirements is None else Path(requirements),
            "image": image,
            "on_host": on_host,
            "exit_ok": exit_ok,
            "hermetic": hermetic,
        }
        for field, value in given.items():
            object.__setattr__(self, field, value)
        if health and not self.listens:
            raise ConfigError(
                f"process {name!r} has a health path but no port",
                hint="put {port} into its command, or give it port=",
            )

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its port, if it is fixed."""
        return main_port(self.port)

    @property
    def listens(self) -> bool:
        """Whether it has a port."""
        return self.port is not None or any("{port}" in word for word in self.command)

    def build(self, root: Path) -> Build | None:
        """The image to build for a container; None if an existing one is used."""
        return None if self.image else build_of(root, self.cwd, self.requirements, ())

    def plan(self, scope: Scope) -> Launch:
        """The command with its environment."""
        listen = scope.listen() if self.listens else None
        where = f"env of process {self.name!r}"
        return Launch(
            name=self.name,
            argv=command_line(self.command, listen, in_container=scope.in_container),
            env={
                "PYTHONUNBUFFERED": "1",
                **({"APP_HOST": listen.host, "APP_PORT": str(listen.port)} if listen else {}),
                **{key: scope.fill(value, where) for key, value in self.env.items()},
            },
            ports={"main": listen.port} if listen else {},
            grace=3.0,
            under_test=True,
            on_host=self.on_host,
            exit_ok=self.exit_ok,
            process=InProcess((scope.root / self.cwd).resolve(), inherits=not self.hermetic),
            container=InContainer(self.build(scope.root) or self.image),
        )

    def checks(self, scope: Scope) -> Sequence[Check]:
        """Its port accepts; its health path responds. Without a port, being alive is enough."""
        return port_checks(scope, self.health, on_host=self.on_host) if self.listens else ()

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``host``, ``port`` and ``url``; nothing if it does not listen."""
        return port_exports(scope) if self.listens else {}
