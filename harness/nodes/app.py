"""An app of the system under test, with its sidecar."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.deadline import Check
from harness.errors import ConfigError
from harness.launch import Launch
from harness.nodes.base import Plain
from harness.nodes.inbox import InboxProxy
from harness.nodes.sidecar import Sidecar
from harness.ready.http import HttpCheck
from harness.ready.tcp import TcpCheck
from harness.topology import Book, Node, placeholders


@dataclass(frozen=True, init=False)
class App(Plain):
    """A process that listens on one port, and the sidecar beside it.

    The app finds ``APP_PORT``, ``DAPR_HTTP_PORT``, ``DAPR_GRPC_PORT``, ``DAPR_API_TOKEN``,
    ``APP_API_TOKEN`` and ``APP_ID`` in its environment.

    Args:
        name: the app-id.
        asgi: ``module:attribute`` of an ASGI app, served by uvicorn; or
        command: any command line; ``{port}`` stands for the port to listen on.
        env: variables; ``${postgres.dsn}`` and the like are filled, and make that node a need.
        cwd: the working folder, relative to the project's root.
        needs: nodes that must be ready before the app and its sidecar are started. Every broker
            and database of the topology is one already for the sidecar.
        health: a path that answers 2xx when the app is ready; its port suffices when None.
        port: a fixed port, for a debugger or a browser.
        inbox: put a recording proxy between daprd and the app, for ``dapr.inbox(name)``.
        sidecar_env: variables for daprd.
        sidecar_flags: further daprd flags.
    """

    name: str
    asgi: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    needs: tuple[str, ...]
    health: str | None
    port: int | None
    inbox: bool
    sidecar_env: Mapping[str, str]
    sidecar_flags: Mapping[str, str]

    def __init__(
        self,
        name: str,
        *,
        asgi: str = "",
        command: str | Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        cwd: str | Path = ".",
        needs: Sequence[str] = (),
        health: str | None = None,
        port: int | None = None,
        inbox: bool = False,
        sidecar_env: Mapping[str, str] | None = None,
        sidecar_flags: Mapping[str, str] | None = None,
    ) -> None:
        words = shlex.split(command) if isinstance(command, str) else list(command)
        if bool(asgi) == bool(words):
            raise ConfigError(
                f"app {name!r} must have either asgi= or command=",
                last="both" if asgi else "neither",
                hint='for example App("checkout", asgi="shop.checkout:app")',
            )
        if asgi and ":" not in asgi:
            raise ConfigError(
                f"app {name!r}: asgi={asgi!r} names no attribute", expected="module:attribute"
            )
        values = env or {}
        used = {node for text in values.values() for node, _ in placeholders(text)}
        set_field = object.__setattr__
        set_field(self, "name", name)
        set_field(self, "asgi", asgi)
        set_field(self, "command", tuple(words))
        set_field(self, "env", dict(values))
        set_field(self, "cwd", Path(cwd))
        set_field(self, "needs", tuple(dict.fromkeys([*needs, *sorted(used)])))
        set_field(self, "health", health)
        set_field(self, "port", port)
        set_field(self, "inbox", inbox)
        set_field(self, "sidecar_env", dict(sidecar_env or {}))
        set_field(self, "sidecar_flags", dict(sidecar_flags or {}))

    def implies(self) -> tuple[Node, ...]:
        """The sidecar and what it implies; the inbox if wanted."""
        proxy = InboxProxy(self.name)
        target = proxy.name if self.inbox else self.name
        sidecar = Sidecar(self.name, target, env=self.sidecar_env, flags=self.sidecar_flags)
        return (*((proxy,) if self.inbox else ()), sidecar, *sidecar.implies())

    def plan(self, book: Book) -> Launch:
        """The command with its environment."""
        endpoint = book.endpoint(self.name, wanted=self.port)
        return Launch(
            name=self.name,
            argv=self._argv(book, endpoint.port),
            env=self._environment(book, endpoint.port),
            cwd=(book.root / self.cwd).resolve(),
            ports=(endpoint.port,),
            grace=3.0,
            of_system=True,
        )

    def checks(self, book: Book) -> Sequence[Check]:
        """Its port accepts; its health path answers."""
        endpoint = book.endpoint(self.name)
        health = (HttpCheck(f"{endpoint.http}{self.health}", "health"),) if self.health else ()
        return (TcpCheck(endpoint), *health)

    def exports(self, book: Book) -> Mapping[str, str]:
        """``port`` and ``url``."""
        endpoint = book.endpoint(self.name)
        return {"port": str(endpoint.port), "url": endpoint.http}

    def _argv(self, book: Book, port: int) -> tuple[str, ...]:
        if self.command:
            return tuple(word.replace("{port}", str(port)) for word in self.command)
        folder = str((book.root / self.cwd).resolve())
        options = ["--host", "127.0.0.1", "--port", str(port), "--app-dir", folder]
        # The access log stays: it is what a reader of a failing test looks for first.
        return (sys.executable, "-m", "uvicorn", self.asgi, *options)

    def _environment(self, book: Book, port: int) -> dict[str, str]:
        sidecar = book.topology[f"{self.name}-daprd"].exports(book)
        own = {
            key: book.fill(value, f"env of app {self.name!r}") for key, value in self.env.items()
        }
        return {
            "PYTHONUNBUFFERED": "1",
            "APP_ID": self.name,
            "APP_PORT": str(port),
            "DAPR_HTTP_PORT": sidecar["http"],
            "DAPR_GRPC_PORT": sidecar["grpc"],
            "DAPR_API_TOKEN": sidecar["token"],
            "APP_API_TOKEN": book.token("app-api") if sidecar["token"] else "",
            **own,
        }
