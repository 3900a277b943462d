"""An app of the system under test, with its sidecar."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harness.core.deadline import Check
from harness.core.endpoint import Endpoint
from harness.core.errors import ConfigError
from harness.core.launch import Build, InContainer, InProcess, Launch
from harness.core.names import inbox_name, replica_name
from harness.core.node import Node, Scope
from harness.dapr.health import HealthCheck
from harness.dapr.status import SidecarStatus
from harness.nodes.base import BaseNode, main_port
from harness.nodes.calls import CallsProxy, recorder_env
from harness.nodes.clock import REAL, clock_of, follows_checks, show_to
from harness.nodes.command import (
    asgi_line,
    build_of,
    command_line,
    needs_of,
    port_checks,
    port_exports,
    words_of,
)
from harness.nodes.exporting import exporting
from harness.nodes.in_cluster import Kubernetes
from harness.nodes.inbox import InboxProxy
from harness.nodes.replicas import require_replicable
from harness.nodes.sidecar import Sidecar


@dataclass(frozen=True, init=False)
class App(BaseNode):
    """A process that listens on one port, with its sidecar.

    The app's environment contains ``APP_HOST``, ``APP_PORT``, ``APP_ID``, ``APP_API_TOKEN``,
    ``DAPR_HTTP_PORT``, ``DAPR_GRPC_PORT``, ``DAPR_METRICS_PORT`` and ``DAPR_API_TOKEN``.

    As with ``dapr run``, the app and its sidecar inherit the environment of whoever starts the
    stack; these variables and ``env`` override it. In a container they inherit nothing.

    Args:
        name: the app-id.
        asgi: ``module:attribute`` of an ASGI app, served by uvicorn; or
        command: any command line; ``{port}`` stands for the port to listen on.
        env: variables; ``${postgres.dsn}`` and the like are filled, and make that node a
            dependency.
        cwd: the working folder, relative to the project's root.
        needs: nodes that must be ready before the app and its sidecar start. The sidecar already
            depends on every broker and database of the topology.
        health: a path that returns 2xx when the app is ready; if None, the port suffices.
        port: a fixed port, for a debugger or a browser.
        inbox: put a recording proxy between daprd and the app, for ``dapr.inbox(name)``.
        calls: put a recorder between the app and the HTTP port of its sidecar, for
            ``dapr.calls(name)``. Calls by gRPC are not recorded.
        record: both.
        sidecar_env: variables for daprd.
        sidecar_flags: further daprd flags.
        requirements: what pip installs into its image, a file relative to the project's root.
        image: an existing image instead of one built from ``cwd``; with ``command`` or its own.
        on_host: run it on the machine itself even if the rest runs in containers, for a
            debugger. It must then listen on ``APP_HOST``; ``{host}`` stands for it in a command.
        external: do not start it: somebody does so by hand, in a debugger. Implies ``on_host``.
        listens: whether it has a port; a worker that only calls its sidecar has none.
        after_sidecar: start it when its sidecar's API responds, as ``dapr run`` does, for an app
            that calls the API at once and does not retry.
        exit_ok: whether exiting with code 0 is expected.
        required: whether the start fails if the app does; if not, the others continue without it.
        hermetic: inherit only PATH, HOME, TMPDIR and the locale, so that runs on two machines are
            alike; the first line of its log names the variables that were left out.
        replicas: how many times it runs, each with a sidecar of the same app-id. The first is the
            node ``name``, the others are ``name-2``, ``name-3`` ...; Dapr spreads calls of other
            apps over them, and each event is delivered to one of them.
        follow_clock: have its own "now" follow ``dapr.clock``, see docs/time.md. With real time,
            there is nothing to follow, and this changes nothing.
        preload: as a process with ``asgi``, be a fork of one that has imported what several apps
            of the stack import, if that is safe: see docs/apps.md. If not, it is always executed.
        app_id: the app-id, if it is not the node's name: two apps of one app-id are replicas.
        kubernetes: how it runs in a cluster, for ``dapr-harness render k8s``.
    """

    tools = ("app",)

    name: str
    asgi: str
    command: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    needs: tuple[str, ...]
    health: str | None
    port: int | None
    inbox: bool
    calls: bool
    sidecar_env: Mapping[str, str]
    sidecar_flags: Mapping[str, str]
    requirements: Path | None
    image: str
    on_host: bool
    external: bool
    listens: bool
    after_sidecar: bool
    exit_ok: bool
    required: bool
    hermetic: bool
    replicas: int
    follow_clock: bool
    preload: bool
    app_id: str
    kubernetes: Kubernetes

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
        calls: bool = False,
        record: bool = False,
        sidecar_env: Mapping[str, str] | None = None,
        sidecar_flags: Mapping[str, str] | None = None,
        requirements: str | Path | None = None,
        image: str = "",
        on_host: bool = False,
        external: bool = False,
        listens: bool = True,
        after_sidecar: bool = False,
        exit_ok: bool = False,
        required: bool = True,
        hermetic: bool = False,
        replicas: int = 1,
        follow_clock: bool = False,
        preload: bool = True,
        app_id: str = "",
        kubernetes: Kubernetes | None = None,
    ) -> None:
        words = words_of(command)
        if bool(asgi) == bool(words) and not (image and not asgi):
            raise ConfigError(
                f"app {name!r} must have either asgi= or command=",
                last="both" if asgi else "neither",
                hint='for example App("checkout", asgi="shop.checkout:app")',
            )
        if asgi and not listens:
            raise ConfigError(f"app {name!r}: an ASGI app listens", hint="leave out listens=False")
        if external and not listens:
            raise ConfigError(
                f"app {name!r} is external and does not listen",
                expected="an app with a port, which shows the stack that it has started",
                hint="leave out listens=False, or external",
            )
        if asgi and ":" not in asgi:
            raise ConfigError(
                f"app {name!r}: asgi={asgi!r} names no attribute", expected="module:attribute"
            )
        require_replicable(name, replicas, port=port, external=external)
        values = env or {}
        set_field = object.__setattr__
        set_field(self, "name", name)
        set_field(self, "asgi", asgi)
        set_field(self, "command", words)
        set_field(self, "env", dict(values))
        set_field(self, "cwd", Path(cwd))
        set_field(self, "needs", needs_of(needs, values))
        set_field(self, "health", health)
        set_field(self, "port", port)
        set_field(self, "inbox", inbox or (record and listens))
        set_field(self, "calls", calls or record)
        set_field(self, "sidecar_env", dict(sidecar_env or {}))
        set_field(self, "sidecar_flags", dict(sidecar_flags or {}))
        set_field(self, "requirements", None if requirements is None else Path(requirements))
        set_field(self, "image", image)
        set_field(self, "on_host", on_host or external)
        set_field(self, "external", external)
        set_field(self, "listens", listens)
        set_field(self, "after_sidecar", after_sidecar)
        set_field(self, "exit_ok", exit_ok)
        set_field(self, "required", required)
        set_field(self, "hermetic", hermetic)
        set_field(self, "replicas", replicas)
        set_field(self, "follow_clock", follow_clock)
        set_field(self, "preload", preload)
        set_field(self, "app_id", app_id or name)
        set_field(self, "kubernetes", kubernetes or Kubernetes())
        self.kubernetes.require_scalable(name, replicas)

    @property
    def pod(self) -> str:  # type: ignore[override]  # derived, not stored
        """Its own pod, shared with its inbox and its sidecar."""
        return self.name

    @property
    def fixed_ports(self) -> Mapping[str, int]:  # type: ignore[override]  # derived, not stored
        """Its port, if it is fixed."""
        return main_port(self.port)

    @property
    def container_only(self) -> bool:  # type: ignore[override]  # derived, not stored
        """Whether it is given as an image, and so cannot run as a process."""
        return not (self.asgi or self.command)

    @property
    def others(self) -> tuple[App, ...]:
        """Its replicas from the second on."""
        numbers = range(2, self.replicas + 1)
        return tuple(
            replace(self, name=replica_name(self.name, number), replicas=1) for number in numbers
        )

    def implies(self, mtls: bool) -> tuple[Node, ...]:
        """Its other replicas; for each, the sidecar, what it implies, and the recorders."""
        others = [node for each in self.others for node in (each, *each.implies(mtls))]
        sidecar = Sidecar(
            self.app_id,
            self._heard_at(),
            app=self.name,
            env=self.sidecar_env,
            flags=self.sidecar_flags,
            pod="" if self.on_host else self.pod,
            hermetic=self.hermetic,
        )
        recorders: list[Node] = []
        if self.inbox:
            recorders.append(InboxProxy(self.name, on_host=self.on_host))
        if self.calls:
            recorders.append(CallsProxy(self.name, sidecar.name, on_host=self.on_host))
        return (*recorders, sidecar, *sidecar.implies(mtls), *others)

    def as_external(self) -> App:
        """The same app, started by somebody else."""
        return replace(self, external=True)

    def _heard_at(self) -> str:
        """The node that its sidecar calls."""
        if not self.listens:
            return ""
        return inbox_name(self.name) if self.inbox else self.name

    def build(self, root: Path) -> Build | None:
        """The image to build for a container; None if an existing one is used."""
        if self.image:
            return None
        return build_of(root, self.cwd, self.requirements, ("uvicorn",) if self.asgi else ())

    def plan(self, scope: Scope) -> Launch:
        """The command with its environment."""
        if self.container_only and not scope.in_container:
            raise ConfigError(
                f"app {self.name!r} is the image {self.image!r}, which cannot run as a process",
                hint="give it asgi= or command= as well, or use the containers runtime",
            )
        listen = scope.listen() if self.listens else None
        argv = self._argv(scope, listen)
        clock = clock_of(scope, argv) if self.follow_clock else REAL
        return Launch(
            name=self.name,
            argv=argv,
            env={**self._environment(scope, listen), **clock.env},
            prepended=clock.prepended,
            ports={"main": listen.port} if listen else {},
            grace=3.0,
            under_test=True,
            on_host=self.on_host,
            external=self.external,
            exit_ok=self.exit_ok,
            required=self.required,
            process=InProcess(
                (scope.root / self.cwd).resolve(),
                inherits=not self.hermetic,
                # A process that follows the clock has been changed before its first import.
                imports=self.asgi.partition(":")[0] if self.preload and clock is REAL else "",
            ),
            container=InContainer(
                self.build(scope.root) or self.image,
                self.pod,
                folders=clock.folders,
                mounts=clock.mounts,
            ),
        )

    def start_after(self, scope: Scope) -> Iterator[Check]:
        """Its sidecar's API, if the app must start after it."""
        if self.follow_clock and (self.asgi or self.command):
            show_to(scope, sys.executable if self.asgi else self.command[0])
        if self.after_sidecar:
            sidecar = scope.sidecar()
            token = scope.exports(sidecar)["token"]
            with SidecarStatus(scope.address(sidecar, "http"), token) as client:
                name = "outbound of its sidecar"
                yield HealthCheck(client, outbound=True, name=name, waits_for=sidecar)

    def checks(self, scope: Scope) -> Sequence[Check]:
        """Its port accepts; its health path responds; it follows the clock, if it is to do so.

        Without a port, being alive is enough.
        """
        if not self.listens:
            return ()
        checks = port_checks(scope, self.health, on_host=self.on_host)
        return (*checks, *follows_checks(scope)) if self.follow_clock else checks

    def exports(self, scope: Scope) -> Mapping[str, str]:
        """``host``, ``port`` and ``url``."""
        return port_exports(scope) if self.listens else {}

    def _argv(self, scope: Scope, listen: Endpoint | None) -> tuple[str, ...]:
        if not self.asgi or listen is None:
            return command_line(self.command, listen, in_container=scope.in_container)
        if scope.in_container:
            return asgi_line("python3", self.asgi, listen)
        folder = str((scope.root / self.cwd).resolve())
        return (*asgi_line(sys.executable, self.asgi, listen), "--app-dir", folder)

    def _environment(self, scope: Scope, listen: Endpoint | None) -> dict[str, str]:
        sidecar = scope.exports(scope.sidecar(), waits=False)
        where = f"env of app {self.name!r}"
        own = {key: scope.fill(value, where) for key, value in self.env.items()}
        return {
            "PYTHONUNBUFFERED": "1",
            "APP_ID": self.app_id,
            **({"APP_HOST": listen.host, "APP_PORT": str(listen.port)} if listen else {}),
            **self._api(scope, sidecar),
            "DAPR_METRICS_PORT": sidecar["metrics"],
            "DAPR_API_TOKEN": sidecar["token"],
            "APP_API_TOKEN": scope.token("app-api") if sidecar["token"] else "",
            **exporting(scope, self.name, self.app_id),
            **own,
        }

    def _api(self, scope: Scope, sidecar: Mapping[str, str]) -> dict[str, str]:
        """Where the app finds the APIs of its sidecar: there, or at what records its calls."""
        own = {"DAPR_HTTP_PORT": sidecar["http"], "DAPR_GRPC_PORT": sidecar["grpc"]}
        return own | (recorder_env(scope, self.name) if self.calls else {})
